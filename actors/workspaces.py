"""Private workspaces: children that work on their parent's heap, each on a copy of its own, and are merged at a join.

    fork     a child on the parent's whole heap, by reference, with some values of its own on top; started
    join     its changes, merged into the parent's heap three ways; then it is dropped
    team     several, joined in the order in which they were started when the block ends: all of them, or none
    barrier  in a member: stop until all have come here; then all go on, on what they have made together

A read never sees what another one writes meanwhile: it sees the heap as it was at the fork, or at the last barrier. So
`x = y` beside `y = x` swaps the two, always, and to forget a join gives the same wrong answer every time. Two who write one
key are in conflict, unless the process's `reductions` say how that is settled; the error has the key, both writers and
their lines, and the parent's heap is as it was.

(The private workspace model of Aviram and others, "Efficient System-Enforced Deterministic Parallelism", OSDI 2010, section
2.2; there a merge takes what a crashed thread had half written, here that merges nothing.)
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from actors.errors import CallRefused, ChildFailed, NoSuchChild, ProgramError
from actors.merge import check_resolve
from actors.writers import Workspace, Writers

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from actors.changes import Changes
    from actors.envelope import Limits
    from actors.keys import Name
    from actors.merge import Resolve
    from actors.process import Placement, Process


class Workspaces:
    """What a process has of these."""

    _known_writers: Writers | None = None
    #: How many teams this activation has begun: no two have members of the same names.
    _teams = 0

    async def fork(
        self,
        name: Name,
        program: type[Process],
        values: Mapping[Any, Any] | None = None,
        *,
        gas: int | None = None,
        placement: Placement | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Start a child on a copy of this heap, by reference.

        Args:
            name: the child's.
            program: what it runs.
            values: put on top of the copy: what it alone is told, as it is now. Only if it changes them are they merged.
            gas: what its meter is filled with at each start, as for `put`.
            placement: where it runs, as for `put`.
            limits: what it may have, as for `put`.

        Raises:
            CallRefused: there is a child of that name: forked and not joined yet, in this activation or an earlier one, or
                put there.
            ProgramError: as PUT.
        """
        if values is not None and not isinstance(values, Mapping):
            raise CallRefused(
                f"fork: values is a {type(values).__qualname__}; it is a mapping of keys to values, put on top of the copy"
            )
        writers = _writers_of(self)
        process = cast("Process", self)
        workspace = Workspace((*process.path, name), program, values or {}, gas, limits)
        writers.begin(workspace, process.heap.region())
        await process.put(
            name,
            workspace.content(),
            program=program,
            start=True,
            gas=gas,
            placement=placement,
            limits=limits,
            new=True,
        )
        writers.under_way[name] = workspace

    async def join(self, name: Name, *, resolve: Resolve | None = None) -> Changes:
        """Merge what a child has changed since its start into this heap, and drop the child. Waits until it is stopped.

        Where it has trapped or is in conflict, this heap is as it was, and so is the child: start it again, merge it with
        `resolve`, or drop it.

        Args:
            name: the child's.
            resolve: how keys that both sides changed are settled, as for `merge`; if not given, as `reductions` says.

        Returns:
            The changes that were merged.

        Raises:
            MergeConflict: with every key in conflict, both its writers and their lines.
            CallRefused: it stands in the middle of its `run`, and would not come to its end.
            NoSuchChild, ChildFailed, OutOfGas: as GET.
        """
        check_resolve(resolve, "join: resolve")
        process = cast("Process", self)
        trap = await process.status(name)
        if trap.middle and not trap.failed:
            raise CallRefused(
                f"join: {name!r} stands in the middle of its run, at ret() or barrier(), and a join ends it; "
                "start it again first (a team does that for barriers), or merge() it and drop() it"
            )
        changes = await _writers_of(self).merge(name, resolve)
        await process.drop(name)
        return changes

    def team(self, *, resolve: Resolve | None = None) -> Team:
        """Return a team: `async with self.team() as team: await team.fork(Sort, {"low": 0})`.

        Args:
            resolve: how keys that two of them changed are settled, as for `merge`; if not given, as `reductions` says.
        """
        check_resolve(resolve, "team: resolve")
        self._teams += 1
        return Team(cast("Process", self), f"team {self._teams}", resolve)

    async def barrier(self) -> None:
        """In a member of a team: stop until all have; then go on, on the heap that all have made together."""
        await cast("Process", self).ret()


class Team:
    """Children on workspaces of one heap, which are joined together. `Process.team` makes it.

    Args:
        process: whose children they are.
        named: what their names begin with.
        resolve: how keys that two of them changed are settled.
    """

    def __init__(self, process: Process, named: str, resolve: Resolve | None) -> None:
        self._process = process
        self._named = named
        self._resolve = resolve
        self._writers = _writers_of(process)
        #: Those that are not at their end, in the order in which they were started.
        self._members: list[Name] = []
        self._forked = 0
        self._begun = self._over = False

    async def __aenter__(self) -> Self:
        self._begun = True
        return self

    async def fork(
        self,
        program: type[Process],
        values: Mapping[Any, Any] | None = None,
        *,
        name: Name | None = None,
        gas: int | None = None,
        placement: Placement | None = None,
        limits: Limits | None = None,
    ) -> Name:
        """Start a member; all but `name` is as for `Process.fork`.

        Args:
            program: what it runs.
            values: what it alone is told; it finds them again behind every barrier.
            name: its name, if it is to have one of its own.
            gas: as for `fork`.
            placement: as for `fork`.
            limits: as for `fork`.

        Returns:
            Its name.
        """
        self._check()
        if not isinstance(program, type):
            raise ProgramError(f"team: {program!r} is no program; that comes first, and a name as in fork(P, name=…)")
        if name is None:
            name = f"{self._named}.{self._forked}"
        await self._process.fork(name, program, values, gas=gas, placement=placement, limits=limits)
        self._forked += 1
        self._members.append(name)
        return name

    async def barrier(self) -> None:
        """Wait until every member has come to its barrier or its end, merge all, and let them go on, on the whole.

        Raises:
            MergeConflict, ChildFailed, OutOfGas: as `join`; the heap is as it was, and the members are dropped.
            CallRefused: a member was joined or dropped by hand; the others are dropped.
        """
        self._check()
        process, writers = self._process, self._writers
        before, joins = process.heap.region(), writers.joins
        try:
            for name in self._members:
                if name not in writers.under_way:
                    raise CallRefused(f"team: its member {name!r} was joined or dropped; leave both to the team")
            waiting = [(await process.status(name)).middle for name in self._members]
            for name in self._members:
                await writers.merge(name, self._resolve)
        except Exception as error:
            process.heap[()] = before
            writers.withdraw(joins)
            await self._drop()
            if isinstance(error, ChildFailed):
                error.add_note("it was a member of a team, all of whose members were dropped")
            raise
        members, self._members = self._members, []
        merged = process.heap.region()
        for name, goes_on in zip(members, waiting, strict=True):
            if not goes_on:
                await process.drop(name)
                continue
            workspace = writers.under_way[name]
            writers.begin(workspace, merged)
            await process.put(name, workspace.content(), start=True, gas=workspace.gas)
            self._members.append(name)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if error is None:
            # Members may come to more barriers than their parent has an interest in.
            while self._members:
                await self.barrier()
        elif not isinstance(error, GeneratorExit):
            # With that the process is at its end, and makes no more calls.
            await self._drop()
        self._over = True

    def _check(self) -> None:
        if self._over or not self._begun:
            what = "is over; make another one" if self._over else "has not begun; begin it"
            raise CallRefused(f"team: it {what} with `async with self.team() as team`")

    async def _drop(self) -> None:
        members, self._members = self._members, []
        self._over = True
        for name in members:
            with suppress(NoSuchChild):  # dropped by hand
                await self._process.drop(name)


def _writers_of(process: Any) -> Writers:
    found: Writers | None = process._known_writers
    if found is None:
        found = process._known_writers = Writers(process)
    return found
