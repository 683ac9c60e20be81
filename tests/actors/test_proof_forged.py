"""Forged proofs: put together piece by piece, each with one lie in it and all else as it has to be; and by hand."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import random
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proof_pieces import QUESTIONS, TITLE, Branch, Bucket, Heaps, Pieces, bank, held, refused, sized, state_of, summed

from actors import Key, Proof, ProofRefused
from actors.keys import encode_key
from actors.nodes import to_path
from actors.values import encode

if TYPE_CHECKING:
    from collections.abc import Callable

seeds = st.integers(0, 2**32)


# --- forgeries, piece by piece -------------------------------------------------------------------------------------


def bucket_in(pieces: Pieces) -> Bucket:
    """The bucket with the entry of a key that is told."""
    return next(node for node in pieces.nodes if isinstance(node, Bucket) and None in node.entries.values())


def above(pieces: Pieces, node: Bucket | Branch) -> tuple[Branch, int]:
    """The branch that a node hangs from, and the nibble."""
    follow = [(one, i) for one in pieces.nodes if isinstance(one, Branch) for i in one.slots if one.slots[i] is None]
    # In front of those below it, these ascending: the last way that was opened is gone first.
    open_ways: list[tuple[Branch, int]] = []
    for one in pieces.nodes:
        way = open_ways.pop() if open_ways else None
        if one is node:
            assert way in follow
            assert way is not None
            return way
        if isinstance(one, Branch):
            open_ways += [(one, i) for i in sorted(one.slots, reverse=True) if one.slots[i] is None]
    raise AssertionError("no such node")


def digest_told(pieces: Pieces) -> bytes:
    return sha256(pieces.values[0]).digest()


def says_absent(pieces: Pieces) -> None:
    bucket, (entry, digest) = bucket_in(pieces), told_entry(pieces)
    bucket.entries[entry] = digest
    pieces.values[0] = b""


def told_entry(pieces: Pieces) -> tuple[bytes, bytes]:
    bucket = bucket_in(pieces)
    return next(entry for entry, digest in bucket.entries.items() if digest is None), digest_told(pieces)


def takes_the_entry_out(pieces: Pieces) -> None:
    del bucket_in(pieces).entries[told_entry(pieces)[0]]
    pieces.values[0] = b""


def stops_above_the_bucket(pieces: Pieces) -> None:
    bucket, digest = bucket_in(pieces), digest_told(pieces)
    branch, i = above(pieces, bucket)
    pieces.nodes.remove(bucket)
    bucket.entries = {entry: one or digest for entry, one in bucket.entries.items()}
    branch.slots[i] = len(bucket.entries).to_bytes(6, "big") + sha256(bucket.to_bytes()).digest()
    pieces.values[0] = b""


def takes_the_child_away(pieces: Pieces) -> None:
    bucket = bucket_in(pieces)
    branch, i = above(pieces, bucket)
    pieces.nodes.remove(bucket)
    del branch.slots[i]
    pieces.values[0] = b""


def tells_another_value(pieces: Pieces) -> None:
    pieces.values[0] = encode(8)


def tells_it_of_the_neighbour(pieces: Pieces) -> None:
    bucket, (entry, digest) = bucket_in(pieces), told_entry(pieces)
    pieces.keys[0] = encode_key(("account", 8))
    bucket.entries |= {entry[:-1] + b"\x08": None, entry: digest}


def makes_it_the_neighbour(pieces: Pieces) -> None:
    bucket, (entry, _) = bucket_in(pieces), told_entry(pieces)
    pieces.keys[0] = encode_key(("account", 8))
    del bucket.entries[entry]
    bucket.entries[entry[:-1] + b"\x08"] = None


def makes_the_bucket_a_branch(pieces: Pieces) -> None:
    bucket, digest = bucket_in(pieces), digest_told(pieces)
    place = pieces.nodes.index(bucket)
    count = (1).to_bytes(6, "big")
    slots = {path[0]: count + (one or digest) for path, one in bucket.entries.items()}
    pieces.nodes[place] = Branch({**slots, 15: (30).to_bytes(6, "big") + digest}, {})
    pieces.values[0] = b""


def makes_the_branch_a_bucket(pieces: Pieces) -> None:
    bucket, (entry, _) = bucket_in(pieces), told_entry(pieces)
    branch, i = above(pieces, bucket)
    place = pieces.nodes.index(branch)
    pieces.nodes.remove(bucket)
    pieces.nodes[place] = Bucket({bytes([i]) + branch.labels.get(i, b"") + entry: None})


def lies_in_counts(pieces: Pieces) -> None:
    branch, _ = above(pieces, bucket_in(pieces))
    one, other = [i for i, slot in branch.slots.items() if slot is not None][:2]
    for i, by in ((one, 1), (other, -1)):
        slot = branch.slots[i]
        assert slot is not None
        branch.slots[i] = (int.from_bytes(slot[:6], "big") + by).to_bytes(6, "big") + slot[6:]


def swaps_slots(pieces: Pieces) -> None:
    branch, _ = above(pieces, bucket_in(pieces))
    one, other = [i for i, slot in branch.slots.items() if slot is not None][:2]
    branch.slots[one], branch.slots[other] = branch.slots[other], branch.slots[one]


def moves_the_bucket_to_another_nibble(pieces: Pieces) -> None:
    branch, i = above(pieces, bucket_in(pieces))
    free = next(other for other in range(16) if other not in branch.slots)
    branch.slots[free] = branch.slots.pop(i)


def labelled(pieces: Pieces) -> tuple[Branch, int]:
    """The last branch with a label on the way behind it, and its nibble."""
    return [
        (node, i) for node in pieces.nodes if isinstance(node, Branch) for i in node.labels if node.slots[i] is None
    ][-1]


def cut_off(pieces: Pieces, branch: Branch, i: int) -> None:
    """Put a child's slot in the place of the child, as is right where nothing is looked for below it."""
    place = pieces.nodes.index(branch) + 1
    for j in sorted(branch.slots):
        end, open_ways = place, int(branch.slots[j] is None)
        while open_ways:
            node = pieces.nodes[end]
            open_ways += list(node.slots.values()).count(None) - 1 if isinstance(node, Branch) else -1
            end += 1
        if j == i:
            branch.slots[i] = (100).to_bytes(6, "big") + sha256(pieces.nodes[place].to_bytes()).digest()
            del pieces.nodes[place:end]
            return
        place = end


def shortens_a_label(pieces: Pieces) -> None:
    branch, i = labelled(pieces)
    branch.labels[i] = branch.labels[i][:-1]


def drops_a_label(pieces: Pieces) -> None:
    branch, i = labelled(pieces)
    del branch.labels[i]


def turns_a_label_away(pieces: Pieces) -> None:
    """So that the key leaves it, and there is nothing more to show."""
    branch, i = labelled(pieces)
    cut_off(pieces, branch, i)
    branch.labels[i] = bytes([branch.labels[i][0] ^ 1]) + branch.labels[i][1:]
    pieces.values[0] = b""


def turns_the_key_away(pieces: Pieces) -> None:
    """So that it leaves a label that is right: the key is another one, whose absence is told as well as it can be."""
    branch, i = labelled(pieces)
    cut_off(pieces, branch, i)
    pieces.values[0] = b""


def puts_a_label_on_top(pieces: Pieces) -> None:
    pieces.label = to_path(b"c")[:1]


def gives_a_branch_a_value(pieces: Pieces) -> None:
    branch, _ = above(pieces, bucket_in(pieces))
    branch.tag, branch.own = 2, bytes(32)


def names_another_process(pieces: Pieces) -> None:
    pieces.names = [encode_key("b")]


def names_no_process(pieces: Pieces) -> None:
    pieces.names = [encode_key("nobody")]
    pieces.values[0] = b""
    pieces.nodes = pieces.nodes[:1]


def names_a_process_in_bytes(pieces: Pieces) -> None:
    pieces.names = [encode_key(b"bank")]


def names_a_process_by_two_elements(pieces: Pieces) -> None:
    pieces.names = [encode_key(("bank", "bank"))]


def names_the_root(pieces: Pieces) -> None:
    pieces.names = []


def adds_a_node(pieces: Pieces) -> None:
    pieces.nodes.append(pieces.nodes[-1])


def adds_a_node_that_nobody_comes_to(pieces: Pieces) -> None:
    branch, _ = above(pieces, bucket_in(pieces))
    i = next(i for i, slot in branch.slots.items() if slot is not None)
    branch.slots[i] = None
    pieces.nodes.append(Bucket({b"": bytes(32)}))


def leaves_the_last_node_out(pieces: Pieces) -> None:
    pieces.nodes.pop()


def swaps_two_nodes(pieces: Pieces) -> None:
    pieces.nodes[-1], pieces.nodes[-2] = pieces.nodes[-2], pieces.nodes[-1]


def names_a_key_twice(pieces: Pieces) -> None:
    pieces.keys *= 2
    pieces.values *= 2


def names_no_key(pieces: Pieces) -> None:
    pieces.keys, pieces.values = [], []


def adds_a_key_that_it_does_not_show(pieces: Pieces) -> None:
    pieces.keys.insert(0, encode_key(("account", 6)))
    pieces.values.insert(0, encode(6))


def tells_what_is_absent_beside_it(pieces: Pieces) -> None:
    pieces.keys.append(encode_key(("account", 7, "x")))
    pieces.values.append(encode(6))


def gives_a_key_that_is_none(pieces: Pieces) -> None:
    pieces.keys[0] += b"\xff"


def leaves_the_value_s_digest_in(pieces: Pieces) -> None:
    entry, digest = told_entry(pieces)
    bucket_in(pieces).entries[entry] = digest


def hides_another_digest(pieces: Pieces) -> None:
    bucket = bucket_in(pieces)
    bucket.entries[next(entry for entry, digest in bucket.entries.items() if digest)] = None


FORGERIES: dict[str, tuple[Callable[[Pieces], None], str]] = {
    forge.__name__: (forge, told)
    for forge, told in (
        (says_absent, "key 1 is said to be absent, and is there"),
        (takes_the_entry_out, "it leads to the state root"),
        (stops_above_the_bucket, ""),
        (takes_the_child_away, "it leads to the state root"),
        (tells_another_value, "it leads to the state root"),
        (tells_it_of_the_neighbour, "it leads to the state root"),
        (makes_it_the_neighbour, "it leads to the state root"),
        (makes_the_bucket_a_branch, ""),
        (makes_the_branch_a_bucket, ""),
        (lies_in_counts, "it leads to the state root"),
        (swaps_slots, "it leads to the state root"),
        (moves_the_bucket_to_another_nibble, ""),
        (shortens_a_label, ""),
        (drops_a_label, ""),
        (turns_a_label_away, "it leads to the state root"),
        (turns_the_key_away, ""),
        (puts_a_label_on_top, ""),
        (gives_a_branch_a_value, "it leads to the state root"),
        (names_another_process, ""),
        (names_no_process, ""),
        (names_a_process_in_bytes, "a process has a name that is none"),
        (names_a_process_by_two_elements, "a process has a name that is none"),
        (names_the_root, ""),
        (adds_a_node, "there are bytes too many"),
        (adds_a_node_that_nobody_comes_to, ""),
        (leaves_the_last_node_out, ""),
        (swaps_two_nodes, ""),
        (names_a_key_twice, "the keys are not ascending"),
        (names_no_key, "it has no keys"),
        (adds_a_key_that_it_does_not_show, ""),
        (tells_what_is_absent_beside_it, "key 2 is said to be there, and is absent"),
        (gives_a_key_that_is_none, "key: byte"),
        (leaves_the_value_s_digest_in, ""),
        (hides_another_digest, ""),
    )
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forgery_is_refused(forgery: str) -> None:
    heaps = bank(random.Random(3))
    state = state_of(heaps)
    pieces = Pieces.of(state, ("bank",), [("account", 7)])
    assert held(pieces.to_bytes(), state, heaps), "it would be refused anyhow"
    forge, told = FORGERIES[forgery]
    forge(pieces)
    assert told in refused(pieces, state)


def test_values_cannot_be_moved_between_the_keys_of_a_proof() -> None:
    heaps = bank(random.Random(4))
    state = state_of(heaps)
    keys: list[Key] = [("account",), ("account", 7), ("account", 8), "nothing", "note"]
    honest_pieces = Pieces.of(state, ("bank",), keys)
    for one, other in itertools.combinations(range(len(keys)), 2):
        pieces = copy.deepcopy(honest_pieces)
        pieces.values[one], pieces.values[other] = pieces.values[other], pieces.values[one]
        refused(pieces, state)
    for one in range(len(keys)):
        for value in (b"", b"\x00", encode(9), b"\xff" * 40):
            pieces = copy.deepcopy(honest_pieces)
            if pieces.values[one] != value:
                pieces.values[one] = value
                refused(pieces, state)


def test_the_bytes_of_a_node_are_no_value_and_those_of_a_value_no_node() -> None:
    # A value whose encoding would be a bucket's form, were it read as one, and the other way about.
    heaps: Heaps = {(): {n: n for n in range(100)}}
    state = state_of(heaps)
    pieces = Pieces.of(state, (), [50])
    bucket = bucket_in(pieces)
    digest = digest_told(pieces)
    bucket.entries = {path: one or digest for path, one in bucket.entries.items()}
    branch, i = above(pieces, bucket)
    place = pieces.nodes.index(bucket)
    pieces.nodes[place] = Bucket({b"": None})
    pieces.values[0] = bucket.to_bytes()
    branch.labels.pop(i, None)
    refused(pieces, state)


@settings(deadline=None, max_examples=40)
@given(seeds)
def test_pieces_of_different_proofs_do_not_fit_together(seed: int) -> None:
    draw = random.Random(seed)
    heaps = bank(draw)
    state = state_of(heaps)
    later = copy.deepcopy(heaps)
    later["bank",]["account", 7] = "changed"
    asked = [(heaps, path, keys) for path, keys in QUESTIONS.values()] + [(later, ("bank",), [("account", 7)])]
    for _ in range(20):
        one, other = (
            Pieces.of(state_of(of), path, keys) for of, path, keys in (draw.choice(asked), draw.choice(asked))
        )
        for field in draw.sample(dataclasses.fields(Pieces), draw.randrange(1, 4)):
            setattr(one, field.name, getattr(other, field.name))
        if draw.random() < 0.5 and len(one.nodes) > 1:
            one.nodes[draw.randrange(len(one.nodes))] = draw.choice(other.nodes)
        if len(one.keys) == len(one.values):
            held(one.to_bytes(), state, heaps)


# --- roots that nobody honest made ---------------------------------------------------------------------------------

KEY = b"\x02k\0"
SLOT = (30).to_bytes(6, "big") + bytes(32)


def by_hand(*nodes: bytes, label: bytes = b"\0", value: bytes = b"\x81", head: bytes = b"\0\x01\x03" + KEY) -> bytes:
    """A proof of the root's key "k", its bytes put together by hand."""
    return summed(TITLE + head + sized(value) + label + b"".join(nodes))


#: The ways to the two goals, the key and the process's control value, behind their first nibbles.
H, P = f"68{KEY.hex()}", "70"
KEY_ONLY = bytes.fromhex(f"00 01 07 {H[1:]}0")
CONTROL_ONLY = bytes.fromhex("00 01 01 00") + bytes(32)
#: The process /k instead of the root, whose key is below its name.
OF_A_CHILD = b"\1" + sized(KEY) + b"\1" + sized(KEY)
CHILD_H, CHILD_P = f"{KEY.hex()}{H}", f"{KEY.hex()}{P}"
CHILD_BUCKET = bytes.fromhex(f"00 02 0f 09 3{CHILD_H}3{CHILD_P}") + bytes(32)


def branching(label: bytes) -> bytes:
    """A child's proof, with a branch at the top, behind a label."""
    top = bytes.fromhex("01 0009 0000") + SLOT
    return by_hand(top, bytes.fromhex(f"00 02 0e 08 {CHILD_H}{CHILD_P}") + bytes(32), label=label, head=OF_A_CHILD)


def forked(head: str, slots: bytes = SLOT, key: bytes = KEY_ONLY) -> bytes:
    """A proof with a branch at the top, of which this is all but the slots; the rest fits to children 6 and 7."""
    return by_hand(bytes.fromhex(head) + slots, key, CONTROL_ONLY)


SOUND = {
    "a bucket": by_hand(bytes.fromhex(f"00 02 08 02 {H}{P}") + bytes(32)),
    "a bucket with a third": by_hand(bytes.fromhex(f"00 03 08 02 02 {H}{P}73") + bytes(64)),
    "a branch": forked("01 00c1 0000"),
    "a branch with a label": forked("01 00c1 0001 01 10"),
    "a branch behind a label": branching(b"\x01\x60"),
}
#: What is wrong, the bytes, and what the refusal says.
UNSOUND = {
    "nothing at all": (b"", "it does not begin with"),
    "another format": (summed(b"lockstep proof\x02" + SOUND["a bucket"][15:-8]), "it does not begin with"),
    "another kind": (summed(b"lockstep block\x01" + SOUND["a bucket"][15:-8]), "it does not begin with"),
    "a number in two bytes": (by_hand(head=b"\x80\0\x01\x03" + KEY), "a number is not in its shortest form"),
    "no nodes": (by_hand(), "the bytes end too early"),
    "a node of no kind": (by_hand(b"\x03\0"), "0x03 begins no node"),
    "no process": (by_hand(bytes.fromhex(f"00 01 08 {H}")), "do not show that there is such a process"),
    "an empty bucket": (by_hand(b"\0\0"), "a bucket is empty"),
    "too large a bucket": (
        by_hand(b"\0\x19" + b"\x02" * 25 + bytes(range(100, 125)) + bytes(800)),
        "over its limit of 24",
    ),
    "a bucket that descends": (by_hand(bytes.fromhex(f"00 02 02 08 {P}{H}") + bytes(32)), "are not ascending"),
    "an entry twice": (by_hand(bytes.fromhex(f"00 03 08 08 02 {H}{H}{P}") + bytes(64)), "are not ascending"),
    "a length in two bytes": (by_hand(bytes.fromhex(f"00 02 8800 02 {H}{P}") + bytes(32)), "not in its shortest form"),
    "a bucket's padding": (
        by_hand(bytes.fromhex(f"00 03 08 02 01 {H}{P}7f") + bytes(64)),
        "the padding of a path is not 0",
    ),
    "one child": (by_hand(bytes.fromhex("01 0040 0000"), CHILD_BUCKET, head=OF_A_CHILD), "too little below it"),
    "no children": (by_hand(bytes.fromhex("01 0000 0000"), value=b""), "do not show that there is such a process"),
    "few entries": (forked("01 00c0 0000", b""), "too little below it"),
    "an empty child": (forked("01 00c3 0000", SLOT + bytes(38)), "a child has no entries"),
    "more than can be": (forked("01 00c3 0000", (b"\xff" * 6 + bytes(32)) * 2), "more below it than can be"),
    "a label of nothing": (forked("01 00c1 0001 00"), "a label is empty"),
    "a label of no child": (forked("01 00c4 0002 01 10"), "a label is that of no child"),
    "a label's padding": (forked("01 00c1 0001 01 11"), "the padding of a label is not 0"),
    "a label above a bucket": (
        forked("01 00c1 0040 01 80", key=bytes.fromhex(f"00 01 06 {H[2:]}")),
        "a label stands above a bucket",
    ),
    "a label above a bucket, at the top": (
        by_hand(CHILD_BUCKET, label=b"\x01\x60", head=OF_A_CHILD),
        "a label stands above a bucket, at the top",
    ),
    "the padding of the label at the top": (branching(b"\x01\x61"), "the padding of a label is not 0"),
    "a length in two bytes, of the label at the top": (branching(b"\x81\0\x60"), "not in its shortest form"),
}


@pytest.mark.parametrize("what", SOUND)
def test_a_proof_put_together_by_hand_is_read(what: str) -> None:
    proof = Proof.from_bytes(SOUND[what])
    assert proof.keys == ("k",)
    # And it is bound to one root, which nobody needs to know here.
    with pytest.raises(ProofRefused, match="leads to the state root"):
        proof.verify(bytes(32))


@pytest.mark.parametrize("what", UNSOUND)
def test_a_proof_is_refused_whatever_its_root(what: str) -> None:
    data, told = UNSOUND[what]
    with pytest.raises(ProofRefused, match=f"^proof: .*{told}"):
        Proof.from_bytes(data)
