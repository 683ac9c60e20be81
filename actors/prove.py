"""Making proofs: the nodes on the way from the top of a state to some keys, written as `actors.proof` reads them.

It reads what it writes and no more: a proof of one key of a million takes as many nodes from the store as a look-up.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from actors.cells import DIGEST_BYTES
from actors.errors import CodecError, InputError, LimitExceeded
from actors.goals import HEAP, UNTOLD, goals_of, process_key, ways, within
from actors.keys import encode_key, path_text
from actors.limits import PROOF_BYTES_MAX, PROOF_KEYS_MAX, PROOF_NODES_MAX
from actors.nodes import SLOT_BYTES, SLOTS_AT, pack, rank, to_key
from actors.proof import SUM_BYTES, TITLE, Proof
from actors.records import load
from actors.walks import kid_of
from actors.wire import varint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from actors.keys import Key, Path
    from actors.nodes import Node
    from actors.tree import Tree

_FEWER: Final = "make several proofs of fewer keys"


def prove(state: Tree, path: Path, keys: Iterable[Key]) -> Proof:
    """Return the proof that keys of a process's heap have the values that they have, or are absent.

    Args:
        state: the state of the whole machine.
        path: the process, which must be there.
        keys: the keys, one at least; the order does not matter.

    Raises:
        InputError: there is no key, or no such process.
        KeyRefused, LimitExceeded: one is no key; they are too many, or their values too large, for one proof.
        StoreDamaged: a node could not be read.
    """
    forms = sorted({encode_key(key) for key in keys})
    if not forms:
        raise InputError(f"which key of {path_text(path)} is to be proved? name one at least")
    if len(forms) > PROOF_KEYS_MAX:
        raise LimitExceeded(f"a proof of {len(forms)} keys is over the limit of {PROOF_KEYS_MAX}; {_FEWER}")
    try:
        goals = goals_of(path, forms)
    except CodecError as error:
        raise LimitExceeded(str(error)) from None
    if state.cell(to_key(goals[-1])) is None:
        raise InputError(f"there is no process {path_text(path)}, so nothing can be proved about it")
    values = _values(state, process_key(path) + HEAP, forms)
    root = state.digest()
    parts = [TITLE]
    for some in ([encode_key(name) for name in path], forms):
        parts += [varint(len(some)), *[varint(len(form)) + form for form in some]]
    for value in values:
        parts += (b"\0",) if value is None else (varint(len(value)), value)
    parts += _nodes(state, goals, [*values, UNTOLD])
    data = b"".join(parts)
    _check_size(len(data) + SUM_BYTES)
    proof = Proof.from_bytes(data + sha256(data).digest()[:SUM_BYTES])
    assert proof.leads_to(root), "a proof was made that proves nothing"
    return proof


def _values(state: Tree, heap: bytes, forms: list[bytes]) -> list[bytes | None]:
    values, size = [], 0
    for form in forms:
        value = state.get(heap + form)
        size += len(value or b"")
        _check_size(size)  # before the next one is read
        values.append(value)
    return values


def _check_size(size: int) -> None:
    if size > PROOF_BYTES_MAX:
        raise LimitExceeded(f"a proof of {size} bytes or more is over the limit of {PROOF_BYTES_MAX}; {_FEWER}")


def _nodes(state: Tree, goals: list[bytes], told: list[bytes | None]) -> Iterator[bytes]:
    """Yield the label and the nodes of a proof, which leads to all goals or beside them; their digests are known."""
    label = state.label
    yield varint(len(label)) + pack(label)
    low, high = within(goals, 0, len(goals), 0, label)
    stack: list[tuple[Node | None, int, int, int]] = [(state.node, low, high, len(label))]
    count = 0
    while stack:
        node, first, last, at = stack.pop()
        count += 1
        if count > PROOF_NODES_MAX:
            raise LimitExceeded(f"a proof of more than {PROOF_NODES_MAX} nodes is over the limit; {_FEWER}")
        assert node is not None
        form = load(node).form
        assert form is not None
        if node.kids is None:
            digests = len(form) - DIGEST_BYTES * node.count
            places = {path: i for i, path in enumerate(node.path_list())}
            left = [places[goals[goal][at:]] for goal in range(first, last) if told[goal]]
            yield form[:digests]
            yield _without(form[digests:], DIGEST_BYTES, left)
            continue
        bits = int.from_bytes(form[1:3], "big")
        slots = SLOTS_AT + SLOT_BYTES * bits.bit_count()
        end = len(form)
        if len(goals[first]) == at:
            # Its value, where it is told, is the branch's own.
            end -= DIGEST_BYTES if told[first] else 0
            first += 1
        below = ways(goals, first, last, at, bits, node.labels)
        yield form[:SLOTS_AT]
        own = min(end, len(form) - DIGEST_BYTES) if node.value is not None else end
        yield form[slots:own]
        yield _without(form[SLOTS_AT:slots], SLOT_BYTES, [rank(bits, nibble) for nibble, *_ in below])
        yield form[own:end]
        stack += [(kid_of(node, nibble)[1], low, high, then) for nibble, low, high, then in reversed(below)]


def _without(row: bytes, width: int, left: list[int]) -> bytes:
    """Return a row of pieces of one width without some of them, whose places ascend."""
    pieces, begin = [], 0
    for place in left:
        pieces.append(row[begin : width * place])
        begin = width * (place + 1)
    return b"".join((*pieces, row[begin:]))
