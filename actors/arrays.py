"""Arrays: numpy's, as values of a heap. Loaded when the first one is met; without numpy nothing of it is.

    self.heap["a"] = np.arange(6.0).reshape(2, 3)    a copy: what is done to the array later does not show
    self.heap["a"]                                      read-only, over the heap's own bytes; `.copy()` is the caller's own

An array is encoded as an object of the class "numpy.ndarray" (actors.values): the tuple of its dtype's name, its shape,
padding, and its items in C order, little-endian. The padding is as many zeros as put the items at a multiple of 16 in the
encoding of the array alone, so that they are read where they stand. The name says the kind and the width: bool, int8 to int64, uint8 to uint64, float16 to
float64, complex64 and complex128. So an array has one form, whatever its strides, its byte order and the machine: of a bool
there is 0 and 1, and of NaN there is the one with the sign clear and the first bit of the fraction set, in the real and in
the imaginary part. -0.0 is not 0.0. Dtypes that hold references, that have no one width, or that are records are refused.

What is put as it was read, whole, is not encoded anew: it stands over its encoding.

A value takes at most 16 MiB. `rows` cuts a larger array into blocks that are values:

    for at, block in rows(array):
        self.heap["a", at] = block
    whole = np.concatenate(list(self.heap.values("a")))
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from actors.codecs import exact_codec
from actors.decoding import decode_next
from actors.errors import CallRefused, LimitExceeded, ValueRefused
from actors.limits import VALUE_BYTES_MAX, VALUE_DEPTH_MAX
from actors.values import encode
from actors.wire import varint

try:
    import numpy as np
except ImportError as error:
    raise ImportError(
        "arrays as values of a heap need numpy: pip install 'lockstep-actors[numpy]'", name=error.name
    ) from error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from actors.wire import Cursor

_NAME: Final = "numpy.ndarray"
#: What stands before all else in an encoding: the tag, and the class's name with its length.
_NAME_BYTES: Final = 2 + len(_NAME)
_TUPLE: Final = b"\x07\x04"
_BYTES: Final = b"\x06"
#: The tag of the padding, and its length.
_PADDING_HEAD_BYTES: Final = 2
_ALIGNMENT: Final = 16
#: Bytes of an array's encoding that are not its items', at most: its class, its dtype, its shape.
_HEAD_BYTES_MAX: Final = 1024
#: The most bytes of items that one value holds.
ARRAY_BYTES_MAX: Final = VALUE_BYTES_MAX - _HEAD_BYTES_MAX

#: How the items of each dtype are kept.
_FORMS: Final = {
    name: np.dtype(name).newbyteorder("<")
    for name in (
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "float16", "float32", "float64", "complex64", "complex128",
    )
}  # fmt: skip
#: The floats that the items of each dtype are made of, and as which bits they and their NaN stand there.
_FLOATS: Final = {
    "float16": ("<f2", "<u2", 0x7E00),
    "float32": ("<f4", "<u4", 0x7FC0_0000),
    "float64": ("<f8", "<u8", 0x7FF8_0000_0000_0000),
    "complex64": ("<f4", "<u4", 0x7FC0_0000),
    "complex128": ("<f8", "<u8", 0x7FF8_0000_0000_0000),
}

#: Arrays as they were read, each over the whole of its encoding, by the id of that.
_read_whole: Final[WeakValueDictionary[int, NDArray[Any]]] = WeakValueDictionary()


def rows(array: NDArray[Any], count: int | None = None) -> Iterator[tuple[int, NDArray[Any]]]:
    """Cut an array along its first axis into blocks; an empty one into one.

    Args:
        array: of one dimension at least.
        count: how many rows a block has; the last one may have fewer. As many as a value holds, unless given.

    Yields:
        The number of a block's first row, and the block: a view of the array.

    Raises:
        CallRefused: the array has no rows, or a block none.
        LimitExceeded: a single row is more than a value holds.
    """
    if array.ndim == 0:
        raise CallRefused("rows: the array has no dimension, and so no rows; it is a value as it is")
    size = array.dtype.itemsize * math.prod(array.shape[1:])
    if size > ARRAY_BYTES_MAX:
        raise LimitExceeded(
            f"rows: a row takes {size} bytes, over the limit of {ARRAY_BYTES_MAX}; cut the array along another axis"
        )
    if count is None:
        count = ARRAY_BYTES_MAX // max(size, 1)
    if type(count) is not int or count < 1:
        raise CallRefused(f"rows: count is {count!r}; it is how many rows a block has, at least 1")
    for at in range(0, max(len(array), 1), count):
        yield at, array[at : at + count]


def _write(array: NDArray[Any], depth: int) -> list[Any]:
    """Return the pieces of an array's encoding behind its class's name: buffers."""
    name = array.dtype.name
    form = _FORMS.get(name)
    if form is None:
        raise ValueRefused(
            f"an array of dtype {name} cannot be a value; bool, ints, floats and complex numbers of a fixed width can: "
            "convert it with .astype(…)"
        )
    if array.nbytes > ARRAY_BYTES_MAX:
        raise LimitExceeded(
            f"an array of shape {array.shape} takes {array.nbytes} bytes, over the limit of {ARRAY_BYTES_MAX}; "
            "keep it in blocks: for at, block in actors.arrays.rows(array)"
        )
    if depth >= VALUE_DEPTH_MAX - 1:
        raise LimitExceeded(f"the value is nested deeper than {VALUE_DEPTH_MAX}; keep parts under keys of their own")
    items = _one_form(name, np.ascontiguousarray(array, form))
    return [_head(name, array.shape, array.nbytes), items.reshape(-1).view("u1")]


def _head(name: str, shape: tuple[int, ...], size: int) -> bytes:
    """Return the encoding of all but the items, with as much padding as puts these where numpy wants them."""
    head = _TUPLE + encode(name) + encode(shape)
    announced = _BYTES + varint(size)
    padding = -(_NAME_BYTES + len(head) + _PADDING_HEAD_BYTES + len(announced)) % _ALIGNMENT
    return head + encode(bytes(padding)) + announced


def _read(cursor: Cursor, depth: int) -> NDArray[Any]:
    """Return the array of an encoding, over the very bytes. Raises ValueError where it is not what `_write` makes."""
    begin = cursor.position
    if cursor.take(len(_TUPLE)) != _TUPLE:
        raise ValueError("it is no tuple of four")
    name, shape, _ = (decode_next(cursor, depth + 1) for _ in range(3))
    form = _FORMS.get(name) if type(name) is str else None
    if form is None:
        raise ValueError("it names no dtype of arrays that are values")
    if type(shape) is not tuple or not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError("its shape is no tuple of ints, none of them below 0")
    size = form.itemsize * math.prod(shape)
    if size > ARRAY_BYTES_MAX:
        raise ValueError(f"{size} bytes are over the limit of {ARRAY_BYTES_MAX}")
    head = _head(name, shape, size)
    if cursor.data[begin : begin + len(head)] != head:
        raise ValueError(f"it does not go on with the {size} bytes of an array of {name} of the shape {shape}")
    cursor.position = begin + len(head)
    array: NDArray[Any] = np.ndarray(shape, form, cursor.skip(size), cursor.position - size)
    if _one_form(name, array) is not array:
        raise ValueError("an item is not in its one form: a bool that is not 0 or 1, or a NaN with other bits")
    if begin == _NAME_BYTES and cursor.position == len(cursor.data):
        _read_whole[id(cursor.data)] = array
    return array


def _hand(array: NDArray[Any]) -> NDArray[Any]:
    """Return another array over the same bytes: its base is these, so that nobody gets at the one that is kept."""
    data: Any = array.base
    return np.ndarray(array.shape, array.dtype, data, _place(array) - _place(np.frombuffer(data, "u1")))


def _place(array: NDArray[Any]) -> int:
    """Return where in memory an array begins."""
    place: int = array.__array_interface__["data"][0]
    return place


def _again(array: NDArray[Any]) -> tuple[bytes, NDArray[Any]] | None:
    """Return the encoding that an array stands over, if it is all of an array that was read, as that is."""
    whole = _read_whole.get(id(array.base))
    if whole is None or whole.base is not array.base or _place(whole) != _place(array):
        return None
    if (array.shape, array.dtype, array.strides) != (whole.shape, whole.dtype, whole.strides):
        return None
    encoding: Any = whole.base
    return encoding, whole


def _one_form(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return an array in C order of the same items, each in its one form: the array itself, where they are."""
    if name == "bool":
        return array.view("u1") != 0 if (array.view("u1") > 1).any() else array
    if name not in _FLOATS:
        return array
    floats, bits, nan = _FLOATS[name]
    flat = array.reshape(-1)
    places = np.isnan(flat.view(floats))
    if not places.any() or (flat.view(bits)[places] == nan).all():
        return array
    copy = flat.copy()
    copy.view(bits)[places] = nan
    return copy.reshape(array.shape)


exact_codec(_NAME, np.ndarray, _write, _read, _hand, _again)
