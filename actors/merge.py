"""Three-way merge: a child's changes since its snapshot, folded into the heap of its parent.

For each changed key there are three values: `base`, the one of the child's snapshot; `theirs`, the child's now; `ours`,
the caller's now. Where ours is still base, theirs is taken. Else it is a conflict, also when ours and theirs are equal
now: that two sides wrote the same is luck, and a program that is right by luck is found out by the next input. A
*resolver* says how such keys are settled; every key is decided before the first is written.

Where the changes are two trees, the caller's heap is folded and the three trees are put together: what only the child
touched is taken over as it is, nodes, digests and all, and no key of it is looked at. Where the child only wrote, and began
on the tree that still is below the caller's own writes, what it wrote is taken as well. The rest goes key by key.

(Aviram and others, "Efficient System-Enforced Deterministic Parallelism", OSDI 2010, section 3.2: there a conflict is
an error at the join; here it has the keys, and may be settled.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from actors.changes import Changes, slot_of
from actors.errors import CallRefused, LimitExceeded, ProgramError, ValueRefused
from actors.keys import Key, encode_key, read_key, show_key
from actors.memory import Memory, Slot, form_of, placed_error, same_slot, to_slot, value_of
from actors.region import Region
from actors.values import ABSENT, show

if TYPE_CHECKING:
    from actors.tree import Tree


#: So many keys of a conflict are printed, and have the lines of their writers told.
CONFLICTS_SHOWN_MAX: Final = 20


class Writer(NamedTuple):
    """Who gave a key the value that is in conflict."""

    #: Its path, as printed.
    path: str
    #: Where, as "file:line"; None where that is not known.
    line: str | None = None

    def __str__(self) -> str:
        return self.path if self.line is None else f"{self.path} ({self.line})"


class MergeConflict(ProgramError):
    """Keys that both sides changed since the snapshot. The caller's heap is as it was before the merge.

    Args:
        place: where the merge was asked for, as printed.
        conflicts: for every key, in order: (key, the snapshot's value, the caller's, the child's); a side on which the
            key is absent has `actors.ABSENT`.
        writers: for every key, in the same order, whose values the caller's and the child's are; none after a plain
            `merge`, which does not know.
    """

    code = "merge-conflict"

    def __init__(
        self,
        place: str,
        conflicts: Sequence[tuple[Any, Any, Any, Any]],
        writers: Sequence[tuple[Writer, Writer]] = (),
    ) -> None:
        super().__init__(place, tuple(conflicts), tuple(writers))
        self.place = place
        self.conflicts = tuple(conflicts)
        self.writers = tuple(writers)

    def __str__(self) -> str:
        lines = []
        for index, (key, base, ours, theirs) in enumerate(self.conflicts[:CONFLICTS_SHOWN_MAX]):
            lines.append(f"  {show_key(key)}: was {show(base)}, here {show(ours)}, in the child {show(theirs)}")
            if self.writers:
                here, child = self.writers[index]
                lines.append(f"    written here by {here}, in the child by {child}")
        if len(self.conflicts) > CONFLICTS_SHOWN_MAX:
            lines.append(f"  … and {len(self.conflicts) - CONFLICTS_SHOWN_MAX} more")
        head = f"merge into {self.place}: {len(self.conflicts)} key(s) changed on both sides since the snapshot"
        return "\n".join([head, *lines, "pass resolve= to say how such keys are settled; nothing was merged"])


#: A key that both sides changed, encoded, with the slots of base, ours and theirs.
_Clash: TypeAlias = tuple[bytes, Slot, Slot, Slot]
#: Settles one key: (base, ours, theirs) → the value to take, or ABSENT for none.
Resolver: TypeAlias = Callable[[Any, Any, Any], Any]
#: Settles every key: (key, base, ours, theirs) → the value; or a resolver for each key or region that has one.
Resolve: TypeAlias = Callable[[Key, Any, Any, Any], Any] | Mapping[Key | Region, Resolver]


def add(base: Any, ours: Any, theirs: Any) -> Any:
    """A resolver for counters: both sides' increments count. An absent counter is 0, and to delete one is to take it all off."""
    start, mine, other = (0 if value is ABSENT else value for value in (base, ours, theirs))
    return mine + (other - start)


def check_resolve(resolve: object, named: str = "merge: resolve") -> None:
    """Check that `resolve` is what `merge` takes.

    Args:
        resolve: what was given.
        named: as what, for the error.

    Raises:
        CallRefused: it is neither a function nor a mapping of keys or regions to functions.
    """
    if resolve is None or callable(resolve):
        return
    if isinstance(resolve, Mapping):
        for where, resolver in resolve.items():
            if not callable(resolver):
                raise CallRefused(
                    f"{named}[{where!r}] is a {type(resolver).__name__}; it takes a function (base, ours, theirs)"
                )
            encode_key(where.prefix if isinstance(where, Region) else where)
        return
    raise CallRefused(
        f"{named} is a {type(resolve).__name__}; it takes a function (key, base, ours, theirs) or a mapping "
        "of keys and Regions to functions (base, ours, theirs)"
    )


def merge(memory: Memory, changes: Changes, resolve: Resolve | None, place: str) -> dict[bytes, Slot]:
    """Fold changes into a memory.

    Args:
        memory: the caller's.
        changes: what the child changed since its snapshot.
        resolve: how conflicts are settled; None: not at all.
        place: the caller's path, for the error.

    Returns:
        What stands there now under keys that had to be settled.

    Raises:
        MergeConflict: with every key that nothing settles; the memory is as it was.
        LimitExceeded: the heap would have too many entries; the memory is as it was.
    """
    made: Tree | None = None
    decided: Mapping[bytes, Slot]
    before, after = changes.machine_heaps
    if len(before) or len(after):
        made, found = memory.fold().combine(before, after)
        decided = {}
        clashes = [(form, slot_of(base), slot_of(ours), slot_of(theirs)) for form, base, ours, theirs in found]
    else:
        decided, clashes = _compared(memory, changes)
    settled: dict[bytes, Slot] = {}
    if clashes:
        settled = _settle(clashes, resolve, place)
        decided = {**decided, **settled}
    try:
        if made is None:
            memory.write(decided)
        else:
            memory.replace(made.update([(form, form_of(slot)) for form, slot in decided.items()]))
    except LimitExceeded as error:
        raise placed_error(f"merge into {place}", error) from None
    return settled


def _compared(memory: Memory, changes: Changes) -> tuple[Mapping[bytes, Slot], list[_Clash]]:
    """Return what may be taken as it is, and what both sides changed, in order."""
    written = changes.machine_written
    if written is None or memory.kept or not written.tree.shares(memory.tree):
        decided: dict[bytes, Slot] = {}
        slots = changes.machine_slots()
    else:
        # The child began on the tree that is below the writes here. So but for these, all is here as the child found it:
        # what it wrote elsewhere is taken without a look at what was there.
        mine, theirs_alone = memory.writes, written.kept
        if not theirs_alone and mine.keys().isdisjoint(written.writes):
            return written.writes, []
        decided = {key: new for key, new in written.writes.items() if key not in mine and key not in theirs_alone}
        slots = written.slots(without=decided)
    clashes = []
    for form, base, theirs in slots:
        ours = memory.read(form)
        if same_slot(ours, base):
            decided[form] = theirs
        else:
            clashes.append((form, base, ours, theirs))
    return decided, clashes


def _settle(clashes: list[_Clash], resolve: Resolve | None, place: str) -> dict[bytes, Slot]:
    """Return what is to stand under keys that both sides changed: (key, base, ours, theirs).

    Raises:
        MergeConflict: with every key that nothing settles.
    """
    settled: dict[bytes, Slot] = {}
    conflicts: list[tuple[Any, Any, Any, Any]] = []
    for form, *slots in clashes:
        key = read_key(form)
        base, ours, theirs = map(value_of, slots)
        resolver = None if resolve is None else _resolver(resolve, form, key)
        if resolver is None:
            conflicts.append((key, base, ours, theirs))
        else:
            settled[form] = _settled(resolver, key, place, base, ours, theirs)
    if conflicts:
        raise MergeConflict(place, conflicts)
    return settled


def _settled(resolver: Resolver, key: Any, place: str, base: Any, ours: Any, theirs: Any) -> Slot:
    """Return what a resolver makes of a key; its errors name that."""
    where = f"merge into {place}, where {show_key(key)} was changed on both sides"
    try:
        answer = resolver(base, ours, theirs)
        return ABSENT if answer is ABSENT else to_slot(answer)
    except (CallRefused, LimitExceeded, ValueRefused) as error:
        raise placed_error(where, error) from None
    except Exception as error:
        error.add_note(f"{where}: {show(base)} there before, here {show(ours)}, in the child {show(theirs)}")
        raise


def _resolver(resolve: Resolve, form: bytes, key: Key) -> Resolver | None:
    if not isinstance(resolve, Mapping):
        return lambda base, ours, theirs: resolve(key, base, ours, theirs)
    for where, resolver in resolve.items():
        if not isinstance(where, Region):
            if encode_key(where) == form:
                return resolver
            continue
        prefix = encode_key(where.prefix)
        low, high = where.bounds()
        rest = form[len(prefix) :]
        if form.startswith(prefix) and (low is None or rest >= low) and (high is None or rest < high):
            return resolver
    return None
