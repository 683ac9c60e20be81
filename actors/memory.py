"""A process's memory as the machine sees it: a tree, the working set above it, and the last snapshot.

    now      = tree ⊕ kept ⊕ writes
    snapshot = snap ⊕ kept                 (⊕: laid over; a later layer wins)

Programs write into an ordinary dict (`writes`); a snapshot moves those into `kept` and costs what was written since the
last one; to go back to the snapshot is to forget `writes`; what changed since is `writes`. The trees are touched when
the memory is *folded*: at a commit, before a region is taken out or mounted, and where a count or a digest is asked for.

Invariant: where `kept` is not empty, `tree` is `snap`. So both lines above hold at all times.

A heap never has more than `HEAP_ENTRIES_MAX` entries, also while they are spread over these layers: `room` says how many
writes are sure to fit, and whoever writes more than that asks `write`, which counts exactly and refuses the whole.

A *slot* is what stands for a value here: the value itself where it is a small scalar, else a `Formed`, which carries
the encoding beside it, so that whatever the encoding refuses is refused where the program writes it; `ABSENT` where the
key is not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from actors.codecs import exact_of, handed
from actors.encoding import encode_plain
from actors.errors import LimitExceeded, ProgramError
from actors.freezing import freeze
from actors.keys import show_key
from actors.limits import (
    BUCKET_ENTRIES_MAX,
    HEAP_ENTRIES_MAX,
    INLINE_BYTES_MAX,
    LAID_ENTRIES_MAX,
    READ_CACHE_ENTRIES_MAX,
)
from actors.quota import Quota
from actors.tree import EMPTY, Tree
from actors.values import ABSENT, decode, encode

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from actors.envelope import Limits

_UNSEEN: Final = object()
#: Stands for every dict of a memory that has nothing in it; never written to. Idle processes are many.
_NONE: Final[dict[bytes, Any]] = {}
_FLAT: Final = frozenset({bool, type(None)})
_SCALARS: Final = frozenset({int, str, bytes, float})
#: Ints of a smaller magnitude are slots as they are.
SMALL_INT: Final = 1 << 62
_SCALAR_SIZE_MAX: Final = 1 << 20


class Formed:
    """A value with its encoding; decoded when it is first asked for."""

    __slots__ = ("_value", "data")

    def __init__(self, data: bytes, value: object = _UNSEEN) -> None:
        self.data = data
        self._value = value

    @property
    def value(self) -> Any:
        value = self._value
        if value is _UNSEEN:
            value = self._value = decode(self.data)
        hand = handed.get(type(value))
        return value if hand is None else hand(value)


Slot: TypeAlias = Any
#: A snapshot that need not be folded yet.
Mark: TypeAlias = "tuple[Tree, dict[bytes, Slot]]"


def to_slot(value: Any) -> Slot:
    """Return the slot of a value that a program hands in: frozen, checked, encoded unless it is a small scalar.

    Raises:
        ValueRefused, LimitExceeded: as `freeze` and `encode`.
    """
    kind = type(value)
    if kind is int:
        if -SMALL_INT < value < SMALL_INT:
            return value
    elif kind is str:
        if value.isascii() and len(value) < _SCALAR_SIZE_MAX:
            return value
    elif kind in _FLAT or (kind is bytes and len(value) < _SCALAR_SIZE_MAX):
        return value
    elif kind is tuple:
        data = encode_plain(value)
        if data is not None:
            return Formed(data, value)
    elif kind is list:
        data = encode_plain(value, lists=True)
        if data is not None:
            return Formed(data)
    elif (exact := exact_of(kind)) is not None:
        again = exact.again(value)
        return Formed(encode(value)) if again is None else Formed(*again)
    frozen = freeze(value)
    # A map's or set's order, and what a codec makes, follow from how they were made. So what is read is always what was
    # decoded: whether a value still is in the working set depends on the machine, and no program may see it.
    return Formed(encode(frozen), frozen if kind in _SCALARS else _UNSEEN)


def slot_at(key: object, value: object) -> Slot:
    """Return the slot of a value that is to stand under a key, which any error names."""
    try:
        return to_slot(value)
    except ProgramError as error:
        raise named_error(key, error) from None


def named_error(key: object, error: ProgramError) -> ProgramError:
    """Return an error about a value again, with the key that it was to stand under."""
    return type(error)(f"under the key {show_key(key)}: {error}")


def placed_error(place: str, error: ProgramError) -> ProgramError:
    """Return an error about a heap again, with the path of the process whose heap it is."""
    return type(error)(f"{place}: {error}")


def value_of(slot: Slot) -> Any:
    """Return the value of a slot; ABSENT stays ABSENT."""
    return slot.value if type(slot) is Formed else slot


def form_of(slot: Slot) -> bytes | None:
    """Return the encoding of a slot's value, or None for ABSENT."""
    if type(slot) is Formed:
        return slot.data
    return None if slot is ABSENT else encode(slot)


def same_slot(one: Slot, other: Slot) -> bool:
    """Tell whether two slots hold one value, or are both ABSENT."""
    return one is other or form_of(one) == form_of(other)


class Memory:
    """The heap of one process with its last snapshot. The module's docstring has the rules."""

    __slots__ = ("cache", "kept", "quota", "room", "snap", "tree", "writes")

    def __init__(self, tree: Tree = EMPTY, snap: Tree | None = None) -> None:
        self.tree = tree
        #: The snapshot, but for what is in `kept`.
        self.snap = tree if snap is None else snap
        #: Written before the snapshot, not folded yet.
        self.kept: dict[bytes, Slot] = _NONE
        #: Written since the snapshot, not folded yet.
        self.writes: dict[bytes, Slot] = {}
        #: Read from `tree`.
        self.cache: dict[bytes, Slot] = _NONE
        #: How many entries `writes` may have before it has to be counted whether the heap is full: the limit less the
        #: entries of `tree` and of `kept`, or fewer.
        self.room = HEAP_ENTRIES_MAX if tree.node is None else HEAP_ENTRIES_MAX - tree.node.count
        #: What it may hold, where it is limited; then there never is room without counting.
        self.quota: Quota | None = None

    def limit(self, limits: Limits) -> None:
        """Set what it may hold from now on."""
        self.quota = Quota(limits)
        self._make_room(self.fold())

    def _make_room(self, tree: Tree) -> None:
        """Note that the folded heap is `tree`, with nothing above it."""
        self.room = HEAP_ENTRIES_MAX - len(tree) if self.quota is None else -1

    def read(self, key: bytes) -> Slot:
        """Return the slot of an encoded key."""
        if key in self.writes:
            return self.writes[key]
        if key in self.kept:
            return self.kept[key]
        return self._read_tree(key)

    def _read_tree(self, key: bytes) -> Slot:
        slot = self.cache.get(key, _UNSEEN)
        if slot is not _UNSEEN:
            return slot
        data = self.tree.get(key)
        slot = ABSENT if data is None else Formed(data)
        if not self.cache or len(self.cache) >= READ_CACHE_ENTRIES_MAX:
            self.cache = {}
        self.cache[key] = slot
        return slot

    def fold(self) -> Tree:
        """Fold the working set into the trees and return the heap as it is now. O(what was written)."""
        if self.kept:
            self.snap = self.tree = self.snap.update(_forms(self.kept))
            self._remember(self.kept)
            self.kept = _NONE
            self._make_room(self.tree)
        if self.writes:
            self.tree = self.tree.update(_forms(self.writes))
            self._remember(self.writes)
            self.writes = {}
            self._make_room(self.tree)
        return self.tree

    def write(self, slots: Mapping[bytes, Slot]) -> None:
        """Write many slots.

        Raises:
            LimitExceeded: the heap would have too many entries, or more than it may hold; none was written.
        """
        if self.quota is not None:
            self.quota.admit(self, slots)
        if len(self.writes) + len(slots) > self.room:
            tree = self.fold()
            count = len(tree)
            for key, slot in slots.items():
                count += (slot is not ABSENT) - (tree.cell(key) is not None)
            if count > HEAP_ENTRIES_MAX:
                raise _too_many(count)
        self.writes.update(slots)

    def delete(self, key: bytes) -> None:
        """Delete a key that is there."""
        if self.quota is not None:
            self.quota.admit(self, {key: ABSENT})
        self.writes[key] = ABSENT

    def few(self) -> list[tuple[bytes, bytes | None, bytes | None]] | None:
        """Return (key, encoded value now, encoded value at the snapshot) of a heap that is no more than a few writes.

        None where it is more. Such a heap needs no tree of its own until it grows: many processes have no other.
        """
        if self.tree.node is not None or self.snap.node is not None:
            return None
        kept, writes = self.kept, self.writes
        if len(kept) + len(writes) > BUCKET_ENTRIES_MAX:
            return None
        if not writes:
            return [(key, form, form) for key, slot in kept.items() for form in (form_of(slot),)]
        then = {key: form_of(slot) for key, slot in kept.items()}
        now = {**then, **{key: form_of(slot) for key, slot in writes.items()}}
        return [(key, form, then.get(key)) for key, form in now.items()]

    def below(self, prefix: bytes) -> Tree:
        """Return what is at and below an encoded prefix.

        Where a heap is no more than a few writes, and there are long values among the others, these are not hashed for it:
        the heap is not folded, and if it is at a later time, it shares nothing with what was taken out.
        """
        now = [(key, form) for key, form, _ in self.few() or () if form is not None]
        if any(len(form) > INLINE_BYTES_MAX and not key.startswith(prefix) for key, form in now):
            return EMPTY.update([(key[len(prefix) :], form) for key, form in now if key.startswith(prefix)])
        return self.fold().extract(prefix)

    def _remember(self, slots: dict[bytes, Slot]) -> None:
        if len(self.tree) <= BUCKET_ENTRIES_MAX or len(self.cache) + len(slots) > READ_CACHE_ENTRIES_MAX:
            # What it held is out of date; and to read a single node again costs less than to remember what was in it.
            self.cache = _NONE
        elif self.cache:
            self.cache.update(slots)
        else:
            self.cache = dict(slots)

    def layers(self) -> tuple[Tree, dict[bytes, Slot]]:
        """Return the heap as it is now, as a tree and what is to be laid over it; folded first where that is much.

        A fold costs its changes times the depth, so where a heap is forked again and again, a few at a time, it is done once
        for many forks.
        """
        if self.kept or len(self.writes) > LAID_ENTRIES_MAX:
            self.fold()
        return self.tree, dict(self.writes)

    def lay(self, tree: Tree, laid: Mapping[bytes, Slot]) -> None:
        """Put a whole heap in place of this one, by reference: a tree and what is to be laid over it.

        Raises:
            LimitExceeded: the heap would have too many entries; it is as it was.
        """
        if self.quota is not None or len(laid) > HEAP_ENTRIES_MAX - len(tree):
            self.mount(b"", tree.update(_forms(laid)))
            return
        self.snapshot()
        self.tree = tree
        self.cache = _NONE
        self.writes = dict(laid)
        self._make_room(tree)

    def mount(self, prefix: bytes, tree: Tree) -> None:
        """Put `tree` in place of everything at and below an encoded prefix, by reference.

        Raises:
            LimitExceeded: the heap would have too many entries, or too long a key; it is as it was.
        """
        self.replace(self.fold().graft(prefix, tree))

    def replace(self, made: Tree) -> None:
        """Put a tree that was made of the folded heap in its place.

        Raises:
            LimitExceeded: the heap would have too many entries; it is as it was.
        """
        if len(made) > HEAP_ENTRIES_MAX:
            raise _too_many(len(made))
        if self.quota is not None:
            self.quota.take(made)
        self.tree = made
        self.cache = _NONE
        self._make_room(made)

    def clear(self, prefix: bytes, low: bytes | None, high: bytes | None) -> None:
        """Remove a region: what begins with `prefix` and, behind it, lies in low <= key < high."""
        if low is None and high is None:
            if prefix or self.writes or self.kept or self.tree.node is not None:
                self.mount(prefix, EMPTY)
            return
        whole = self.fold().extract(prefix)
        below = EMPTY if low is None else whole.cut(None, low)
        self.mount(prefix, below if high is None else below.join(whole.cut(high, None)))

    def reset(self) -> None:
        """Empty it, the snapshot as well."""
        self.tree = self.snap = EMPTY
        self.kept = self.cache = _NONE
        self.writes = {}
        if self.quota is not None:
            self.quota.forget()
        self._make_room(EMPTY)

    def copy(self) -> Memory:
        """Return another memory of the same content; what is written into one does not show in the other."""
        memory = Memory(self.tree, self.snap)
        memory.kept = dict(self.kept)
        memory.writes = dict(self.writes)
        memory.room = self.room
        memory.quota = None if self.quota is None else self.quota.copy()
        return memory

    def become(self, other: Memory) -> None:
        """Take over the content of another memory, which nobody uses any more."""
        self.tree, self.snap, self.kept, self.writes, self.cache, self.room, self.quota = (
            other.tree,
            other.snap,
            other.kept,
            other.writes,
            other.cache,
            other.room,
            other.quota,
        )

    # --- snapshots ---

    def take_snapshot(self) -> None:
        """Make the heap as it is now the snapshot. O(what was written since the last one)."""
        self.snap = self.tree
        writes = self.writes
        if writes:
            if self.kept:
                self.kept.update(writes)
            else:
                self.kept = writes
            self.room -= len(writes)
            self.writes = {}

    def snapshot(self) -> Tree:
        """Return the snapshot as a tree."""
        if self.kept:
            self.snap = self.tree = self.snap.update(_forms(self.kept))
            self._remember(self.kept)
            self.kept = _NONE
            self._make_room(self.tree)
        return self.snap

    def mark(self) -> Mark:
        """Return what the snapshot is now, to be told at any later time by `marked`. Costs nothing."""
        return self.snap, self.kept

    def revert(self) -> None:
        """Go back to the snapshot."""
        self.writes = {}
        if self.quota is not None:
            self.quota.forget()
        if self.tree is not self.snap:
            self.tree = self.snap
            self.cache = _NONE
            self._make_room(self.tree)

    def changed(self) -> Written | None:
        """Return what was written since the snapshot, where the working set has all of it.

        None where it does not: then the difference of `snapshot()` and `fold()` has.
        """
        if self.tree is not self.snap:
            return None
        kept, cache, writes = self.kept, self.cache, self.writes
        over = {key: kept[key] for key in writes if key in kept} if kept else _NONE
        seen = {key: cache[key] for key in writes if key in cache} if cache else _NONE
        return Written(self.tree, over, seen, dict(writes))


class Written:
    """What was written on top of a snapshot. Frozen; what was there before is read when it is asked for.

    Args:
        tree: the snapshot, but for what is in `kept`.
        kept: of the written keys, those that have another value in the snapshot than in the tree.
        seen: of the written keys, some that were read from the tree already.
        writes: what was written, what is as it had been included.
    """

    __slots__ = ("_seen", "kept", "tree", "writes")

    def __init__(self, tree: Tree, kept: dict[bytes, Slot], seen: dict[bytes, Slot], writes: dict[bytes, Slot]) -> None:
        self.tree = tree
        self.kept = kept
        self._seen = seen
        self.writes = writes

    def slots(self, without: Container[bytes] = ()) -> list[tuple[bytes, Slot, Slot]]:
        """Return (key, slot at the snapshot, slot now) of what differs, by key, without some keys."""
        found = []
        for key in sorted(self.writes):
            if key not in without:
                before, now = self._before(key), self.writes[key]
                if not same_slot(before, now):
                    found.append((key, before, now))
        return found

    def _before(self, key: bytes) -> Slot:
        if key in self.kept:
            return self.kept[key]
        if key in self._seen:
            return self._seen[key]
        data = self.tree.get(key)
        return ABSENT if data is None else Formed(data)


def marked(mark: Mark) -> Tree:
    """Return the snapshot that a memory had when it was marked.

    To be called while the activation lasts that was about to begin then: what was kept is not written to meanwhile, for
    the next snapshot is taken behind a stop, which folds it.
    """
    snap, kept = mark
    return snap.update(_forms(kept)) if kept else snap


def _too_many(count: int) -> LimitExceeded:
    return LimitExceeded(
        f"the heap would have {count} entries, over the limit of {HEAP_ENTRIES_MAX}; "
        "delete what is not needed, or keep a part of it in the heap of a child"
    )


def _forms(slots: Mapping[bytes, Slot]) -> Iterable[tuple[bytes, bytes | None]]:
    return [(key, form_of(slot)) for key, slot in slots.items()]
