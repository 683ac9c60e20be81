"""Arrays as values: one form of each, whatever its layout; and no other bytes are taken."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numpy", reason="pip install 'lockstep-actors[numpy]'")

import numpy as np
from hypothesis.extra import numpy as npst

import runtime
from actors import CallRefused, CodecError, Heap, LimitExceeded, MergeConflict, Process, Root, ValueRefused, freeze
from actors.arrays import ARRAY_BYTES_MAX, rows
from actors.limits import VALUE_DEPTH_MAX
from actors.memory import Memory, to_slot
from actors.values import decode, encode, same, show
from actors.wire import varint
from runtime.json_form import from_json, to_json

ROOT = Path(__file__).parents[2]
DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "complex64", "complex128",
)  # fmt: skip
often = settings(deadline=None, max_examples=150)


@st.composite
def arrays(draw: st.DrawFn) -> Any:
    """An array of any kind, shape, byte order and strides."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES))).newbyteorder(draw(st.sampled_from("<>")))
    array = draw(npst.arrays(dtype, npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)))
    if draw(st.booleans()):
        array = array.T
    if array.ndim and draw(st.booleans()):
        array = array[::-2]
    return array


def reference(array: Any) -> bytes:
    """The format once more: the class, and a tuple of four in the encoding of values."""
    little = np.array(array, dtype=array.dtype.newbyteorder("<"), order="C")
    items = bytearray(little.tobytes())
    parts = little.real.dtype.itemsize
    if little.dtype.kind in "fc":
        for at in range(0, len(items), parts):
            if np.isnan(np.frombuffer(bytes(items[at : at + parts]), f"<f{parts}")[0]):
                items[at : at + parts] = {2: b"\0\x7e", 4: b"\0\0\xc0\x7f", 8: b"\0\0\0\0\0\0\xf8\x7f"}[parts]
    before = b"\x0b\x0dnumpy.ndarray\x07\x04" + encode(array.dtype.name) + encode(array.shape)
    behind = b"\x06" + varint(len(items))
    padding = next(n for n in range(16) if (len(before) + 2 + n + len(behind)) % 16 == 0)
    return before + b"\x06" + varint(padding) + bytes(padding) + behind + bytes(items)


@often
@given(arrays())
def test_an_array_comes_back_the_same_and_has_the_bytes_of_the_format(array: Any) -> None:
    form = encode(array)
    assert form == reference(array)
    back = decode(form)
    assert type(back) is np.ndarray
    assert (back.shape, back.dtype) == (array.shape, array.dtype.newbyteorder("<"))
    assert np.array_equal(back, array, equal_nan=array.dtype.kind in "fc")
    assert back.flags.aligned and back.flags.c_contiguous and not back.flags.writeable
    assert encode(back) == form
    nested = encode(freeze((1, [array], {"a": array})))
    one, (two,), of = decode(nested)
    assert one == 1
    assert encode(two) == encode(of["a"]) == form
    assert encode(decode(nested)) == nested
    assert same(freeze(array), array)
    assert encode(from_json(to_json(back))) == form


@often
@given(arrays(), st.data())
def test_foreign_bytes_are_refused_or_are_what_is_encoded(array: Any, data: st.DataObject) -> None:
    form = bytearray(encode(array))
    at = data.draw(st.integers(0, len(form) - 1))
    form[at] ^= data.draw(st.integers(1, 255))
    cut = bytes(form[: data.draw(st.integers(0, len(form)))])
    for some in (bytes(form), cut, bytes(form) + b"\0"):
        try:
            value = decode(some)
        except CodecError:
            continue
        assert encode(value) == some


def forged(*parts: bytes) -> bytes:
    return b"\x0b\x0dnumpy.ndarray" + b"".join(parts)


@pytest.mark.parametrize(
    "form",
    [
        forged(b"\x00"),
        forged(encode(("int8", (0,), b""))),
        forged(b"\x07\x04", encode("object"), encode((1,)), encode(b""), encode(b"12345678")),
        forged(b"\x07\x04", encode("longdouble"), encode((1,)), encode(b""), encode(bytes(16))),
        forged(b"\x07\x04", encode(("int8",)), encode((1,)), encode(b""), encode(b"1")),
        forged(b"\x07\x04", encode("int8"), encode((-1,)), encode(b""), encode(b"")),
        forged(b"\x07\x04", encode("int8"), encode((True,)), encode(b""), encode(b"1")),
        forged(b"\x07\x04", encode("int8"), encode(1), encode(b""), encode(b"1")),
        forged(b"\x07\x04", encode("int8"), encode((2**62, 2**62)), encode(b""), encode(b"")),
        forged(b"\x07\x04", encode("int8"), encode((0,) * 65), encode(b""), encode(b"")),
    ],
)
def test_what_is_no_array_is_refused_by_name(form: bytes) -> None:
    with pytest.raises(CodecError, match=r"numpy\.ndarray is none|end too early"):
        decode(form)


def test_padding_that_is_not_the_shortest_or_not_zero_is_refused() -> None:
    array = np.arange(3, dtype="int16")
    good = encode(array)
    pad = good.index(b"\x06")
    count = good[pad + 1]
    assert decode(good).tolist() == [0, 1, 2]
    for padding in (bytes(count + 16), b"\x01" * count, bytes(count + 1)):
        changed = good[:pad] + b"\x06" + varint(len(padding)) + padding + good[pad + 2 + count :]
        with pytest.raises(CodecError, match="does not go on with"):
            decode(changed)


@pytest.mark.parametrize(
    ("array", "stray"),
    [
        (np.array([False, True]), b"\x02"),
        (np.array([1.0, 2.0]), bytes.fromhex("010000000000f87f")),
        (np.array([1.0, 2.0]), bytes.fromhex("000000000000f8ff")),
        (np.array([1.0, 2.0], "f2"), bytes.fromhex("007f")),
        (np.array([1j, 2j], "c8"), bytes.fromhex("0100c07f")),
    ],
)
def test_items_have_one_form(array: Any, stray: bytes) -> None:
    form = encode(array)
    with pytest.raises(CodecError, match="not in its one form"):
        decode(form[: -len(stray)] + stray)
    items = bytearray(array.tobytes())
    items[-len(stray) :] = stray
    mended = decode(encode(np.frombuffer(bytes(items), array.dtype)))
    assert encode(mended) == encode(np.array(mended))
    assert np.array_equal(np.isnan(mended), [False, array.dtype.kind != "b"])
    assert mended.dtype != bool or mended.view("u1").tolist() == [0, 1]


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.array([object()]), "object"),
        (np.array(["a"]), "str32"),
        (np.array([b"a"]), "bytes8"),
        (np.zeros(1, np.longdouble), np.dtype(np.longdouble).name),
        (np.zeros(1, "M8[s]"), r"datetime64\[s\]"),
        (np.zeros(1, [("x", "i4")]), "void32"),
    ],
)
def test_other_dtypes_are_refused_with_their_name(array: Any, dtype: str) -> None:
    heap = Heap(Memory())
    with pytest.raises(ValueRefused, match=rf"under the key 'a': an array of dtype {dtype} cannot be a value.*astype"):
        heap["a"] = array
    with pytest.raises(ValueRefused, match=f"an array of dtype {dtype} cannot be a value"):
        freeze([array])


def test_what_is_numpy_s_and_no_array_is_refused_with_its_mend() -> None:
    for scalar in (np.float64(1), np.int32(1), np.bool_(True)):
        with pytest.raises(ValueRefused, match=r"cannot be a value; take the number out of it with \.item\(\)"):
            to_slot(scalar)
    for array in (np.ma.array([1]), np.zeros((1, 1)).view(np.matrix)):
        with pytest.raises(ValueRefused, match="cannot be a value"):
            to_slot(array)


def test_the_largest_array_fits_and_one_more_byte_does_not() -> None:
    array = np.zeros(ARRAY_BYTES_MAX, "u1")
    assert decode(encode(array)).nbytes == ARRAY_BYTES_MAX
    with pytest.raises(LimitExceeded, match=r"an array of shape \(16777217,\) takes 16777217 bytes.*arrays\.rows"):
        encode(np.zeros(ARRAY_BYTES_MAX + 1, "u1"))


def test_the_deepest_array_is_that_of_the_format() -> None:
    def nested(depth: int) -> Any:
        value: Any = np.arange(2)
        for _ in range(depth):
            value = (value,)
        return value

    deep = VALUE_DEPTH_MAX - 2
    form = encode(freeze(nested(deep)))
    assert encode(decode(form)) == form
    for act in (freeze, encode):
        with pytest.raises(LimitExceeded, match="nested deeper"):
            act(nested(deep + 1))


@often
@given(arrays(), st.integers(1, 4))
def test_rows_cut_an_array_into_values_that_make_it_again(array: Any, count: int) -> None:
    if not array.ndim:
        with pytest.raises(CallRefused, match="no dimension"):
            list(rows(array))
        return
    heap = Heap(Memory())
    heap.update({("a", at): block for at, block in rows(array, count)})
    assert list(heap.keys("a")) == (list(range(0, len(array), count)) or [0])
    made = np.concatenate(list(heap.values("a")))
    assert made.shape == array.shape
    assert made.tobytes() == np.ascontiguousarray(decode(encode(array))).tobytes()


def test_rows_are_as_many_as_fit_unless_said() -> None:
    array = np.zeros((9, ARRAY_BYTES_MAX // 4), "u1")
    assert [(at, len(block)) for at, block in rows(array)] == [(0, 4), (4, 4), (8, 1)]
    with pytest.raises(LimitExceeded, match="rows: a row takes"):
        list(rows(np.zeros((1, ARRAY_BYTES_MAX + 1), "u1")))
    for count in (0, -1, True, 1.0):
        with pytest.raises(CallRefused, match="rows: count is"):
            list(rows(array, count))  # type: ignore[arg-type]


def test_what_is_done_to_an_array_does_not_show_in_the_heap() -> None:
    heap = Heap(Memory())
    array = np.arange(6)
    heap["a"] = array
    array[0] = 9
    one = heap["a"]
    with pytest.raises(ValueError, match="read-only"):
        one[0] = 7
    with pytest.raises(ValueError, match="WRITEABLE"):
        one.flags.writeable = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of later versions of numpy
        one.dtype = "u1"
    assert one.nbytes == one.size
    assert heap["a"].tolist() == [0, 1, 2, 3, 4, 5]
    assert heap["a"].base is not None, "it is a view of the heap's bytes"


def again(array: Any, way: str) -> Any:
    """Something that a program may make of an array that it has read, without copying it."""
    if way == "seen":
        return array.view()
    if way == "turned":
        return array.T
    if way == "backwards":
        return array[::-1] if array.ndim else array
    if way == "cut":
        return array[1:] if array.ndim else array
    if way == "unsigned":
        return array.view(f"u{array.dtype.itemsize}") if array.dtype.itemsize <= 8 else array
    if way == "flat":
        return array.reshape(-1)
    if way == "shaped":
        array.shape = (array.size, 1)
    elif way == "typed" and array.ndim:
        array.dtype = "u1"
    elif way == "shifted":
        return np.ndarray(array.shape, array.dtype, array.base)
    return array


WAYS = ("as it is", "seen", "turned", "backwards", "cut", "unsigned", "flat", "shaped", "typed", "shifted")


@often
@given(arrays(), st.sampled_from(WAYS))
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_made_of_an_array_that_was_read_is_encoded_as_a_copy_of_it_is(array: Any, way: str) -> None:
    heap = Heap(Memory())
    heap["a"] = array
    made = again(heap["a"], way)
    copy = np.array(made)
    heap["b"] = made
    assert heap.digest() == digest_of(a=array, b=copy)
    assert encode(heap["a"]) == encode(array)
    assert encode(heap["b"]) == encode(copy)


def digest_of(**entries: Any) -> bytes:
    heap = Heap(Memory())
    heap.update(entries)
    return heap.digest()


@pytest.mark.parametrize("array", [np.arange(7.0), np.zeros(()), np.zeros((0, 3)), np.full((2, 2), np.nan)])
def test_an_array_that_is_put_as_it_was_read_stands_over_the_same_bytes(array: Any) -> None:
    heap = Heap(Memory())
    heap["a"] = array
    heap["b"] = heap["a"]
    heap["c"] = (heap["a"], 1)
    heap["d"] = heap["c"][0]
    assert heap["b"].base is heap["a"].base
    assert heap["d"].base is not heap["c"][0].base, "that was a part of a value"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of later versions of numpy
def test_nobody_gets_at_the_array_that_is_kept() -> None:
    heap = Heap(Memory())
    heap["a"] = np.arange(6)
    assert type(heap["a"].base) is bytes
    heap["a"].shape = (3, 2)
    assert heap["a"].shape == (6,)


def test_people_are_shown_an_array_s_kind_and_shape() -> None:
    assert show(np.arange(2, dtype="u1"), 60).startswith("numpy.ndarray('uint8', (2,), b'")


class Adder(Process):
    async def run(self) -> None:
        self.heap["sum"] = self.heap["a"] + 1
        self.heap["a"] = self.heap["a"]


class Two(Root):
    async def run(self) -> Any:
        self.heap["a"] = np.arange(4)
        for name in ("one", "two"):
            await self.fork(name, Adder)
        await self.join("one")
        try:
            await self.join("two")
        except MergeConflict as conflict:
            return [(key, ours.tolist(), theirs.tolist()) for key, _, ours, theirs in conflict.conflicts]
        return "merged"


async def test_arrays_are_merged_and_in_conflict_as_other_values_are() -> None:
    async with runtime.Runtime(Two, workers=0) as rt:
        block = await rt.advance()
        assert list(block.data) == [("sum", [1, 2, 3, 4], [1, 2, 3, 4])], "what was not changed is none"
        assert rt.state().heap["sum"].tolist() == [1, 2, 3, 4]
        assert await rt.verify() == 1


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_numpy_is_loaded_when_the_first_array_is_met_and_not_before() -> None:
    form = encode(np.arange(3))
    told = f"""
import sys
import actors, runtime
from actors.values import decode
assert "numpy" not in sys.modules
print(decode({form!r}).tolist(), "numpy" in sys.modules)
"""
    assert run(told).stdout == "[0, 1, 2] True\n"


def test_without_numpy_the_error_says_what_to_install() -> None:
    form = encode(np.arange(3))
    told = f"""
import sys
sys.modules["numpy"] = None
from actors.values import decode
try:
    decode({form!r})
except Exception as error:
    print(type(error).__name__, error)
"""
    out = run(told).stdout
    assert out.startswith("CodecError")
    assert "pip install 'lockstep-actors[numpy]'" in out
