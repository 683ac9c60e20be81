"""Three-way merge: a child's changes since its snapshot, folded into the heap of its parent.

For each changed key there are three values: `base`, the one of the child's snapshot; `theirs`, the child's now; `ours`,
the caller's now. Where ours is still base, theirs is taken. Else it is a conflict, also when ours and theirs are equal
now: that two sides wrote the same is luck, and a program that is right by luck is found out by the next input. A
*resolver* says how such keys are settled; every key is decided before the first is written.

(Aviram and others, "Efficient System-Enforced Deterministic Parallelism", OSDI 2010, section 3.2: there a conflict is
an error at the join; here it has the keys, and may be settled.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from actors.errors import CallRefused, LimitExceeded, ProgramError
from actors.keys import Key, decode_key, encode_key, plain, show_key
from actors.memory import Memory, Slot, placed_error, same_slot, to_slot, value_of
from actors.region import Region
from actors.values import ABSENT, show

if TYPE_CHECKING:
    from actors.changes import Changes


class MergeConflict(ProgramError):
    """Keys that both sides changed since the snapshot. The caller's heap is as it was before the merge.

    Args:
        place: where the merge was asked for, as printed.
        conflicts: for every key, in order: (key, the snapshot's value, the caller's, the child's); a side on which the
            key is absent has `actors.ABSENT`.
    """

    code = "merge-conflict"

    def __init__(self, place: str, conflicts: Sequence[tuple[Any, Any, Any, Any]]) -> None:
        super().__init__(place, tuple(conflicts))
        self.place = place
        self.conflicts = tuple(conflicts)

    def __str__(self) -> str:
        lines = [
            f"  {show_key(key)}: was {show(base)}, here {show(ours)}, in the child {show(theirs)}"
            for key, base, ours, theirs in self.conflicts[:20]
        ]
        if len(self.conflicts) > 20:
            lines.append(f"  … and {len(self.conflicts) - 20} more")
        head = f"merge into {self.place}: {len(self.conflicts)} key(s) changed on both sides since the snapshot"
        return "\n".join([head, *lines, "pass resolve= to say how such keys are settled; nothing was merged"])


#: Settles one key: (base, ours, theirs) → the value to take, or ABSENT for none.
Resolver: TypeAlias = Callable[[Any, Any, Any], Any]
#: Settles every key: (key, base, ours, theirs) → the value; or a resolver for each key or region that has one.
Resolve: TypeAlias = Callable[[Key, Any, Any, Any], Any] | Mapping[Key | Region, Resolver]


def add(base: Any, ours: Any, theirs: Any) -> Any:
    """A resolver for counters: both sides' increments count. An absent counter is 0."""
    start, mine, other = (0 if value is ABSENT else value for value in (base, ours, theirs))
    return mine + (other - start)


def check_resolve(resolve: object) -> None:
    """Check that `resolve` is what `merge` takes.

    Raises:
        CallRefused: it is neither a function nor a mapping of keys or regions to functions.
    """
    if resolve is None or callable(resolve):
        return
    if isinstance(resolve, Mapping):
        for where, resolver in resolve.items():
            if not callable(resolver):
                raise CallRefused(
                    f"merge: resolve[{where!r}] is a {type(resolver).__name__}; it takes a function (base, ours, theirs)"
                )
            encode_key(where.prefix if isinstance(where, Region) else where)
        return
    raise CallRefused(
        f"merge: resolve is a {type(resolve).__name__}; it takes a function (key, base, ours, theirs) or a mapping "
        "of keys and Regions to functions (base, ours, theirs)"
    )


def merge(memory: Memory, changes: Changes, resolve: Resolve | None, place: str) -> None:
    """Fold changes into a memory.

    Args:
        memory: the caller's.
        changes: what the child changed since its snapshot.
        resolve: how conflicts are settled; None: not at all.
        place: the caller's path, for the error.

    Raises:
        MergeConflict: with every key that nothing settles; the memory is as it was.
        LimitExceeded: the heap would have too many entries; the memory is as it was.
    """
    decided: dict[bytes, Slot] = {}
    conflicts: list[tuple[Any, Any, Any, Any]] = []
    for form, base, theirs in changes.slots():
        ours = memory.read(form)
        if same_slot(ours, base):
            decided[form] = theirs
            continue
        key = plain(decode_key(form))
        values = value_of(base), value_of(ours), value_of(theirs)
        resolver = None if resolve is None else _resolver(resolve, form, key)
        if resolver is None:
            conflicts.append((key, *values))
        else:
            settled = resolver(*values)
            decided[form] = ABSENT if settled is ABSENT else to_slot(settled)
    if conflicts:
        raise MergeConflict(place, conflicts)
    try:
        memory.write(decided)
    except LimitExceeded as error:
        raise placed_error(f"merge into {place}", error) from None


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
