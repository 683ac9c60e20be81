"""Values as JSON: how inputs come in by a file, and how values go out to people and scripts.

JSON knows fewer kinds of value than a heap does. What it has stands for itself; the rest is an object with one key,
a tag, which begins with "$":

    None, bool, str                             null, true or false, a string
    int                                         a number; over 2,048 bits {"$int": "0x…"}, which every reader can read
    float                                       a number with a point or an exponent; {"$float": "nan" | "inf" | "-inf"}
    vector                                      an array
    map of str keys, none of which begins "$"   an object
    any other map                               {"$map": [[key, value], …]}
    tuple                                       {"$tuple": […]}
    bytes                                       {"$bytes": "hex digits"}
    set                                         {"$set": […]}
    an object of a registered class             {"$value": {"codec": its name, "value": what its codec made of it}}

`from_json(to_json(value))` is `value`, to the byte. Maps and sets are ordered by the canonical bytes of their keys and
members (actors.values), so that equal values have equal text, whatever the hash seed.

`parse` reads text more strictly than `json.loads`: a key that stands twice, NaN, and a number that a float cannot hold
are refused, with the path to them (in jq's notation), because to guess would be to make another block.

Keys of a heap have a shorter form of their own, as they hold no vectors: a tuple is an array.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final, NamedTuple, TypeAlias

from pyrsistent import pmap, pset, pvector

from actors.errors import CodecError, InputError, ProgramError
from actors.freezing import freeze
from actors.keys import Key, encode_key, plain
from actors.limits import VALUE_BYTES_MAX, VALUE_DEPTH_MAX
from actors.values import decode, encode
from actors.wire import Cursor, varint

#: What the json module makes and takes.
Json: TypeAlias = Any

#: Ints of more bits are written in hex: 617 decimal digits, just below the fewest that Python may be told to refuse.
INT_BITS_PLAIN_MAX: Final = 2_048
_INT_DIGITS_PLAIN_MAX: Final = 617

_PVECTOR: Final[type] = type(pvector())
_PMAP: Final[type] = type(pmap())
_PSET: Final[type] = type(pset())
_OBJECT: Final = b"\x0b"
#: A level of a value takes at most three of JSON: {"$map": [[…]]}.
_NESTING_MAX: Final = 4 * VALUE_DEPTH_MAX
_BRACKETS: Final = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{\]}]')
_FLOATS: Final = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_TAGS: Final = ("$tuple", "$bytes", "$map", "$set", "$int", "$float", "$value")


class _Refused(NamedTuple):
    """Stands for a piece of JSON text that is refused once the path to it is known."""

    why: str


# --- out -----------------------------------------------------------------------------------------------------------


def to_json(value: Any) -> Json:
    """Return a frozen value as what `json.dumps` takes.

    Raises:
        ValueRefused: it is no frozen value.
    """
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if value.bit_length() <= INT_BITS_PLAIN_MAX else {"$int": f"{value:#x}"}
    if kind is float:
        return value if math.isfinite(value) else {"$float": "nan" if math.isnan(value) else str(value)}
    if kind is bytes:
        return {"$bytes": value.hex()}
    if kind is tuple:
        return {"$tuple": [to_json(item) for item in value]}
    if kind is _PVECTOR:
        return [to_json(item) for item in value]
    if kind is _PMAP:
        # Pairs, not look-ups: a NaN is a key that no look-up finds.
        pairs = [(key, to_json(item)) for key, item in sorted(value.items(), key=_form_of_first)]
        if all(type(key) is str and not key.startswith("$") for key, _ in pairs):
            return dict(pairs)
        return {"$map": [[to_json(key), item] for key, item in pairs]}
    if kind is _PSET:
        return {"$set": [to_json(item) for item in sorted(value, key=encode)]}
    form = encode(value)
    cursor = Cursor(form, "value")
    assert cursor.take(1) == _OBJECT
    name = cursor.take(cursor.varint(VALUE_BYTES_MAX)).decode()
    return {"$value": {"codec": name, "value": to_json(decode(form[cursor.position :]))}}


def _form_of_first(pair: tuple[Any, Any]) -> bytes:
    return encode(pair[0])


def key_to_json(key: Key) -> Json:
    """Return a heap's key as what `json.dumps` takes: an array where it has more than one element, or none."""
    elements = key if isinstance(key, tuple) else (key,)
    forms: list[Json] = [{"$bytes": one.hex()} if isinstance(one, bytes) else one for one in elements]
    return forms[0] if len(forms) == 1 else forms


# --- in ------------------------------------------------------------------------------------------------------------


def parse(line: str) -> Any:
    """Return the value of a JSON text, frozen.

    Raises:
        InputError: it is no JSON, with the column; or it is none of these forms, with the path.
    """
    return from_json(parse_json(line))


def parse_json(line: str) -> Json:
    """Return what a JSON text says, for `from_json`, which knows the paths to what is refused in it.

    Raises:
        InputError: it is no JSON; the message shows where.
    """
    if _nesting(line) > _NESTING_MAX:
        raise InputError(f"it is nested far deeper than {VALUE_DEPTH_MAX}, the limit of a value")
    try:
        return json.loads(line, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int)
    except json.JSONDecodeError as error:
        raise InputError(_syntax_error(line, error)) from None


def _nesting(line: str) -> int:
    """Return how deep brackets are nested, or 0 where there are few.

    It is counted beforehand, because json's own scanner recurses in C: where a library has raised the recursion limit
    (the package `ethereum` does), it would run out of stack before Python notices.
    """
    if line.count("[") + line.count("{") <= _NESTING_MAX:
        return 0
    depth = deepest = 0
    for token in _BRACKETS.finditer(line):
        first = token[0][0]
        if first in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif first in "]}":
            depth -= 1
    return deepest


def from_json(form: Json) -> Any:
    """Return the value whose JSON form this is, frozen.

    Raises:
        InputError: it is none; the message has the path to what is wrong in it.
    """
    made = _from(form, "", 0)
    try:
        return freeze(made)
    except ProgramError as error:
        raise InputError(str(error)) from error


def key_from_json(form: Json) -> Key:
    """Return the heap's key whose JSON form this is.

    Raises:
        InputError: it is none.
    """
    made: Any = _from(form, "", 0)
    try:
        elements = tuple(made) if type(made) in (_PVECTOR, tuple) else (made,)
        encode_key(elements)
    except ProgramError as error:
        raise InputError(str(error)) from error
    return plain(elements)


def _from(form: Json, at: str, depth: int) -> Any:
    kind = type(form)
    if kind is list or kind is dict:
        if depth > VALUE_DEPTH_MAX:
            raise _refuse(f"it is nested deeper than {VALUE_DEPTH_MAX}, the limit of a value", at)
        if kind is list:
            return pvector(_items(form, at, depth))
        tags = [key for key in form if key.startswith("$")]
        if not tags:
            return pmap({key: _from(item, _below(at, key), depth + 1) for key, item in form.items()})
        if len(form) > 1:
            raise _refuse(
                f"an object with the key {tags[0]!r} beside others; a key that begins with $ is a tag, and stands alone. "
                'A map with such keys is {"$map": [[key, value], …]}',
                at,
            )
        return _tagged(tags[0], form[tags[0]], at, depth)
    if kind is _Refused:
        raise _refuse(form.why, at)
    if form is None or kind in (bool, int, float, str):
        return form
    raise _refuse(f"{kind.__qualname__} is no kind of JSON", at)


def _tagged(tag: str, form: Json, at: str, depth: int) -> Any:
    if tag not in _TAGS:
        known = ", ".join(_TAGS)
        raise _refuse(f'{tag} is no tag; there are {known}. A map with such a key is {{"$map": [[key, value], …]}}', at)
    at = _below(at, tag)
    if tag in ("$tuple", "$set", "$map"):
        if type(form) is not list:
            raise _refuse(f"{tag} takes an array", at)
        if tag == "$map":
            return _map(form, at, depth)
        items = _items(form, at, depth)
        return tuple(items) if tag == "$tuple" else _set(items, at)
    if tag == "$value":
        return _object_of_codec(form, at, depth)
    try:
        if type(form) is not str:
            raise ValueError
        if tag == "$bytes":
            return bytes.fromhex(form)
        return int(form, 16) if tag == "$int" else _FLOATS[form]
    except (ValueError, KeyError):
        takes = {"$bytes": "hex digits, two a byte", "$int": "hex digits, as 0x1f", "$float": "nan, inf or -inf"}[tag]
        raise _refuse(f"{tag} takes a string of {takes}", at) from None


def _items(forms: list[Json], at: str, depth: int) -> list[Any]:
    return [_from(item, f"{at}[{i}]", depth + 1) for i, item in enumerate(forms)]


def _set(items: list[Any], at: str) -> Any:
    try:
        made = pset(items)
    except TypeError as error:
        raise _refuse(f"a member of a set cannot be one: {error}", at) from None
    if len(made) != len(items):
        raise _refuse("two members of the set are one", at)
    return made


def _map(forms: list[Json], at: str, depth: int) -> Any:
    made: dict[Any, Any] = {}
    for i, pair in enumerate(forms):
        if type(pair) is not list or len(pair) != 2:
            raise _refuse("$map takes an array of pairs, [key, value] each", f"{at}[{i}]")
        key = _from(pair[0], f"{at}[{i}][0]", depth + 1)
        try:
            twice = key in made
        except TypeError as error:
            raise _refuse(f"a key of a map cannot be one: {error}", f"{at}[{i}][0]") from None
        if twice:
            raise _refuse("a key of the map stands twice", f"{at}[{i}][0]")
        made[key] = _from(pair[1], f"{at}[{i}][1]", depth + 1)
    return pmap(made)


def _object_of_codec(form: Json, at: str, depth: int) -> Any:
    if type(form) is not dict or sorted(form) != ["codec", "value"] or type(form["codec"]) is not str:
        raise _refuse('$value takes {"codec": name, "value": what the codec makes of the object}', at)
    try:
        name = form["codec"].encode()
        inner = freeze(_from(form["value"], _below(at, "value"), depth + 1))
        return decode(_OBJECT + varint(len(name)) + name + encode(inner))
    except (CodecError, ProgramError, UnicodeEncodeError) as error:
        raise _refuse(str(error), at) from error


# --- text ----------------------------------------------------------------------------------------------------------


def _object(pairs: list[tuple[str, Json]]) -> Json:
    made: dict[str, Json] = {}
    for key, item in pairs:
        if key in made:
            return _Refused(f"the key {json.dumps(key)} stands twice in one object")
        made[key] = item
    return made


def _constant(word: str) -> Json:
    tag = {"NaN": "nan", "Infinity": "inf"}.get(word, "-inf")
    return _Refused(f'{word} is no JSON; write {{"$float": "{tag}"}}')


def _float(digits: str) -> Json:
    number = float(digits)
    if math.isfinite(number):
        return number
    return _Refused(f"{digits[:40]} is more than a float holds")


def _int(digits: str) -> Json:
    if len(digits) > _INT_DIGITS_PLAIN_MAX + 1:
        return _Refused(f'an int of {len(digits)} digits; over {_INT_DIGITS_PLAIN_MAX} write {{"$int": "0x…"}}')
    return int(digits)


def _syntax_error(line: str, error: json.JSONDecodeError) -> str:
    """Return what is wrong, and below it the piece of the text around the place, with a mark under it."""
    begin = max(0, error.pos - 40)
    piece = line[begin : error.pos + 30]
    shown = "".join(char if char.isprintable() else "·" for char in piece)
    left, right = "…" if begin else "", "…" if error.pos + 30 < len(line) else ""
    mark = " " * (len(left) + error.pos - begin) + "^"
    what = error.msg[0].lower() + error.msg[1:]
    return f"no JSON: {what} at column {error.pos + 1}\n  {left}{shown}{right}\n  {mark}"


def _below(at: str, key: str) -> str:
    return f"{at}.{key}" if key.isidentifier() else f"{at}[{json.dumps(key)}]"


def _refuse(why: str, at: str) -> InputError:
    return InputError(f"at {at if at.startswith('.') else '.' + at}: {why}" if at else why)
