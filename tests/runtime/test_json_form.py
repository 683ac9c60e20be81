"""Values as JSON: exact both ways, the same text whatever the hash seed, and strict about what it reads."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyrsistent import pmap, pset, pvector

from actors.codecs import codec
from actors.errors import InputError, KeyRefused, ValueRefused
from actors.freezing import freeze
from actors.keys import encode_key
from actors.limits import VALUE_DEPTH_MAX
from actors.values import encode
from runtime.json_form import (
    INT_BITS_PLAIN_MAX,
    from_json,
    key_from_json,
    key_to_json,
    parse,
    parse_json,
    to_json,
)


@codec(name="test_json_form.Point")
@dataclasses.dataclass(frozen=True)
class Point:
    x: Any
    y: Any


@codec(name="test_json_form.Colour")
class Colour(enum.Enum):
    RED = 1
    BLUE = 2


def _encodes(value: Any) -> bool:
    """Whether a value may stand in a heap: two NaNs in one set may not."""
    try:
        encode(value)
    except ValueRefused:
        return False
    return True


_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_flat = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-9, 9).map(lambda n: n * 2**4000 + 1),
    st.floats(),
    _text,
    st.sampled_from(["$", "$map", "$tuple", "a"]),
    st.binary(max_size=8),
    st.sampled_from(list(Colour)),
)
_inner: st.SearchStrategy[Any] = st.deferred(
    lambda: (
        _flat
        | st.lists(_inner, max_size=3).map(pvector)
        | st.lists(_inner, max_size=3).map(tuple)
        | st.dictionaries(_text | st.just("$map"), _inner, max_size=3).map(pmap)
        | st.dictionaries(_inner, _inner, max_size=2).map(pmap)
        | st.sets(_inner, max_size=3).map(pset)
        | st.builds(Point, _inner, _inner)
    )
)
values = _inner.filter(_encodes)
elements = _text | st.integers() | st.binary(max_size=8)


@settings(deadline=None)
@given(values)
def test_from_json_is_the_inverse_of_to_json_to_the_byte(value: Any) -> None:
    assert encode(from_json(to_json(value))) == encode(value)


@settings(deadline=None)
@given(values)
def test_it_stays_exact_through_text_which_is_one_line_of_standard_json(value: Any) -> None:
    line = json.dumps(to_json(value), allow_nan=False)
    assert "\n" not in line
    assert encode(parse(line)) == encode(value)
    assert to_json(parse(line)) == json.loads(line)


@settings(deadline=None)
@given(values)
def test_equal_values_have_equal_text(value: Any) -> None:
    again = freeze(from_json(to_json(value)))
    assert json.dumps(to_json(again)) == json.dumps(to_json(value))


@settings(deadline=None)
@given(elements | st.lists(elements, max_size=4).map(tuple))
def test_a_key_survives_the_way_out_and_in(key: Any) -> None:
    assert encode_key(key_from_json(json.loads(json.dumps(key_to_json(key))))) == encode_key(key)


def test_the_forms_are_those_of_the_table() -> None:
    assert to_json(pvector([None, True, 1, 1.5, "a"])) == [None, True, 1, 1.5, "a"]
    assert to_json(pmap({"a": 1})) == {"a": 1}
    assert to_json(pmap({"$a": 1})) == {"$map": [["$a", 1]]}
    assert to_json(pmap({1: 2})) == {"$map": [[1, 2]]}
    assert to_json((1, b"\x00\xff")) == {"$tuple": [1, {"$bytes": "00ff"}]}
    assert to_json(pset([3, 1, 2])) == {"$set": [1, 2, 3]}
    assert to_json((math.nan, math.inf, -math.inf)) == {"$tuple": [{"$float": w} for w in ("nan", "inf", "-inf")]}
    assert to_json(pmap({math.nan: 1})) == {"$map": [[{"$float": "nan"}, 1]]}
    assert to_json(Point(1, 2)) == {"$value": {"codec": "test_json_form.Point", "value": {"x": 1, "y": 2}}}
    assert to_json(Colour.RED) == {"$value": {"codec": "test_json_form.Colour", "value": "RED"}}
    assert key_to_json(("accounts", 7, b"\x01")) == ["accounts", 7, {"$bytes": "01"}]
    assert key_to_json("total") == "total"


def test_an_int_is_plain_up_to_the_limit_and_hex_beyond() -> None:
    assert to_json(2**INT_BITS_PLAIN_MAX - 1) == 2**INT_BITS_PLAIN_MAX - 1
    assert to_json(-(2**INT_BITS_PLAIN_MAX)) == {"$int": hex(-(2**INT_BITS_PLAIN_MAX))}
    assert parse(str(-(2**INT_BITS_PLAIN_MAX) + 1)) == -(2**INT_BITS_PLAIN_MAX) + 1


def test_the_kinds_stay_apart() -> None:
    assert type(parse("1")) is int
    assert type(parse("1.0")) is float
    assert parse("true") is True
    assert math.copysign(1, parse("-0.0")) == -1
    assert encode(parse("[1]")) != encode(parse('{"$tuple": [1]}'))


def test_the_text_does_not_depend_on_the_hash_seed() -> None:
    code = (
        "import json; from pyrsistent import pmap, pset; from runtime.json_form import to_json;"
        "words = [f'w{i}' for i in range(50)];"
        "print(json.dumps(to_json((pset(words), pmap(dict.fromkeys(words)), pmap(dict.fromkeys([*words, 1]))))))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(texts) == 1


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"a": }', 'no JSON: expecting value at column 7\n  {"a": }\n        ^'),
        ("", "no JSON: expecting value at column 1"),
        ("[1] 2", "no JSON: extra data at column 5"),
        ('{"a": {"b": 1, "b": 2}}', 'at .a: the key "b" stands twice in one object'),
        ("[1, [NaN]]", 'at .[1][0]: NaN is no JSON; write {"$float": "nan"}'),
        ("-Infinity", '-Infinity is no JSON; write {"$float": "-inf"}'),
        ('{"a b": 1e999}', 'at .["a b"]: 1e999 is more than a float holds'),
        ("9" * 5000, 'an int of 5000 digits; over 617 write {"$int": "0x…"}'),
        ('{"$byte": ""}', "$byte is no tag; there are $tuple, $bytes"),
        ('{"a": {"$tuple": [], "b": 1}}', "at .a: an object with the key '$tuple' beside others"),
        ('{"$bytes": "0"}', 'at .["$bytes"]: $bytes takes a string of hex digits'),
        ('{"$bytes": 0}', "$bytes takes a string"),
        ('{"$int": "1x"}', "$int takes a string"),
        ('{"$float": "1.5"}', "$float takes a string of nan, inf or -inf"),
        ('{"$tuple": {}}', "$tuple takes an array"),
        ('{"$set": [1, 1]}', "two members of the set are one"),
        ('{"$set": [1, true]}', "two members of the set are one"),
        ('{"$map": [[1]]}', '.["$map"][0]: $map takes an array of pairs'),
        ('{"$map": [[1, 2], [true, 3]]}', '.["$map"][1][0]: a key of the map stands twice'),
        ('{"$value": {"codec": "nobody", "value": 1}}', "has not registered"),
        ('{"$value": 1}', "$value takes"),
        ('{"$value": {"codec": "test_json_form.Colour", "value": "GREEN"}}', "refuses what stands there"),
        ('"\\ud800"', "lone surrogate"),
        ("[" * (VALUE_DEPTH_MAX + 1) + "]" * (VALUE_DEPTH_MAX + 1), "nested deeper than 64"),
        ("[" * 100_000 + "]" * 100_000, "nested far deeper than 64"),
    ],
)
def test_what_is_refused_is_told_with_its_place(line: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(line)
    assert told in str(caught.value)


@pytest.mark.parametrize("line", ["null", "true", "1.5", '{"a": 1}', '[["a"]]', "[null]", '{"$set": []}'])
def test_what_is_no_key_is_refused(line: str) -> None:
    with pytest.raises(InputError):
        key_from_json(parse_json(line))


def test_the_deepest_value_that_a_heap_takes_is_read_and_written() -> None:
    value: Any = ()
    for _ in range(VALUE_DEPTH_MAX - 1):
        value = (value,)
    assert parse(json.dumps(to_json(value))) == value


def test_what_is_no_value_is_refused_on_the_way_out() -> None:
    with pytest.raises(ValueRefused):
        to_json(object())
    with pytest.raises(KeyRefused):
        encode_key(True)
