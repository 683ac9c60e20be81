"""Proofs: that keys of a process's heap have their values, or are absent, under a state root; checked without a store.

The state of the whole machine is one tree (`actors.nodes`, its layout: `runtime.state`), so a proof is the nodes on the
way from its top to the keys. Whoever checks it needs the proof, the 32 bytes of the state root, and this module.

    proof    title             "lockstep proof" 01
             n name …          the process: how many names lead to it from the root; each: its length, its form
             n key …           how many keys, ascending; each: its length, its form (actors.keys)
             value …           that of each key: its length, its encoding (actors.values); 00 where the key is absent
             label             that of the top node: n nibbles
             node …            the nodes on the way: each in front of those below it, these ascending
             sum               the first 8 bytes of the SHA-256 of all this
    bucket   00 n n … nibbles  as in its hashed form
             digest …          but only those of values that do not stand above
    branch   01 or 02          as in its hashed form: the tag,
             u16 u16           which children there are, which of them have a label,
             n nibbles …       the labels,
             slot …            but only those of children that do not follow,
             digest            and that of its own value, unless that stands above

What can be computed from the rest is left out: there is nothing in a proof to contradict it. The forms are put together
from below, and the state root comes out at the top. So a proof, given its root, is right or has a collision of SHA-256:

1.  Where each key is looked for follows from the nodes as they are hashed: its path, nibble by nibble, down from the
    top. A node tells what its digests are of, so that none can be taken for another: a value's, a branch's, a bucket's.
2.  A key that is met has its value; one that is not, because the way ends at a child that is not there, beside a label,
    at a branch without a value or in a bucket, is absent. Which of the two is not the proof's to say, but to repeat.
3.  One goal is on the way besides the keys: the process's control value. It is there in every process that there is, so
    that a key cannot be proved absent in a process which does not exist.
4.  Every node is on the way to a goal, every number in its shortest form, every form one that a state can have. So there
    is one proof of a root, a process and some keys, to the bit; any other bytes are refused.

The sum adds nothing to that. It is there because a proof of an absent key may well be the proof of its neighbour's
absence as well: a bit that tips on the way must not make a true statement out of another one.

Nothing is decoded before it has its digest, nothing recurses, and all is bounded by `actors.limits`.
"""

from __future__ import annotations

from bisect import bisect_left
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from actors.cells import DIGEST_BYTES
from actors.errors import CodecError, InputError, ProofRefused
from actors.goals import UNTOLD, goals_of, process_key, ways, within
from actors.keys import decode_key, encode_key, parse_path, path_text, read_key, show_key
from actors.limits import (
    BUCKET_ENTRIES_MAX,
    KEY_BYTES_MAX,
    PROCESS_DEPTH_MAX,
    PROOF_BYTES_MAX,
    PROOF_KEYS_MAX,
    PROOF_NODES_MAX,
    VALUE_BYTES_MAX,
)
from actors.nodes import (
    BRANCH,
    BRANCH_WITH_VALUE,
    BUCKET,
    COUNT_BYTES,
    NIBBLES,
    PATH_NIBBLES_MAX,
    SLOT_BYTES,
    Node,
    rank,
    read_bucket_head,
    read_form,
    root_form,
    unpack,
)
from actors.values import ABSENT, decode
from actors.wire import Cursor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.keys import Key, Path

TITLE: Final = b"lockstep proof\x01"
SUM_BYTES: Final = 8


class Proof:
    """A proof, whole and consistent in itself; of which state it is, `verify` tells.

    Attributes:
        path: the process that it says it is about, as its names from the root down.
        keys: the keys that it says it is about, in key order.
    """

    __slots__ = ("_data", "_root", "_values", "keys", "path")

    path: Path
    keys: tuple[Key, ...]

    def __init__(self, data: bytes) -> None:
        cursor = Cursor(data, "proof")
        try:
            if len(data) > PROOF_BYTES_MAX:
                raise cursor.refuse(f"it is over the limit of {PROOF_BYTES_MAX} bytes")
            if cursor.data[: len(TITLE)] != TITLE:
                raise cursor.refuse(f"it does not begin with {TITLE!r}, as every proof of this format does,")
            cursor = Cursor(data[:-SUM_BYTES], "proof", len(TITLE))
            if sha256(cursor.data).digest()[:SUM_BYTES] != data[-SUM_BYTES:]:
                raise ProofRefused("proof: its bytes do not have their sum; they were damaged on the way")
            self.path, forms, values = _read_claims(cursor)
            self.keys = tuple([read_key(form) for form in forms])
            self._root = _root_of(cursor, goals_of(self.path, forms), [*values, UNTOLD])
        except CodecError as error:
            raise ProofRefused(str(error)) from error
        self._data = data
        self._values: Mapping[bytes, bytes | None] = dict(zip(forms, values, strict=True))

    @classmethod
    def from_bytes(cls, data: bytes) -> Proof:
        """Return the proof that these bytes are; what it proves, and whether of the right state, `verify` tells.

        Raises:
            ProofRefused: they are none.
        """
        if not isinstance(data, bytes):
            raise InputError(f"a proof is read from bytes, not from a {type(data).__qualname__}")
        return cls(data)

    def to_bytes(self) -> bytes:
        """Return the bytes of the proof: the same for every proof of this process and these keys in the same state."""
        return self._data

    def verify(self, state_root: bytes, path: str | Path | None = None, *keys: Key) -> dict[Key, Any]:
        """Check the proof against a state root, and return what it proves.

        A proof that is right may still be about something else than you think. Name what you asked for, or compare
        `path` and `keys` yourself.

        Args:
            state_root: the 32 bytes of `Block.state_root`, from somebody whom you trust.
            path: the process that it has to be about: `"/shards/3"` or `("shards", 3)`; None: whichever it says.
            keys: those that it has to tell about; none: all that it does.

        Returns:
            The values by key, `ABSENT` for a key that is not there; in the order of `keys`, or in key order. A key of
            one element stands as the element itself.

        Raises:
            ProofRefused: it proves nothing under this root, or not that.
            InputError: `state_root` is not 32 bytes.
            KeyRefused, LimitExceeded: one of `path` or `keys` cannot name anything.
        """
        if not isinstance(state_root, bytes) or len(state_root) != DIGEST_BYTES:
            size = f" of {len(state_root)} bytes" if isinstance(state_root, bytes) else ""
            raise InputError(
                f"a state root is {DIGEST_BYTES} bytes, as in Block.state_root, not a {type(state_root).__qualname__}{size}"
            )
        place = path_text(self.path)
        if path is not None and process_key(parse_path(path)) != process_key(self.path):
            raise ProofRefused(f"proof: it is about {place}, not about {path_text(parse_path(path))}")
        wanted = {key: encode_key(key) for key in keys} if keys else dict(zip(self.keys, self._values, strict=True))
        for key, form in wanted.items():
            if form not in self._values:
                raise ProofRefused(f"proof: it does not tell about the key {show_key(key)} of {place}")
        if not self.leads_to(state_root):
            raise ProofRefused(
                f"proof: it leads to the state root {self._root.hex()[:16]}…, not to {state_root.hex()[:16]}…: "
                "it is of another block's state, or forged"
            )
        return {key: self._value(key, self._values[form]) for key, form in wanted.items()}

    def leads_to(self, state_root: bytes) -> bool:
        """Tell whether it is of this state, and nothing else."""
        return self._root == state_root

    def _value(self, key: Key, form: bytes | None) -> Any:
        try:
            return ABSENT if form is None else decode(form)
        except CodecError as error:
            raise ProofRefused(f"proof: the key {show_key(key)} of {path_text(self.path)}: {error}") from error

    def __eq__(self, other: object) -> bool:
        return self._data == other._data if isinstance(other, Proof) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._data)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy is checked as its original was.
        return Proof, (self._data,)

    def __repr__(self) -> str:
        count = len(self.keys)
        return f"<Proof of {count} key{'' if count == 1 else 's'} of {path_text(self.path)}, {len(self._data)} bytes>"


# --- reading -------------------------------------------------------------------------------------------------------


def _read_claims(cursor: Cursor) -> tuple[Path, list[bytes], list[bytes | None]]:
    """Return the path, the forms of the keys, and the values."""
    path = []
    for _ in range(cursor.varint(PROCESS_DEPTH_MAX)):
        elements = _read_key(cursor)[1]
        if len(elements) != 1 or isinstance(elements[0], bytes):
            raise cursor.refuse("a process has a name that is none, just before")
        path.append(elements[0])
    count = cursor.varint(PROOF_KEYS_MAX)
    if count == 0:
        raise cursor.refuse("it has no keys, just before")
    forms: list[bytes] = []
    for _ in range(count):
        form = _read_key(cursor)[0]
        if forms and form <= forms[-1]:
            raise cursor.refuse("the keys are not ascending, just before")
        forms.append(form)
    # No value is encoded as nothing: that stands for none.
    return tuple(path), forms, [cursor.take(cursor.varint(VALUE_BYTES_MAX)) or None for _ in forms]


def _read_key(cursor: Cursor) -> tuple[bytes, tuple[Any, ...]]:
    form = cursor.take(cursor.varint(KEY_BYTES_MAX))
    try:
        return form, decode_key(form)
    except CodecError as error:
        raise cursor.refuse(f"{error}, just before") from error


def _read_label(cursor: Cursor) -> bytes:
    return unpack(cursor, cursor.varint(PATH_NIBBLES_MAX), "a label")


class _Part:
    """A node of a proof: once its digest is known, or what its form is put together of."""

    __slots__ = ("below", "head", "kept", "node", "tail")

    def __init__(self, node: Node | None, head: bytes = b"", kept: bytes = b"", tail: bytes = b"") -> None:
        self.node = node
        self.head = head
        #: The slots that stand in the proof, and those parts that the others are made of, with their places.
        self.kept = kept
        self.below: list[tuple[int, _Part]] = []
        self.tail = tail


def _root_of(cursor: Cursor, goals: list[bytes], values: list[bytes | None]) -> bytes:
    """Return the state root that the nodes of a proof lead up to, having looked for the goals in them."""
    label = _read_label(cursor)
    met = bytearray(len(goals))
    parts = _read_parts(cursor, goals, values, met, label)
    cursor.end()
    for goal, value in enumerate(values):
        if met[goal] != (value is not None):
            if value is UNTOLD:
                raise ProofRefused("proof: its nodes do not show that there is such a process")
            said, shown = ("absent", "there") if met[goal] else ("there", "absent")
            raise ProofRefused(f"proof: its key {goal + 1} is said to be {said}, and is {shown} by its nodes")
    for number in range(len(parts) - 1, -1, -1):
        try:
            _finish(parts[number])
        except CodecError as error:
            raise ProofRefused(f"proof: its node {number + 1} is none: {error}") from error
    top = parts[0].node
    assert top is not None
    if label and top.count <= BUCKET_ENTRIES_MAX:
        raise ProofRefused("proof: a label stands above a bucket, at the top")
    return sha256(root_form(label, top)).digest()


def _read_parts(
    cursor: Cursor, goals: list[bytes], values: list[bytes | None], met: bytearray, label: bytes
) -> list[_Part]:
    """Return the nodes on the way to the goals, each before those below it; tick the goals that are met."""
    parts: list[_Part] = []
    low, high = within(goals, 0, len(goals), 0, label)
    stack: list[tuple[int, int, int, int, _Part | None]] = [(low, high, len(label), 0, None)] if low < high else []
    while stack:
        first, last, at, place, above = stack.pop()
        if len(parts) == PROOF_NODES_MAX:
            raise cursor.refuse(f"it has more than {PROOF_NODES_MAX} nodes")
        tag = cursor.byte()
        if tag == BUCKET:
            part = _Part(_read_bucket(cursor, goals, values, met, first, last, at))
        elif tag in (BRANCH, BRANCH_WITH_VALUE):
            own = cursor.position - 1
            bits, labelled = int.from_bytes(cursor.take(2), "big"), int.from_bytes(cursor.take(2), "big")
            head = cursor.data[own : cursor.position]
            begin = cursor.position
            labels = {i: _read_label(cursor) for i in range(NIBBLES) if labelled >> i & 1} if labelled else {}
            tail = cursor.data[begin : cursor.position]
            told = None
            if len(goals[first]) == at:
                if tag == BRANCH_WITH_VALUE:
                    met[first], told = 1, values[first]
                first += 1
            below = ways(goals, first, last, at, bits, labels)
            kept = cursor.take(SLOT_BYTES * (bits.bit_count() - len(below)))
            if tag == BRANCH_WITH_VALUE:
                tail += sha256(told).digest() if told else cursor.take(DIGEST_BYTES)
            part = _Part(None, head, kept, tail)
            stack += [(low, high, then, rank(bits, nibble), part) for nibble, low, high, then in reversed(below)]
        else:
            raise cursor.refuse(f"{tag:#04x} begins no node, just before")
        parts.append(part)
        if above is not None:
            above.below.append((place, part))
    return parts


def _read_bucket(
    cursor: Cursor, goals: list[bytes], values: list[bytes | None], met: bytearray, first: int, last: int, at: int
) -> Node:
    begin = cursor.position - 1
    node = read_bucket_head(cursor)
    head = cursor.data[begin : cursor.position]
    order = node.path_list()
    told = []
    for goal in range(first, last):
        rest = goals[goal][at:]
        i = bisect_left(order, rest)
        if i < len(order) and order[i] == rest:
            met[goal] = 1
            value = values[goal]
            if value:
                told.append((i, sha256(value).digest()))
    kept = cursor.take(DIGEST_BYTES * (len(order) - len(told)))
    node.digest = sha256(head + _filled(kept, DIGEST_BYTES, told)).digest()
    return node


def _finish(part: _Part) -> None:
    """Give a branch its node; those of the parts below are there. Its form is checked as every form is that is read."""
    if part.node is not None:
        return
    slots = []
    for place, below in part.below:
        node = below.node
        assert node is not None and node.digest is not None
        slots.append((place, node.count.to_bytes(COUNT_BYTES, "big") + node.digest))
    part.node = read_form(part.head + _filled(part.kept, SLOT_BYTES, slots) + part.tail)


def _filled(kept: bytes, width: int, told: list[tuple[int, bytes]]) -> bytes:
    """Return a row of pieces of one width, some of which are told with their places in it, ascending."""
    pieces: list[bytes] = []
    begin = 0
    for before, (place, piece) in enumerate(told):
        end = width * (place - before)
        pieces += (kept[begin:end], piece)
        begin = end
    return b"".join((*pieces, kept[begin:]))
