"""Process and Root: what a program is written with. Each awaited method is one system call (see `actors.calls`).

A program is a class with `async def run(self)`. An instance of it lives for one activation at most: whatever is to be
known later stands in `self.heap`. It awaits its own system calls, and coroutines that do the same, and nothing else.

All checks that need nothing but the arguments are made here, before the kernel hears of the call.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias
from weakref import WeakValueDictionary

from pyrsistent import PMap

from actors.calls import EVERYTHING, Copied, Deleted, Drop, Get, Now, Put, Ret, Snapshot, Status, made, quick
from actors.envelope import Limits, check_limits
from actors.errors import CallRefused, ProgramError
from actors.guards import GUARDS
from actors.heap import Heap
from actors.keys import Key, Name, Path, check_name, encode_key, path_text
from actors.maps import Maps
from actors.memory import Mark, Memory, marked, named_error, to_slot
from actors.merge import Resolve, Resolver, check_resolve
from actors.meter import GAS_MAX, Meter
from actors.metered import MeteredHeap
from actors.ordered import Ordered
from actors.reductions import check_reductions
from actors.region import WHOLE, OrderedMap, Region, View
from actors.supervision import Supervision
from actors.workspaces import Workspaces

if TYPE_CHECKING:
    from actors.changes import Changes
    from actors.trap import Trap

Placement: TypeAlias = Literal["loop", "worker", "auto"]
PLACEMENTS: Final = ("loop", "worker", "auto")
_PLACEMENTS_TEXT: Final = '"loop", "worker" or "auto"'

#: Every program that was defined and is still there, by module and qualified name; a redefinition wins.
defined: Final[WeakValueDictionary[tuple[str, str], type[Process]]] = WeakValueDictionary()


def _check_guards(cls: type[Process]) -> None:
    """Check what a class says of guards. Raises ProgramError."""
    for name in ("lifted", "allowed_modules"):
        given = getattr(cls, name)
        if type(given) is not tuple or not all(type(one) is str for one in given):
            like = given if isinstance(given, str) else "clock" if name == "lifted" else "numpy"
            raise ProgramError(f'{cls.__qualname__}: {name} is {given!r}; it is a tuple of names: ("{like}",)')
    for one in cls.lifted:
        if one not in GUARDS:
            near = get_close_matches(one, GUARDS, 1)
            mend = f'did you mean "{near[0]}"?' if near else f"the guards are {', '.join(GUARDS)}"
            raise ProgramError(f"{cls.__qualname__}: lifted names {one!r}, and there is no such guard; {mend}")


class Process(Maps, Workspaces, Ordered, Supervision):
    """A program. Subclass it, and write `async def run(self)`.

    Attributes:
        heap: the process's private, ordered, persistent map.
        path: the names from the root down to this process.
    """

    #: Where activations run: "loop" on the event loop; "worker" in a worker process, with all below it; "auto": where
    #: activations of this program were seen to be worth the way. Never changes a result.
    placement: ClassVar[Placement] = "loop"
    #: Whether it may stop in the middle of `run`, for which its system calls and their answers are kept until `run` is over.
    #: False: `ret` and `snapshot` are refused; it takes no memory for them, and may make any number.
    journal: ClassVar[bool] = True
    #: The guards that this program is trusted without, by their names in `actors.guards`. Blocks record them.
    lifted: ClassVar[tuple[str, ...]] = ()
    #: Modules that may be imported inside `run`, with all below them, beside Python's own. Blocks record them.
    allowed_modules: ClassVar[tuple[str, ...]] = ()

    #: Whether it takes what it uses out of its meter itself, so that no ticks are put into its code.
    meters_itself: ClassVar[bool] = False
    #: Whether it may raise `errors.HostTrouble`: then the kernel counts how often it was waited for, on the loop as well.
    host_may_fail: ClassVar[bool] = False
    #: How keys that several children changed are settled when they are merged into this process's heap: by key or Region,
    #: a function (base, ours, theirs), such as those of `actors.reductions`.
    reductions: ClassVar[Mapping[Key | Region, Resolver]] = {}

    heap: Heap
    path: Path
    #: What pays for it; None: nothing does. A program has no use for it: it could not go by what is left and still do the
    #: same with more. For those that run something else inside them (actors.wasm).
    machine_meter: Meter | None = None
    #: Set in a class that `check_program` has passed.
    _runs: ClassVar[bool]
    #: The heap with which the activation began, and the generator that was made of it.
    _machine_begun: Mark
    _random: random.Random | None = None
    #: Set in a variant of a program, which stands in for it and is none of its own: what it was made of.
    _original: ClassVar[type[Process]]

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if cls.placement not in PLACEMENTS:
            raise ProgramError(f"{cls.__qualname__}: placement is {cls.placement!r}; it is {_PLACEMENTS_TEXT}")
        _check_guards(cls)
        check_reductions(cls.reductions, cls.__qualname__)
        if "_original" not in cls.__dict__:
            defined[cls.__module__, cls.__qualname__] = cls

    async def run(self) -> Any:
        """Run the program. To fall off the end is RET; for a root, to return is SNAPSHOT with what is returned."""
        raise NotImplementedError

    def machine_bind(self, memory: Memory, path: Path, meter: Meter | None = None) -> None:
        """Give the instance its heap, path and meter. The machine's; programs have no use for it."""
        if meter is None:
            self.heap = Heap(memory, path)
        else:
            self.heap = MeteredHeap(memory, path, meter)
            self.machine_meter = meter
        self.path = path
        self._machine_begun = memory.mark()

    @property
    def random(self) -> random.Random:
        """A generator of random numbers, the same whenever and wherever this activation runs.

        It is seeded from the process's path and the heap with which `run` began, and goes on across `ret()`. So another
        process, or another heap, draws other numbers; an activation that begins on the same heap draws the same again.
        """
        generator = self._random
        if generator is None:
            path = b"".join([encode_key(name) for name in self.path])
            seed = sha256(b"random" + self.machine_seed() + path).digest()
            generator = self._random = random.Random(int.from_bytes(seed, "big"))  # noqa: S311
        return generator

    def machine_seed(self) -> bytes:
        """Return what an activation's random numbers follow from, beside its path. The machine's; programs have no use for it."""
        return marked(self._machine_begun).digest()

    async def put(
        self,
        child: Name,
        values: Mapping[Any, Any] | View | None = None,
        *,
        program: type[Process] | None = None,
        delete: Iterable[Key | Region] = (),
        start: bool = False,
        gas: int | None = None,
        placement: Placement | None = None,
        limits: Limits | None = None,
        new: bool | Literal["replace"] = False,
    ) -> None:
        """PUT: create a child, change it, start it. Waits until the child is stopped; never for what it then starts.

        Args:
            child: its name; it is created if there is none.
            values: copied into its heap, by key. A `View` is mounted under its key by reference; a view in place of the
                mapping takes the place of the child's whole heap.
            program: what it runs from now on, from the top of `run`.
            delete: keys and regions to delete from its heap, before `values` are copied.
            start: take its snapshot and set it running.
            gas: with `start`, what its meter is filled with. Where this process has a meter itself, the gas is taken out of
                that, and what the child leaves comes back when it is waited for; None is whatever is left by then, and
                the child begins then. Without a meter here, None is no meter there.
            placement: where its activations run from now on; as its program says, if not given.
            limits: what it, and all below it, may have from now on; this process's own, if not given, where it has any.
            new: True: there must be no such child yet. "replace": one that is there is dropped first, with all below it.

        Raises:
            ProgramError: an argument is refused, a child without a program was to be started, or one that is `new` is
                there; nothing was changed.
        """
        check_name(child)
        if program is not None and (not isinstance(program, type) or "_runs" not in program.__dict__):
            check_program(program)
        if gas is not None:
            _check_gas(gas, start)
        if placement is not None and placement not in PLACEMENTS:
            raise CallRefused(f"put: placement is {placement!r}; it is {_PLACEMENTS_TEXT}")
        if limits is not None:
            check_limits(limits)
        if new and new is not True and new != "replace":
            raise CallRefused(f'put: new is {new!r}; it is True, or "replace"')
        copied = () if values is None else _copied(values)
        deleted = () if delete == () else _deleted(delete)
        await made(quick(Put, (child, copied, program, deleted, bool(start), gas, placement, limits, new)))

    async def get(self, child: Name, *wanted: Key | Region) -> Any:
        """GET: copy out of a child. Waits until it is stopped.

        Args:
            child: its name.
            wanted: one key: its value is returned; a `Region`: a view of it, by reference; several of these: a tuple, in
                that order; nothing: the `Changes` since its last snapshot.

        Raises:
            NoSuchChild: there is no such child.
            ChildFailed, OutOfGas: it trapped.
            MissingKey: it has no such key.
        """
        check_name(child)
        if len(wanted) == 1 and type(wanted[0]) is not Region:
            return await made(quick(Get, (child, (encode_key(wanted[0]),))))
        return await made(Get(child, tuple([one if type(one) is Region else encode_key(one) for one in wanted])))

    async def merge(self, child: Name, *, region: Region | Key = (), resolve: Resolve | None = None) -> Changes:
        """Fold a child's changes since its snapshot into this heap, by three-way merge. Waits until it is stopped.

        Args:
            child: its name.
            region: only changes to keys in here.
            resolve: how keys that both sides changed are settled: a function (key, base, ours, theirs), or a mapping of
                keys and Regions to functions (base, ours, theirs), such as `actors.add` for counters. A side on which
                the key is absent is `actors.ABSENT`; a function that returns ABSENT deletes it. Not given: as the class
                says in `reductions`.

        Returns:
            The changes that were merged.

        Raises:
            MergeConflict: with every key in conflict; this heap is as it was.
            NoSuchChild, ChildFailed, OutOfGas: as GET.
        """
        check_resolve(resolve)
        named = Region.of(region)
        changes: Changes = await self.get(child)
        if named != WHOLE[0]:
            changes = changes.within(named)
        self.heap.merge(changes, self.reductions if resolve is None else resolve)
        return changes

    async def ret(self) -> Changes:
        """RET in the middle: stop, and wait for the parent. Returns the `Changes` that the parent put meanwhile."""
        changes: Changes = await made(Ret())
        return changes

    async def status(self, child: Name) -> Trap:
        """Tell why a child stopped, without raising. Waits until it is stopped. Raises NoSuchChild."""
        check_name(child)
        trap: Trap = await made(Status(child))
        return trap

    async def now(self) -> Any:
        """Return the time of the block in which this activation was started: what its input has under `Root.time_key`.

        A process has no clock. Whoever calls `advance` says what time it is, and the block has it among its inputs.

        Raises:
            CallRefused: that block has no time.
        """
        return await made(Now())

    def charge(self, gas: int) -> None:
        """Take gas out of this process's meter, beside what its work costs; without a meter, nothing.

        Args:
            gas: how much, at least 0.

        Raises:
            CallRefused: that is no amount of gas.
        """
        if type(gas) is not int or gas < 0:
            raise CallRefused(f"charge: gas is {gas!r}; it is an int, at least 0")
        if self.machine_meter is not None:
            self.machine_meter.charge(min(gas, GAS_MAX))

    async def drop(self, child: Name) -> None:
        """End a child and its subtree at once, running or not; nothing of it stays. Raises NoSuchChild."""
        check_name(child)
        await made(Drop(child))
        if self._known_writers is not None:
            self._known_writers.under_way.pop(child, None)

    async def snapshot(self, data: object = None, *, region: Key | None = None) -> Any:
        """SNAPSHOT is the root's alone: anywhere else it is refused."""
        raise CallRefused(
            f"snapshot: {path_text(self.path)} is not the root, and only the root closes a block; "
            "end with ret(), or return, and let the root do it"
        )


class Root(Process):
    """The program at the top: it alone receives the outside's inputs, a block at a time."""

    #: Where a block's input goes in the root's heap, unless `snapshot` named another place.
    input_region: ClassVar[Key] = "block"
    #: Under which key of its input a block's time is, for `now`: a value of whatever kind, in whatever unit the caller has.
    time_key: ClassVar[Key] = "time"

    async def snapshot(self, data: object = None, *, region: Key | None = None) -> Any:
        """SNAPSHOT in the middle: close the block and wait for the next.

        Args:
            data: the block's data, a value.
            region: where the next block's input is to go; `input_region` if not given.

        Returns:
            The next block's input, which by then also stands in that region.

        Raises:
            ValueRefused, KeyRefused, LimitExceeded: an argument is refused; the block goes on.
        """
        if len(self.path):
            return await super().snapshot(data)
        return await made(Snapshot(to_slot(data), None if region is None else encode_key(region)))


def check_program(program: object, *, root: bool = False) -> None:
    """Check that `program` can be run: a `Process` subclass with an `async def run(self)` of its own.

    Raises:
        ProgramError: it cannot.
    """
    if not isinstance(program, type):
        mend = f"; pass the class, {type(program).__qualname__}" if isinstance(program, Process) else ""
        raise ProgramError(f"a program is a subclass of Process, not {_kind(program)}{mend}")
    name = program.__qualname__
    if not issubclass(program, Process):
        raise ProgramError(f"{name} is no program: it does not inherit from actors.Process")
    if root and not issubclass(program, Root):
        raise ProgramError(f"{name} cannot be the root: it inherits from Process; let it inherit from actors.Root")
    if not root and issubclass(program, Root):
        raise ProgramError(
            f"{name} is a Root, which only a Runtime runs; a child's program inherits from actors.Process"
        )
    if root and program.placement != "loop":
        raise ProgramError(
            f'{name} is the root, which runs on the loop, so that placement="{program.placement}" says nothing; say it of '
            "its children's programs, or leave it out"
        )
    if program.run in (Process.run, Root.run):
        raise ProgramError(f"{name} has no program to run: write `async def run(self)` in it")
    if not inspect.iscoroutinefunction(program.run):
        what = (
            "is an async generator; do not yield in it" if inspect.isasyncgenfunction(program.run) else "is not async"
        )
        raise ProgramError(f"{name}.run {what}: write `async def run(self)`")
    if "_original" not in program.__dict__ and defined.get((program.__module__, name)) is not program:
        raise ProgramError(
            f"there is another, newer program {name} in {program.__module__}, and in the state a program is known by its "
            "name; define it once, at module level, and let what differs stand in its heap"
        )
    if not root:
        program._runs = True


def _kind(thing: object) -> str:
    return "None" if thing is None else f"an object of type {type(thing).__qualname__}"


def _check_gas(gas: object, start: object) -> None:
    if type(gas) is not int or gas < 0:
        raise CallRefused(f"put: gas is {gas!r}; it is an int, at least 0, or None for no meter")
    if gas > GAS_MAX:
        raise CallRefused(f"put: gas is {gas}; the most that a meter holds is {GAS_MAX}")
    if not start:
        raise CallRefused("put: gas fills the meter at a start; pass start=True with it")


def _copied(values: Mapping[Any, Any] | View) -> tuple[Copied, ...]:
    """Return what PUT copies, checked."""
    if not isinstance(values, (dict, Mapping)):
        if isinstance(values, OrderedMap):
            return ((b"", values if type(values) is View else values.region()),)
        raise CallRefused(
            f"put: values is a {type(values).__qualname__}; it is a mapping of keys to values, or a region of the heap"
        )
    copied: list[Copied] = []
    for key, value in values.items():
        form = encode_key(key)
        if type(value) is View:
            copied.append((form, value))
            continue
        try:
            copied.append((form, to_slot(value)))
        except ProgramError as error:
            raise named_error(key, error) from None
    if isinstance(values, PMap):
        # A persistent map comes in the order of its hashes.
        copied.sort(key=lambda one: one[0])
    return tuple(copied)


def _deleted(delete: Iterable[Key | Region]) -> tuple[Deleted, ...]:
    if delete is WHOLE:
        return (EVERYTHING,)
    if isinstance(delete, (str, bytes, int, Region)) or not isinstance(delete, Iterable):
        raise CallRefused(f"put: delete is {delete!r}; it is a list of keys and Regions: [{delete!r}]")
    # In one order, for a set comes in the order of its hashes; what is deleted is the same in every order.
    return tuple(sorted([_delete(one) for one in delete], key=repr))


def _delete(one: Key | Region) -> Deleted:
    if isinstance(one, Region):
        return (encode_key(one.prefix), *one.bounds(), False)
    return encode_key(one), None, None, True
