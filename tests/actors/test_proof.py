"""Proofs: what is true is proved, in one way; and nothing else, whoever makes the bytes.

What must hold of any bytes at all is one sentence, `held`: under the root of a state they are refused, or they are the
very bytes of the honest proof of what they say, and that is true. So it does not matter how bytes were come by: tipped
bits, pieces moved about, or forgeries that are put together piece by piece, by a second writing of the format
(`Pieces`), which can lie. All of them get the sum that they need, so that it is never the sum that refuses them.
"""

from __future__ import annotations

import copy
import pickle
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proof_pieces import (
    CONTROL,
    QUESTIONS,
    TITLE,
    Branch,
    Bucket,
    Heaps,
    Pieces,
    bank,
    held,
    honest,
    refused,
    state_of,
    summed,
    true,
)

from actors import (
    ABSENT,
    CodecError,
    InputError,
    Key,
    KeyRefused,
    LimitExceeded,
    LockstepError,
    Path,
    Proof,
    ProofRefused,
    codec,
    freeze,
)
from actors.keys import encode_key
from actors.limits import (
    BUCKET_ENTRIES_MAX,
    INLINE_BYTES_MAX,
    KEY_BYTES_MAX,
    PROCESS_DEPTH_MAX,
    PROOF_BYTES_MAX,
    PROOF_KEYS_MAX,
    PROOF_NODES_MAX,
    VALUE_BYTES_MAX,
)
from actors.nodes import to_path
from actors.prove import prove
from actors.tree import EMPTY, Tree
from actors.values import decode, encode

ELEMENTS: tuple[Any, ...] = ("", "a", "ab", "b", "\0", b"", b"\0", b"\1a", b"a", 0, 1, -1, 255, 256, 2**70, -(2**70))
NAMES: tuple[str | int, ...] = ("a", "b", "bank", 0, 1, -1, 300)


def some_key(draw: random.Random) -> Key:
    kind = draw.random()
    if kind < 0.4:
        return tuple(draw.choice(ELEMENTS) for _ in range(draw.randrange(4)))
    if kind < 0.5:
        return (0,) * draw.randrange(30)
    if kind < 0.6:
        return b"k" * draw.randrange(1, 200)
    return draw.choice((draw.randbytes(20), draw.randrange(10**4), f"account {draw.randrange(3000)}"))


def some_value(draw: random.Random) -> Any:
    size = draw.choice((0, 1, 5, INLINE_BYTES_MAX - 3, INLINE_BYTES_MAX - 2, INLINE_BYTES_MAX + 9))
    return draw.choice((None, True, False, 1.5, draw.randrange(3), draw.randbytes(size), ("t", [1, {"k": size}])))


def some_heaps(draw: random.Random) -> Heaps:
    """A tree of processes, few or many, and their heaps, empty, small or large."""
    paths: list[Path] = [()]
    for _ in range(draw.choice((0, 1, 3, 40))):
        path = (*draw.choice(paths[-3:]), draw.choice((draw.choice(NAMES), draw.randrange(1000))))
        if path not in paths:
            paths.append(path)
    sizes = (0, 1, 5, BUCKET_ENTRIES_MAX - 1, BUCKET_ENTRIES_MAX, BUCKET_ENTRIES_MAX + 1, 100, 500)
    heaps: Heaps = {path: {} for path in paths}
    for path in draw.sample(paths, min(len(paths), 4)):
        by_form = {encode_key(key): key for key in (some_key(draw) for _ in range(draw.choice(sizes)))}
        heaps[path] = {key: some_value(draw) for key in by_form.values()}
    return heaps


def some_keys(draw: random.Random, heap: dict[Key, Any], count: int) -> list[Key]:
    """Keys of a heap, keys near these, and others."""
    found: list[Key] = []
    for _ in range(count):
        near = draw.choice(list(heap)) if heap and draw.random() < 0.8 else some_key(draw)
        if draw.random() < 0.3:
            elements = near if isinstance(near, tuple) else (near,)
            near = draw.choice(
                (elements[:-1], (*elements, draw.choice(ELEMENTS)), (*elements[:-1], draw.choice(ELEMENTS)))
            )
        found.append(near)
    return found


seeds = st.integers(0, 2**32)


# --- what is true is proved ----------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=150)
@given(seeds, st.sampled_from([1, 2, 5, 40]))
def test_a_proof_says_of_each_key_what_the_heap_says(seed: int, count: int) -> None:
    draw = random.Random(seed)
    heaps = some_heaps(draw)
    state = state_of(heaps, {path: heap for path, heap in heaps.items() if draw.random() < 0.3})
    path = draw.choice(list(heaps))
    keys = some_keys(draw, heaps[path], count)
    proof = prove(state, path, keys)
    data = proof.to_bytes()
    again = Proof.from_bytes(data)
    assert (again.path, again) == (path, proof)
    proved = again.verify(state.digest())
    assert true(heaps, path, proved)
    assert {encode_key(key) for key in proved} == {encode_key(key) for key in keys}
    assert tuple(proved) == again.keys == tuple(sorted(proved, key=encode_key))
    asked = again.verify(state.digest(), path, *keys)
    assert true(heaps, path, asked) and list(asked) == list(dict.fromkeys(keys))
    draw.shuffle(keys)
    assert honest(heaps, path, keys + keys[:1], state) == data, "the order in which keys are named matters"
    assert Pieces.of(state, path, keys).to_bytes() == data


def test_values_and_absent_keys_come_back_as_they_stand_in_the_heap() -> None:
    heap = {"one": 1, "none": None, "blob": b"x" * 5000, ("t", 1): (1, "a"), (): "the empty key", ("one", "deeper"): 2}
    heaps: Heaps = {(): {}, ("bank",): heap, ("bank", 3): {}}
    state = state_of(heaps)
    proof = prove(state, ("bank",), [*heap, "nothing", ("one", 0)])
    proved = proof.verify(state.digest(), "/bank")
    assert proved == {**heap, "nothing": ABSENT, ("one", 0): ABSENT}
    assert proof.verify(state.digest(), ("bank",), "one", ("none",)) == {"one": 1, ("none",): None}
    assert prove(state, ("bank", 3), ["one"]).verify(state.digest(), "/bank/3", "one") == {"one": ABSENT}
    assert prove(state, (), ["one"]).verify(state.digest()) == {"one": ABSENT}


def test_keys_of_one_proof_share_their_nodes() -> None:
    heaps: Heaps = {(): {n: n for n in range(5000)}}
    state = state_of(heaps)
    together = len(honest(heaps, (), range(1000, 1010), state))
    apart = [len(honest(heaps, (), [n], state)) for n in range(1000, 1010)]
    assert max(apart) > 1000
    assert together < 1.5 * max(apart) < sum(apart) / 5


def test_a_heap_as_deep_as_a_key_is_long_is_proved() -> None:
    heap: dict[Key, Any] = {b"k" * size: size for size in range(KEY_BYTES_MAX - 2)}
    heaps: Heaps = {(): heap}
    state = state_of(heaps)
    keys = [b"k" * (KEY_BYTES_MAX - 3), b"k" * (KEY_BYTES_MAX - 4), b"k" * 2000, b"k" * 2000 + b"j"]
    proof = prove(state, (), keys)
    assert proof.verify(state.digest(), (), *keys) == {key: heap.get(key, ABSENT) for key in keys}
    assert prove(state, (), heap).verify(state.digest()) == heap


def test_the_deepest_process_is_proved() -> None:
    path = tuple(f"name {n}" * 20 for n in range(PROCESS_DEPTH_MAX))
    heaps: Heaps = {path[:depth]: {"depth": depth} for depth in range(PROCESS_DEPTH_MAX + 1)}
    state = state_of(heaps)
    proof = prove(state, path, ["depth", "other"])
    assert proof.verify(state.digest(), path) == {"depth": PROCESS_DEPTH_MAX, "other": ABSENT}


def test_proofs_are_compared_copied_and_shown() -> None:
    heaps: Heaps = {(): {}, ("a", 3): {"x": 1}, ("a",): {}}
    state = state_of(heaps)
    proof, other = prove(state, ("a", 3), ["x"]), prove(state, ("a", 3), ["x", "y"])
    assert proof == pickle.loads(pickle.dumps(proof)) == copy.deepcopy(proof) == copy.copy(proof) != other
    assert len({proof, copy.copy(proof), other}) == 2
    assert repr(proof) == f"<Proof of 1 key of /a/3, {len(proof.to_bytes())} bytes>"
    assert "2 keys" in repr(other)
    assert proof != "something else"
    assert (other.path, other.keys) == (("a", 3), ("x", "y"))


# --- what was asked ------------------------------------------------------------------------------------------------


def test_a_proof_of_something_else_than_what_was_asked_is_refused() -> None:
    heaps: Heaps = {(): {"x": 0}, ("a",): {"x": 1}, ("1",): {"x": 2}, (1,): {"x": 3}}
    state = state_of(heaps)
    root = state.digest()
    proof = prove(state, (1,), ["x", "y"])
    assert proof.verify(root, "/1", "x") == {"x": 3}
    for path, told in (("/", "not about /$"), ("/a", "it is about /1, not about /a"), ("/'1'", "not about /'1'")):
        with pytest.raises(ProofRefused, match=told):
            proof.verify(root, path)
    with pytest.raises(ProofRefused, match=r"does not tell about the key 'z' of /1"):
        proof.verify(root, (1,), "x", "z")
    with pytest.raises(KeyRefused):
        proof.verify(root, (True,))
    with pytest.raises(KeyRefused):
        proof.verify(root, (1,), True)
    with pytest.raises(InputError, match="no path"):
        proof.verify(root, "1")


@pytest.mark.parametrize("root", [b"", bytes(31), bytes(33), "00" * 32, None, 5, bytearray(32)])
def test_a_state_root_is_32_bytes(root: Any) -> None:
    proof = prove(state_of({(): {"x": 0}}), (), ["x"])
    with pytest.raises(InputError, match=r"a state root is 32 bytes, as in Block.state_root, not a"):
        proof.verify(root)


def test_a_proof_is_read_from_bytes() -> None:
    data = honest({(): {"x": 0}}, (), ["x"])
    for thing in (data.hex(), None, list(data)):
        with pytest.raises(InputError, match="a proof is read from bytes"):
            Proof.from_bytes(thing)  # type: ignore[arg-type]


def test_nothing_and_nobody_cannot_be_proved() -> None:
    state = state_of({(): {"x": 0}, ("a",): {}})
    with pytest.raises(InputError, match="name one at least"):
        prove(state, (), [])
    for path in (("b",), ("a", "b"), ("", "a"), (0,)):
        with pytest.raises(InputError, match="there is no process"):
            prove(state, path, ["x"])
    with pytest.raises(InputError, match="there is no process"):
        prove(EMPTY, (), ["x"])
    with pytest.raises(KeyRefused):
        prove(state, (), [1.5])  # type: ignore[list-item]


# --- tipped bits, and whatever else happens to bytes -----------------------------------------------------------------


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_bit_of_a_proof_matters(question: str) -> None:
    heaps = bank(random.Random(1))
    state = state_of(heaps)
    path, keys = QUESTIONS[question]
    data = honest(heaps, path, keys, state)
    assert held(data, state, heaps)
    others = 0
    for bit in range(8 * len(data)):
        tipped = bytearray(data)
        tipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ProofRefused):
            Proof.from_bytes(bytes(tipped)).verify(state.digest())
        if bit >= 8 * (len(data) - 8):
            continue
        # And without the help of the sum: no longer a proof of this, at best that of another key which is absent too.
        forged = summed(bytes(tipped[:-8]))
        if held(forged, state, heaps):
            others += 1
            with pytest.raises(ProofRefused):
                Proof.from_bytes(forged).verify(state.digest(), path, *keys)
    told = [key for key in keys if key in heaps[path]]
    assert others == 0 or len(told) < len(keys)


def test_a_proof_cut_off_anywhere_is_refused() -> None:
    heaps = bank(random.Random(2))
    state = state_of(heaps)
    data = honest(heaps, *QUESTIONS["of several"], state)
    for size in range(len(data)):
        for cut in (data[:size], summed(data[:size])):
            if cut != data:
                with pytest.raises(ProofRefused):
                    Proof.from_bytes(cut)
    for more in (b"\0", data, b"\xff" * 8):
        for longer in (data + more, summed(data[:-8] + more), more + data):
            with pytest.raises(ProofRefused):
                Proof.from_bytes(longer)


def mutated(data: bytes, draw: random.Random, other: bytes) -> bytes:
    """The bytes of a proof, without its sum, after something has happened to them."""
    body = bytearray(data[:-8])
    at, to = sorted((draw.randrange(len(body) + 1), draw.randrange(len(body) + 1)))
    if draw.random() < 0.5:
        to = min(len(body), at + draw.choice((1, 2, 4, 6, 32, 38)))
    match draw.randrange(8):
        case 0:
            for _ in range(draw.randrange(1, 4)):
                body[draw.randrange(len(body))] ^= 1 << draw.randrange(8)
        case 1:
            del body[at:to]
        case 2:
            body[at:at] = draw.randbytes(draw.choice((1, 2, 6, 32, 38)))
        case 3:
            body[at:at] = body[at:to]
        case 4:
            piece = body[at:to]
            del body[at:to]
            place = draw.randrange(len(body) + 1)
            body[place:place] = piece
        case 5:
            body[at:to] = other[at:to]
        case 6:
            body[at:to] = bytes(to - at)
        case 7:
            width = draw.choice((1, 32, 38))
            a, b = (draw.randrange(max(1, len(body) - width)) for _ in range(2))
            body[a : a + width], body[b : b + width] = body[b : b + width], body[a : a + width]
    return bytes(body)


@settings(deadline=None, max_examples=60)
@given(seeds)
def test_whatever_happens_to_the_bytes_of_a_proof_nothing_false_is_proved(seed: int) -> None:
    draw = random.Random(seed)
    heaps = some_heaps(draw)
    state = state_of(heaps)
    path, beside = draw.choice(list(heaps)), draw.choice(list(heaps))
    data = honest(heaps, path, some_keys(draw, heaps[path], draw.choice((1, 3))), state)
    other = honest(heaps, beside, some_keys(draw, heaps[beside], 2), state)
    for _ in range(80):
        body = mutated(data, draw, other)
        while draw.random() < 0.2:
            body = mutated(summed(body), draw, other) if body else body
        held(summed(body), state, heaps)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_a_proof(body: bytes) -> None:
    for data in (body, summed(body), summed(TITLE + body), summed(TITLE + b"\0\x01\x02\x02x\0" + body)):
        with pytest.raises(ProofRefused):
            Proof.from_bytes(data)


@settings(deadline=None, max_examples=60)
@given(seeds)
def test_a_proof_is_refused_under_every_other_root(seed: int) -> None:
    draw = random.Random(seed)
    heaps = some_heaps(draw)
    state = state_of(heaps)
    path = draw.choice(list(heaps))
    keys = some_keys(draw, heaps[path], 3)
    proof = prove(state, path, keys)
    later = copy.deepcopy(heaps)
    changed = draw.choice(list(heaps))
    later[changed]["changed"] = draw.random()
    for root in (state_of(later).digest(), draw.randbytes(32), state.extract(b"h").digest(), EMPTY.digest()):
        with pytest.raises(ProofRefused, match="another block's state, or forged"):
            proof.verify(root)
    # A proof of the later state does not hold of the earlier one, and says what is so there.
    after = prove(state_of(later), changed, ["changed"])
    with pytest.raises(ProofRefused):
        after.verify(state.digest())


def test_a_value_that_is_none_is_refused_even_where_the_root_has_it() -> None:
    state = Tree.assemble({b"p": CONTROL, b"h" + encode_key("k"): b"\x03\x01\x05"}, {})
    proof = prove(state, (), ["k"])
    with pytest.raises(ProofRefused, match=r"the key 'k' of /: value: an int is not in its shortest form"):
        proof.verify(state.digest())


def test_an_object_of_a_class_that_is_not_registered_is_refused_with_its_name() -> None:
    class Coin:
        pass

    codec(name="test_proof.Coin", encode=lambda _: 1, decode=lambda _: Coin())(Coin)
    form = encode(freeze(Coin()))
    assert isinstance(decode(form), Coin)
    state = Tree.assemble({b"p": CONTROL, b"h" + encode_key("k"): form.replace(b"Coin", b"Note")}, {})
    with pytest.raises(
        ProofRefused, match=r"the registered class 'test_proof.Note', which this program has not"
    ) as caught:
        prove(state, (), ["k"]).verify(state.digest())
    assert isinstance(caught.value.__cause__, CodecError)


def test_no_value_is_decoded_before_the_root_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    heaps: Heaps = {(): {"x": 1}}
    state = state_of(heaps)
    data = honest(heaps, (), ["x"], state)
    decoded: list[bytes] = []
    monkeypatch.setattr("actors.proof.decode", decoded.append)
    proof = Proof.from_bytes(data)
    for root in (bytes(32), EMPTY.digest()):
        with pytest.raises(ProofRefused):
            proof.verify(root)
    assert not decoded
    proof.verify(state.digest())
    assert decoded == [encode(1)]


# --- limits --------------------------------------------------------------------------------------------------------


def test_a_proof_has_at_most_so_many_keys() -> None:
    state = state_of({(): {n: n for n in range(100)}})
    proof = prove(state, (), range(PROOF_KEYS_MAX))
    assert len(proof.verify(state.digest())) == PROOF_KEYS_MAX
    with pytest.raises(LimitExceeded, match=rf"{PROOF_KEYS_MAX + 1} keys .* make several proofs"):
        prove(state, (), range(PROOF_KEYS_MAX + 1))
    more = Pieces.of(state, (), range(3))
    more.keys, more.values = more.keys * PROOF_KEYS_MAX, more.values * PROOF_KEYS_MAX
    assert f"over its limit of {PROOF_KEYS_MAX}" in refused(more, state)


def test_the_largest_value_is_proved_and_more_than_a_proof_may_have_is_refused() -> None:
    large = b"v" * (VALUE_BYTES_MAX - 5)
    heaps: Heaps = {(): dict.fromkeys(range(3), large)}
    state = state_of(heaps)
    proof = prove(state, (), [1])
    assert proof.verify(state.digest()) == {1: large}
    assert len(proof.to_bytes()) < VALUE_BYTES_MAX + 1000
    with pytest.raises(LimitExceeded, match=f"over the limit of {PROOF_BYTES_MAX}; make several"):
        prove(state, (), range(3))
    with pytest.raises(ProofRefused, match=f"over the limit of {PROOF_BYTES_MAX} bytes"):
        Proof.from_bytes(summed(TITLE + bytes(PROOF_BYTES_MAX)))


def test_many_keys_of_a_process_far_down_cost_no_more_memory_than_a_proof_may_have() -> None:
    names = [f"{n:03}" + "n" * 4000 for n in range(PROCESS_DEPTH_MAX)]
    key = b"".join(b"c" + encode_key(name) for name in names)
    state = Tree.assemble({b"p": CONTROL, key + b"p": CONTROL}, {})
    assert prove(state, tuple(names), ["x"]).verify(state.digest()) == {"x": ABSENT}
    with pytest.raises(LimitExceeded, match=r"with the names of the process, .* make several proofs"):
        prove(state, tuple(names), range(PROOF_KEYS_MAX))
    pieces = Pieces.of(state, tuple(names), ["x"])
    pieces.keys = sorted(encode_key(n) for n in range(PROOF_KEYS_MAX))
    pieces.values = [b""] * PROOF_KEYS_MAX
    assert "with the names of the process" in refused(pieces, state)


def test_a_proof_of_very_many_nodes_is_refused() -> None:
    names = ["n" * 4000] * 10
    path = to_path(b"".join(b"c" + encode_key(name) for name in names))
    assert len(path) > PROOF_NODES_MAX
    slot = (30).to_bytes(6, "big") + bytes(32)
    nodes: list[Bucket | Branch] = [Branch({nibble: None, nibble ^ 1: slot}, {}) for nibble in path]
    pieces = Pieces([encode_key(name) for name in names], [encode_key("x")], [b""], b"", nodes)
    assert f"more than {PROOF_NODES_MAX} nodes" in refused(pieces, EMPTY)
    pieces.nodes = nodes[: PROOF_NODES_MAX - 1]
    assert "the bytes end too early" in refused(pieces, EMPTY)


def test_every_refusal_is_an_error_of_ours() -> None:
    assert issubclass(ProofRefused, LockstepError)
    assert issubclass(ProofRefused, ValueError)
    assert ProofRefused.code == "proof-refused"
