r"""Keys: a str, an int, bytes or a tuple of them, in a form whose byte order is their order.

The order is that of FoundationDB's tuple layer (design/tuple.md in its sources), and so are the codes of the types:

    bytes   01  body   00     in the body 00 is written 01 02, and 01 is written 01 03
    str     02  UTF-8  00     with the same two escapes
    int     14                            zero
            14+n  n bytes, big-endian     positive, n = 1 … 8 the fewest bytes that hold it
            14-n  n bytes                 negative, as value + 256^n - 1
            1D  n  n bytes                positive, n = 9 … 255
            0B  n^FF  n bytes             negative, n = 9 … 255

The escapes are ours: with FoundationDB's (00 FF for 00) the form of "a" would be a prefix of that of "a\0b". Here no
element's form is a prefix of another's, so that all keys which begin with some elements are one subtree of the heap.
A key is its elements' forms one behind the other, so the key `("a",)` is a prefix of `("a", 1)`, and all keys that
begin with some elements lie together: that is a region. bytes sort before str, str before int.

`heap["x"]` and `heap["x",]` are one key. A bool is refused: `True == 1` in Python, and which of the two a heap held
would depend on history.
"""

from __future__ import annotations

import re
from ast import literal_eval
from typing import Final, TypeAlias

from actors.errors import CodecError, InputError, KeyRefused, LimitExceeded
from actors.limits import KEY_BYTES_MAX, KEY_ELEMENTS_MAX, KEY_INT_BYTES_MAX

Element: TypeAlias = str | int | bytes
Key: TypeAlias = Element | tuple[Element, ...]
Name: TypeAlias = str | int
Path: TypeAlias = tuple[Name, ...]

_BYTES: Final = 0x01
_STR: Final = 0x02
_ZERO: Final = 0x14
_BIG_NEGATIVE: Final = 0x0B
_BIG_POSITIVE: Final = 0x1D
_INT_PLAIN_BYTES_MAX: Final = 8
_PLAIN_NAME: Final = re.compile(r"(?!-?[0-9]+$|\")[ -&(-.0-\[\]-~]+")
_MEND: Final = "a key is a str, an int, bytes or a tuple of them"

#: Encoded short str keys: programs use the same few again and again.
_known: dict[str, bytes] = {}
_KNOWN_MAX: Final = 4_096
_SMALL_NAME: Final = 1 << 64


def encode_key(key: object) -> bytes:
    """Return the order-preserving form of a key.

    Raises:
        KeyRefused: it is not a str, an int, bytes or a tuple of them.
        LimitExceeded: its form is longer than `limits.KEY_BYTES_MAX`.
    """
    if type(key) is str:
        form = _known.get(key)
        if form is None:
            form = _bounded(_element(key, key), key)
            if len(key) <= 64:
                if len(_known) >= _KNOWN_MAX:
                    _known.clear()
                _known[key] = form
        return form
    if type(key) is tuple:
        if len(key) > KEY_ELEMENTS_MAX:
            raise LimitExceeded(
                f"a key of {len(key)} elements is over the limit of {KEY_ELEMENTS_MAX}; "
                "put several of them into one, or into the value"
            )
        return _bounded(b"".join([_element(element, key) for element in key]), key)
    return _bounded(_element(key, key), key)


def _bounded(form: bytes, key: object) -> bytes:
    if len(form) > KEY_BYTES_MAX:
        raise LimitExceeded(
            f"the key {_shown(key)} takes {len(form)} bytes, over the limit of {KEY_BYTES_MAX}; "
            "keep a digest of it in the key and the rest in the value"
        )
    return form


def _element(element: object, key: object) -> bytes:
    kind = type(element)
    if kind is int:
        assert isinstance(element, int)
        return _int(element)
    if kind is str:
        assert isinstance(element, str)
        try:
            body = element.encode()
        except UnicodeEncodeError:
            raise KeyRefused(f"the key {_shown(key)} has a lone surrogate, which no UTF-8 can hold") from None
        return b"\x02" + _escape(body) + b"\0"
    if kind is bytes:
        assert isinstance(element, bytes)
        return b"\x01" + _escape(element) + b"\0"
    at = "" if element is key else f" in {_shown(key)}"
    if kind is bool:
        raise KeyRefused(f"the key {element!r}{at} is a bool; {_MEND}: say int({element!r}) or a word")
    raise KeyRefused(f"the key {_shown(element)}{at} is of type {kind.__qualname__}; {_MEND}")


def _escape(body: bytes) -> bytes:
    if b"\0" in body or b"\1" in body:
        return body.replace(b"\1", b"\1\3").replace(b"\0", b"\1\2")
    return body


def _int(number: int) -> bytes:
    if number == 0:
        return b"\x14"
    size = (abs(number).bit_length() + 7) // 8
    if size > KEY_INT_BYTES_MAX:
        raise LimitExceeded(
            f"an int in a key takes {size} bytes, over the limit of {KEY_INT_BYTES_MAX}; "
            "keep a digest of it in the key and the rest in the value"
        )
    body = (number if number > 0 else number + (1 << 8 * size) - 1).to_bytes(size, "big")
    if size <= _INT_PLAIN_BYTES_MAX:
        return bytes((_ZERO + size if number > 0 else _ZERO - size,)) + body
    return (bytes((_BIG_POSITIVE, size)) if number > 0 else bytes((_BIG_NEGATIVE, size ^ 255))) + body


def _shown(thing: object) -> str:
    if isinstance(thing, int) and thing.bit_length() > 8 * KEY_INT_BYTES_MAX:
        return f"an int of {thing.bit_length()} bits"
    if type(thing) is tuple:
        text = f"({', '.join(_shown(element) for element in thing)}{',' if len(thing) == 1 else ''})"
    else:
        plainly = isinstance(thing, (str, int, bytes, float, type(None)))
        text = ascii(thing) if plainly else type(thing).__qualname__
    return text if len(text) <= 80 else text[:77] + "…"


def show_key(elements: tuple[Element, ...] | object) -> str:
    """Return a key as a program would write it, in ASCII: what is printable differs between Python versions."""
    return _shown(elements[0] if type(elements) is tuple and len(elements) == 1 else elements)


def decode_element(form: bytes, position: int) -> tuple[Element, int]:
    """Read one element of a key from `form` at `position`.

    Returns:
        The element and the position behind it.

    Raises:
        CodecError: these are not the canonical bytes of an element.
    """
    if position >= len(form):
        raise CodecError(f"key: an element is missing at byte {position}")
    code = form[position]
    if code in (_BYTES, _STR):
        end = form.find(b"\0", position)
        if end < 0:
            raise CodecError(f"key: the element at byte {position} has no end")
        body = form[position + 1 : end]
        if b"\1" in body:
            escaped, body = body, body.replace(b"\1\2", b"\0").replace(b"\1\3", b"\1")
            if _escape(body) != escaped:
                raise CodecError(f"key: the element at byte {position} has an escape that means nothing")
        if code == _BYTES:
            return body, end + 1
        try:
            return body.decode(), end + 1
        except UnicodeDecodeError:
            raise CodecError(f"key: the str at byte {position} is not UTF-8") from None
    return _decode_int(form, position, code)


def _decode_int(form: bytes, position: int, code: int) -> tuple[int, int]:
    begin = position + 1
    if code == _ZERO:
        return 0, begin
    if code in (_BIG_POSITIVE, _BIG_NEGATIVE):
        if begin >= len(form):
            raise CodecError(f"key: the int at byte {position} ends too early")
        size = form[begin] if code == _BIG_POSITIVE else form[begin] ^ 255
        begin += 1
        if size <= _INT_PLAIN_BYTES_MAX:
            raise CodecError(f"key: the int at byte {position} is not in its shortest form")
    elif 1 <= abs(code - _ZERO) <= _INT_PLAIN_BYTES_MAX:
        size = abs(code - _ZERO)
    else:
        raise CodecError(f"key: byte {position} is {code:#04x}, which begins no element")
    body = form[begin : begin + size]
    if len(body) < size:
        raise CodecError(f"key: the int at byte {position} ends too early")
    number = int.from_bytes(body, "big")
    if code < _ZERO:
        number -= (1 << 8 * size) - 1
    if (abs(number).bit_length() + 7) // 8 != size:
        raise CodecError(f"key: the int at byte {position} is not in its shortest form")
    return number, begin + size


def decode_key(form: bytes) -> tuple[Element, ...]:
    """Return the elements of a key from its form.

    It may be longer than a program may write one: regions are mounted under keys.

    Raises:
        CodecError: these are not the canonical bytes of a key.
    """
    elements: list[Element] = []
    position = 0
    while position < len(form):
        element, position = decode_element(form, position)
        elements.append(element)
    return tuple(elements)


def read_key(form: bytes) -> Key:
    """Return a key from its form, as a program would write it: `plain(decode_key(form))`.

    Raises:
        CodecError: these are not the canonical bytes of a key.
    """
    # Most keys are one element, and a walk meets them by the million.
    body = form[1:-1]
    if body and form[0] == _BYTES and not (form[-1] or 0 in body or 1 in body):
        return body
    if form:
        element, end = decode_element(form, 0)
        if end == len(form):
            return element
    return plain(decode_key(form))


def plain(elements: tuple[Element, ...]) -> Key:
    """Return a key as a program would write it: the element itself where there is just one."""
    return elements[0] if len(elements) == 1 else elements


def check_name(name: object) -> None:
    """Check that `name` can name a child: a str or an int that can be a key.

    Raises:
        KeyRefused, LimitExceeded: it cannot.
    """
    kind = type(name)
    if kind is str:
        if name not in _known:
            encode_key(name)
    elif kind is int:
        if not -_SMALL_NAME < name < _SMALL_NAME:  # type: ignore[operator]
            encode_key(name)
    else:
        raise KeyRefused(f"a child's name is a str or an int, not {_shown(name)} of type {kind.__qualname__}")


def path_text(path: Path) -> str:
    """Return a process path as people write it: `/shards/3`; the root is `/`, a str of digits is quoted: `/'3'`."""
    return "/" + "/".join(str(name) if type(name) is int else _name_text(str(name)) for name in path)


def _name_text(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) else ascii(name)


def parse_path(text: str | Path) -> Path:
    """Return a path from its printed form: `/shards/3` is ("shards", 3), and `/'3'` is ("3",).

    Raises:
        InputError: that is no path.
    """
    if not isinstance(text, str):
        return tuple(text)
    if not text.startswith("/"):
        raise InputError(f"{text!r} is no path; a path begins with /, the root: /shards/3")
    names: list[Name] = []
    at = 1
    while at < len(text):
        match = _NAME.match(text, at)
        assert match is not None
        part = match[0]
        if not match["quoted"]:
            names.append(int(part) if part.removeprefix("-").isdecimal() else part)
        else:
            try:
                names.append(literal_eval(part))
            except (SyntaxError, ValueError) as error:
                raise InputError(f"{text!r} is no path: {part} is no quoted name") from error
        at = match.end() + 1
    return tuple(names)


#: A name in a printed path: quoted, up to the next slash or the end, or plain, up to there.
_NAME: Final = re.compile(r"""(?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(?=/|$)|[^/]*""", re.DOTALL)
