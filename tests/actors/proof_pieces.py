"""Proofs, written a second time: honest ones, found key by key, and any others that a forger could think of."""

from __future__ import annotations

import dataclasses
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from actors import ABSENT, Key, Path, Proof, ProofRefused, freeze
from actors.cells import cell_digest
from actors.keys import encode_key
from actors.nodes import Node, to_path
from actors.prove import prove
from actors.records import load
from actors.tree import EMPTY, Tree
from actors.values import encode, same
from actors.walks import kid_of

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

Heaps = dict[Path, dict[Key, Any]]

CONTROL = encode(("a control value", 1, None))
TITLE = b"lockstep proof\x01"


def leb(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number % 128 + 128]) + leb(number // 128)


def sized(data: bytes) -> bytes:
    return leb(len(data)) + data


def summed(data: bytes) -> bytes:
    """The bytes with the sum that they need."""
    return data + sha256(data).digest()[:8]


# --- states --------------------------------------------------------------------------------------------------------


def state_of(heaps: Heaps, snapshots: Heaps | None = None) -> Tree:
    """A machine's state, as `runtime.state` lays it out."""
    children: dict[Path, dict[bytes, Tree]] = {path: {} for path in heaps}
    for path in sorted(heaps, key=len, reverse=True):
        parts = {b"h": EMPTY.update((encode_key(key), encode(freeze(value))) for key, value in heaps[path].items())}
        kept = (snapshots or {}).get(path, {})
        parts[b"s"] = EMPTY.update((encode_key(key), encode(freeze(value))) for key, value in kept.items())
        parts[b"c"] = EMPTY.graft_all(children[path])
        state = Tree.assemble({b"p": CONTROL}, parts)
        if not path:
            return state
        children[path[:-1]][encode_key(path[-1])] = state
    raise AssertionError("no root")


def honest(heaps: Heaps, path: Path, keys: Iterable[Key], state: Tree | None = None) -> bytes:
    return prove(state_of(heaps) if state is None else state, path, keys).to_bytes()


def true(heaps: Heaps, path: Path, proved: dict[Key, Any]) -> bool:
    """Whether what was proved is so."""
    if path not in heaps:
        return False
    known = {encode_key(key): freeze(value) for key, value in heaps[path].items()}

    def is_so(key: Key, value: Any) -> bool:
        return value is ABSENT if encode_key(key) not in known else same(value, known[encode_key(key)])

    return all(is_so(key, value) for key, value in proved.items())


def held(data: bytes, state: Tree, heaps: Heaps) -> bool:
    """Check the one sentence about any bytes; return whether they were accepted."""
    try:
        proof = Proof.from_bytes(data)
        proved = proof.verify(state.digest())
    except ProofRefused:
        return False
    assert true(heaps, proof.path, proved), "something was proved that is not so"
    assert prove(state, proof.path, proof.keys).to_bytes() == data, "two proofs of one thing"
    return True


def refused(forged: Pieces, state: Tree) -> str:
    """Check that a forgery is refused, and return what the refusal says."""
    try:
        proof = Proof.from_bytes(forged.to_bytes())
        proved = proof.verify(state.digest())
    except ProofRefused as error:
        return str(error)
    raise AssertionError(f"a forgery is taken for {proof}: {proved}")


def bank(draw: random.Random) -> Heaps:
    """A state in which proofs have all that they can have: labels, own values, several processes, branches in branches."""
    heap: dict[Key, Any] = {("account", n): n for n in range(60)}
    heap |= {("account",): "own", ("account", 7, "deeper"): 1, "note": b"x" * 400, (): None}
    heap |= {draw.randbytes(20): n for n in range(60)}
    return {(): {"x": 1, "y": 2}, ("bank",): heap, ("bank", 0): {"x": 3}, ("a",): {}, ("b",): {"x": 4}}


QUESTIONS: dict[str, tuple[Path, list[Key]]] = {
    "of one key": (("bank",), [("account", 7)]),
    "of an own value": (("bank",), [("account",)]),
    "of an absent key beside a label": (("bank",), ["acc"]),
    "of several": (("bank",), [("account", 7), ("account",), "note", "nothing", (), ("account", 7, "deeper"), b"z"]),
    "of the root": ((), ["x", "z"]),
    "of an empty heap": (("a",), ["x"]),
    "of a grandchild": (("bank", 0), ["x", "y"]),
}


# --- pieces ---


@dataclasses.dataclass
class Bucket:
    """A bucket of a proof: its entries, with None for a digest that is left out."""

    entries: dict[bytes, bytes | None]

    def to_bytes(self) -> bytes:
        joined = b"".join(self.entries)
        lengths = b"".join(leb(len(path)) for path in self.entries)
        return b"\0" + leb(len(self.entries)) + lengths + packed(joined) + b"".join(filter(None, self.entries.values()))


@dataclasses.dataclass
class Branch:
    """A branch of a proof: its children's slots, None for those that follow; the own digest, None where it stands above."""

    slots: dict[int, bytes | None]
    labels: dict[int, bytes]
    own: bytes | None = None
    tag: int = 1

    def to_bytes(self) -> bytes:
        bits, labelled = (sum(1 << i for i in those).to_bytes(2, "big") for those in (self.slots, self.labels))
        labels = b"".join(leb(len(self.labels[i])) + packed(self.labels[i]) for i in sorted(self.labels))
        slots = b"".join(self.slots[i] or b"" for i in sorted(self.slots))
        return bytes([self.tag]) + bits + labelled + labels + slots + (self.own or b"")


def packed(path: bytes) -> bytes:
    return bytes.fromhex("".join(f"{nibble:x}" for nibble in path) + "0" * (len(path) % 2))


@dataclasses.dataclass
class Pieces:
    """A proof in pieces, as they stand in its bytes; none of it is checked."""

    names: list[bytes]
    keys: list[bytes]
    values: list[bytes]
    label: bytes
    nodes: list[Bucket | Branch]

    @staticmethod
    def of(state: Tree, path: Path, keys: Iterable[Key]) -> Pieces:
        """The honest pieces, found key by key: no goal is looked for together with another one."""
        names = [encode_key(name) for name in path]
        forms = sorted({encode_key(key) for key in keys})
        process = b"".join(b"c" + name for name in names)
        told = {to_path(process + b"h" + form): state.get(process + b"h" + form) or b"" for form in forms}
        goals = {**told, to_path(process + b"p"): b""}
        nodes: list[Bucket | Branch] = []

        def write(node: Node, at: bytes) -> None:
            load(node)
            digests = {}
            here = [goal[len(at) :] for goal in goals if goal.startswith(at)]
            assert here, "a node is on nobody's way"
            if node.kids is None:
                for entry, cell in node.entries().items():
                    digest = cell_digest(cell)
                    digests[entry] = None if goals.get(at + entry) else digest
                nodes.append(Bucket(digests))
                return
            assert node.form is not None
            branch = Branch({}, dict(node.labels))
            nodes.append(branch)
            if node.value is not None:
                branch.tag = 2
                branch.own = None if goals.get(at) else cell_digest(node.value)
            for i in range(16):
                label, kid = kid_of(node, i)
                if kid is None:
                    continue
                assert kid.digest is not None
                below = bytes([i]) + label
                follows = any(rest.startswith(below) for rest in here)
                branch.slots[i] = None if follows else kid.count.to_bytes(6, "big") + kid.digest
                if follows:
                    write(kid, at + below)

        state.digest()
        assert state.node is not None
        write(state.node, state.label)
        return Pieces(names, forms, list(told.values()), state.label, nodes)

    def to_bytes(self) -> bytes:
        claims = [leb(len(self.names)), *map(sized, self.names), leb(len(self.keys)), *map(sized, self.keys)]
        nodes = [leb(len(self.label)) + packed(self.label), *(node.to_bytes() for node in self.nodes)]
        return summed(TITLE + b"".join([*claims, *map(sized, self.values), *nodes]))
