"""Values: `freeze`, `encode` and `decode` held against a reference encoder written here from the format alone.

`reference` below is the table in the docstring of `actors.values`, once more and without any of its code; what is
frozen, encoded and decoded is compared by `identical`, which keeps apart what Python calls equal (True, 1 and 1.0).
"""

from __future__ import annotations

import dataclasses
import enum
import math
import struct
import subprocess
import sys
from collections import OrderedDict
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyrsistent import PMap, PSet, PVector, pmap, pset, pvector
from pythons import VERSIONS, python_of

from actors import ABSENT, CodecError, LimitExceeded, MergeConflict, ValueRefused, codec, freeze
from actors.limits import VALUE_BYTES_MAX, VALUE_DEPTH_MAX, VALUE_INT_BYTES_MAX
from actors.values import decode, encode, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

REPOSITORY = Path(__file__).parents[2]
PVECTOR, PMAP, PSET = type(pvector()), type(pmap()), type(pset())
often = settings(deadline=None, max_examples=120)
CANONICAL_NAN = bytes.fromhex("7ff8000000000000")


# --- registered classes ---


@codec(name="test.Point")
@dataclasses.dataclass(frozen=True)
class Point:
    x: Any
    y: Any = 0


@codec(name="test.Colour")
class Colour(enum.Enum):
    RED = 1
    GREEN = 2
    ROUGE = 1  # noqa: PIE796 -- an alias is what is tested


class Money:
    """An immutable class that brings its own two functions, one of which refuses."""

    def __init__(self, cents: int) -> None:
        if type(cents) is not int:
            raise TypeError("cents are an int")
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return type(other) is Money and other.cents == self.cents

    def __hash__(self) -> int:
        return hash(self.cents)


codec(name="test.Money", encode=lambda money: money.cents, decode=Money)(Money)


# --- the reference ---


def leb(number: int) -> bytes:
    out = []
    while True:
        number, low = divmod(number, 128)
        out.append(low + (128 if number else 0))
        if not number:
            return bytes(out)


def reference(value: Any) -> bytes:
    """The encoding of a frozen value, straight from the format."""
    if value is None:
        return b"\x00"
    if type(value) is bool:
        return b"\x02" if value else b"\x01"
    if type(value) is int:
        if 0 <= value < 128:
            return bytes([0x80 + value])
        size = next(n for n in range(1, 1 << 21) if -(256**n) // 2 <= value < 256**n // 2)
        return b"\x03" + leb(size) + value.to_bytes(size, "big", signed=True)
    if type(value) is float:
        return b"\x04" + (CANONICAL_NAN if value != value else struct.pack(">d", value))
    if type(value) in (str, bytes):
        tag, body = (5, value.encode("utf-8")) if type(value) is str else (6, value)
        return bytes([tag]) + leb(len(body)) + body
    if type(value) in (tuple, PVECTOR):
        return (b"\x07" if type(value) is tuple else b"\x08") + leb(len(value)) + b"".join(map(reference, value))
    if type(value) is PMAP:
        pairs = sorted((reference(key), reference(item)) for key, item in value.items())
        return b"\x09" + leb(len(pairs)) + b"".join(key + item for key, item in pairs)
    if type(value) is PSET:
        return b"\x0a" + leb(len(value)) + b"".join(sorted(map(reference, value)))
    name, inner = {
        Point: lambda: ("test.Point", pmap({"x": value.x, "y": value.y})),
        Colour: lambda: ("test.Colour", value.name),
        Money: lambda: ("test.Money", value.cents),
    }[type(value)]()
    return b"\x0b" + leb(len(name)) + name.encode() + reference(inner)


def by_bytes(things: Iterable[Any]) -> list[Any]:
    return sorted(things, key=reference)


def identical(one: Any, other: Any) -> bool:
    """Tell whether two values are one, types and bits included."""
    if type(one) is not type(other):
        return False
    if type(one) is float:
        return (one != one and other != other) or struct.pack(">d", one) == struct.pack(">d", other)
    if isinstance(one, (tuple, PVector)):
        return len(one) == len(other) and all(map(identical, one, other))
    if isinstance(one, PMap):
        return len(one) == len(other) and all(map(identical, by_bytes(one.items()), by_bytes(other.items())))
    if isinstance(one, PSet):
        return len(one) == len(other) and all(map(identical, by_bytes(one), by_bytes(other)))
    if type(one) is Point:
        return identical(one.x, other.x) and identical(one.y, other.y)
    return bool(one == other)


# --- strategies ---

ints = (
    st.integers(-200, 300)
    | st.integers(-(2**70), 2**70)
    | st.integers(0, 80).flatmap(lambda n: st.sampled_from([256**n // 2, -(256**n) // 2, 256**n // 2 - 1, -(256**n)]))
)
floats = st.floats() | st.sampled_from([0.0, -0.0, math.inf, -math.inf, math.nan, -math.nan, 1.0, 5e-324])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(["", "é", "x" * 127, "x" * 128])
atoms = (
    st.none()
    | st.booleans()
    | ints
    | floats
    | texts
    | st.binary(max_size=8)
    | st.sampled_from(Colour)
    | st.builds(Money, st.integers(0, 300))
)


def each_once(items: list[Any]) -> list[Any]:
    return list({reference(item): item for item in items}.values())


def containers(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(children, max_size=5)
    return (
        some.map(tuple)
        | some.map(pvector)
        | some.map(each_once).map(pset)
        | st.tuples(some, children).map(lambda made: pmap(dict.fromkeys(each_once(made[0]), made[1])))
        | st.builds(Point, children, children)
    )


values = st.recursive(atoms, containers, max_leaves=20)


# --- round trip and canonicity ---


@often
@given(values)
def test_a_value_has_the_bytes_that_the_format_gives_it_and_comes_back_from_them(value: Any) -> None:
    form = encode(value)
    assert form == reference(value)
    made = decode(form)
    assert identical(made, value)
    assert encode(made) == form
    assert freeze(value) is value or identical(freeze(value), value)


@often
@given(values, values)
def test_two_values_are_the_same_exactly_when_their_bytes_are(one: Any, other: Any) -> None:
    assert same(one, other) == identical(one, other) == (encode(one) == encode(other))


def thawed(value: Any) -> Any:
    """The value again, with lists, dicts and sets wherever Python lets them stand."""
    if type(value) is PVECTOR:
        return [thawed(item) for item in value]
    if type(value) is tuple:
        return tuple(thawed(item) for item in value)
    if type(value) is PMAP:
        return {key: thawed(item) for key, item in value.items()}
    if type(value) is PSET:
        return set(value)
    return value


@often
@given(values)
def test_lists_dicts_and_sets_are_frozen_into_the_same_value(value: Any) -> None:
    frozen = freeze(thawed(value))
    assert identical(frozen, value)
    assert encode(frozen) == encode(value)


def test_a_frozenset_is_a_set_and_frozen_deep_inside() -> None:
    assert identical(freeze({"a": [frozenset({(1, 2)}), {3}]}), pmap({"a": pvector([pset([(1, 2)]), pset([3])])}))


def test_what_python_calls_equal_has_bytes_of_its_own() -> None:
    alike = [True, 1, 1.0, (1,), pvector([1]), pset([1]), pset([True]), (True,), (1.0,)]
    assert len({encode(value) for value in alike}) == len(alike)
    assert encode(0.0) != encode(-0.0)
    assert math.copysign(1, decode(encode(-0.0))) == -1
    assert encode("a") != encode(b"a")
    assert encode(()) != encode(pvector()) != encode(pmap()) != encode(pset()) != encode(None)


def test_every_nan_has_the_bytes_of_the_one() -> None:
    nans = [bytes.fromhex(bits) for bits in ("7ff8000000000000", "fff8000000000000", "7ff8000000000001")]
    assert {encode(struct.unpack(">d", bits)[0]) for bits in nans} == {b"\x04" + CANONICAL_NAN}


def test_the_order_in_which_a_map_or_set_was_made_leaves_no_trace() -> None:
    names = [f"key {n}" for n in range(200)]
    forwards, backwards = pmap(), pmap()
    for name in names:
        forwards = forwards.set(name, len(name))
    for name in [*reversed(names), "extra"]:
        backwards = backwards.set(name, len(name))
    assert encode(backwards.remove("extra")) == encode(forwards)
    assert encode(freeze(set(names))) == encode(freeze({*names[100:], *names[:100]}))


def test_two_nans_in_a_set_or_as_keys_are_refused() -> None:
    one, other = float("nan"), float("nan")
    for value in ({one, other}, {one: 1, other: 2}, {(1, one), (1, other)}):
        with pytest.raises(ValueRefused, match="have the same encoding"):
            encode(freeze(value))


# --- the decoder ---


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    form = bytearray(draw(values.map(encode)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(form)))
        kind = draw(st.sampled_from(["flip", "cut", "insert", "delete", "set", "repeat"]))
        if kind == "flip" and at < len(form):
            form[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del form[at:]
        elif kind == "insert":
            form[at:at] = draw(st.binary(min_size=1, max_size=3))
        elif kind == "delete":
            del form[at : at + draw(st.integers(1, 3))]
        elif kind == "set" and at < len(form):
            form[at] = draw(st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 127, 128, 129, 255]))
        else:
            form[at:at] = form[: draw(st.integers(0, 4))]
    return bytes(form)


@settings(deadline=None, max_examples=600)
@given(mutations() | st.binary(max_size=24))
def test_bytes_that_are_not_canonical_are_refused_and_all_others_come_back_as_they_were(form: bytes) -> None:
    try:
        value = decode(form)
    except CodecError:
        return
    assert reference(value) == form
    assert encode(freeze(value)) == form


@settings(deadline=None, max_examples=40)
@given(values)
def test_no_form_is_the_beginning_of_another(value: Any) -> None:
    form = encode(value)
    for size in range(len(form)):
        with pytest.raises(CodecError):
            decode(form[:size])
    with pytest.raises(CodecError, match="bytes too many"):
        decode(form + b"\0")


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ("", "end too early"),
        ("0c", "0x0c begins no value"),
        ("7f", "0x7f begins no value"),
        ("0000", "bytes too many"),
        ("030105", "not in its shortest form"),
        ("03020100".replace("0100", "0001"), "not in its shortest form"),
        ("0302ffff", "not in its shortest form"),
        ("0300", "not in its shortest form"),
        ("03810080", "not in its shortest form"),
        ("04fff8000000000000", "NaN is not the canonical one"),
        ("047ff8000000000001", "NaN is not the canonical one"),
        ("0403", "8 bytes are announced"),
        ("0501ff", "not UTF-8"),
        ("0503eda080", "not UTF-8"),
        ("0502c080", "not UTF-8"),
        ("05820061 62".replace(" ", ""), "not in its shortest form"),
        ("0605", "5 bytes are announced"),
        ("0aff" + "ff" * 7 + "7f", "over its limit"),
        ("07ffffffff0f", "over its limit"),
        ("07" + "ff" * 10 + "01", "too many bytes"),
        ("0a028281", "not ascending"),
        ("0a028181", "not ascending"),
        ("0902820081" + "00", "not ascending"),
        ("0902810081" + "00", "not ascending"),
        ("0a020281", "equal in Python"),
        ("0902028081" + "80", "equal in Python"),
        ("0a0203 0200ff".replace(" ", ""), "end too early"),
    ],
)
def test_a_form_that_breaks_a_rule_is_refused_with_the_rule(form: str, why: str) -> None:
    with pytest.raises(CodecError, match=why):
        decode(bytes.fromhex(form))


def test_an_announced_size_costs_nothing_until_it_is_there() -> None:
    for tag in (5, 6, 7, 8, 9, 10):
        with pytest.raises(CodecError):
            decode(bytes([tag]) + leb(VALUE_BYTES_MAX) + b"\x80" * 8)


# --- bounds ---

WRAPPERS = {
    "a tuple": (lambda inner: (inner,), lambda inner: (inner,), b"\x07\x01"),
    "a list": (lambda inner: [inner], lambda inner: pvector([inner]), b"\x08\x01"),
    "a map": (lambda inner: {1: inner}, lambda inner: pmap({1: inner}), b"\x09\x01\x81"),
    "a map's key": (lambda inner: {inner: 1}, None, None),
    "a set": (lambda inner: pset([inner]), lambda inner: pset([inner]), b"\x0a\x01"),
}


@pytest.mark.parametrize("kind", list(WRAPPERS))
def test_a_value_nests_up_to_the_limit_and_no_deeper(kind: str) -> None:
    wrap, frozen_wrap, head = WRAPPERS[kind]
    value: Any = 5
    for _ in range(VALUE_DEPTH_MAX):
        value = freeze(wrap(value))
    form = encode(value)
    assert identical(decode(form), value)
    with pytest.raises(LimitExceeded, match=f"nested deeper than {VALUE_DEPTH_MAX}"):
        freeze(wrap(value))
    if frozen_wrap is not None:
        with pytest.raises(LimitExceeded, match=f"nested deeper than {VALUE_DEPTH_MAX}"):
            encode(frozen_wrap(value))
        with pytest.raises(CodecError, match=f"nested deeper than {VALUE_DEPTH_MAX}"):
            decode(head + form)


def test_objects_count_as_levels_wherever_they_stand() -> None:
    value: Any = 5
    depth = 0
    while True:
        try:
            form = encode(freeze(Point(value)))
        except LimitExceeded:
            break
        value = Point(value)
        depth += 1
        assert identical(decode(form), value)
    assert depth == VALUE_DEPTH_MAX // 2, "an object is a level, and the map of its fields another"
    with pytest.raises(LimitExceeded):
        encode(Point(value))
    with pytest.raises(CodecError):
        decode(reference(Point(value)))


def test_a_value_nested_far_beyond_the_limit_is_refused_without_a_recursion_error() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(LimitExceeded, match="nested deeper"):
        freeze(deep)
    while deep:
        deep = deep.pop()
    with pytest.raises(CodecError, match="nested deeper"):
        decode(b"\x07\x01" * 100_000 + b"\x00")


def test_a_list_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(LimitExceeded, match="nested deeper"):
        freeze(loop)


def test_the_largest_value_is_taken_and_one_byte_more_is_not() -> None:
    body = b"x" * (VALUE_BYTES_MAX - 1 - len(leb(VALUE_BYTES_MAX)))
    form = encode(freeze(body))
    assert len(form) == VALUE_BYTES_MAX
    assert decode(form) == body
    for large in (body + b"x", (body,), "é" * (len(body) // 2 + 1)):
        with pytest.raises(LimitExceeded, match=rf"takes \d+ bytes, over the limit of {VALUE_BYTES_MAX}"):
            encode(freeze(large))
    with pytest.raises(CodecError, match="over the limit"):
        decode(b"\x06" + leb(len(body) + 1) + body + b"x")
    with pytest.raises(LimitExceeded, match=f"at {PATH_OF_A}.*over the limit of {VALUE_BYTES_MAX}"):
        freeze({"a": b"x" * (VALUE_BYTES_MAX + 1)})


PATH_OF_A = r"\['a'\]"


@pytest.mark.parametrize("sign", [1, -1])
def test_ints_are_taken_up_to_their_limit_of_bytes(sign: int) -> None:
    edge = 1 << (8 * VALUE_INT_BYTES_MAX - 1)
    largest = sign * (edge - 1)
    assert decode(encode(freeze(largest))) == largest
    with pytest.raises(LimitExceeded, match="bits, over the limit"):
        freeze((sign * (edge + 1),))
    head = b"\x03" + leb(VALUE_INT_BYTES_MAX + 1)
    with pytest.raises(CodecError, match="over its limit"):
        decode(head + (sign * (edge + 1)).to_bytes(VALUE_INT_BYTES_MAX + 1, "big", signed=True))


def test_the_smallest_int_that_can_be_read_can_be_written_too() -> None:
    smallest = -(1 << (8 * VALUE_INT_BYTES_MAX - 1))
    form = b"\x03" + leb(VALUE_INT_BYTES_MAX) + smallest.to_bytes(VALUE_INT_BYTES_MAX, "big", signed=True)
    try:
        value = decode(form)
    except CodecError:
        return
    assert encode(freeze(value)) == form


def test_an_int_of_any_size_may_stand_in_a_set_or_be_a_maps_key() -> None:
    large = 10**5000
    for value in ({large}, {large: 1}, {"a": {large: [1]}}, {-large, large}):
        assert identical(decode(encode(freeze(value))), freeze(value))


# --- refusals ---


class Subclassed(str):
    __slots__ = ()


class Named(NamedTuple):
    a: int


class Bare(enum.IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (object(), "builtins.object"),
        (1j, "builtins.complex"),
        (Fraction(1, 2), "fractions.Fraction"),
        (bytearray(b"x"), "builtins.bytearray"),
        (memoryview(b"x"), "builtins.memoryview"),
        (range(3), "builtins.range"),
        ((n for n in ()), "builtins.generator"),
        (OrderedDict(), "collections.OrderedDict"),
        (Subclassed("x"), "Subclassed"),
        (Named(1), "Named"),
        (Bare.ONE, "Bare"),
        (ABSENT, "actors.values.Absent"),
        (int, "builtins.type"),
        (test_two_nans_in_a_set_or_as_keys_are_refused, "builtins.function"),
    ],
)
def test_anything_else_is_refused_with_its_type(value: object, kind: str) -> None:
    with pytest.raises(ValueRefused, match=rf"{kind} cannot be a value; a value is None, bool, int.*actors\.codec"):
        freeze(value)
    with pytest.raises(ValueRefused, match="cannot be a value"):
        encode((value,))


async def value() -> int:
    return 1


@pytest.mark.parametrize("whole", [lambda one: one, lambda one: {"x": [one]}])
def test_a_coroutine_is_asked_whether_await_was_forgotten(whole: Callable[[Any], Any]) -> None:
    with closing(value()) as made:
        with pytest.raises(
            ValueRefused, match=r"a coroutine of type builtins.coroutine.* was `await` forgotten\?"
        ) as caught:
            freeze(whole(made))
        assert "codec" not in str(caught.value)
        with pytest.raises(ValueRefused, match=r"was `await` forgotten\?"):
            encode((made,))


THING = object()


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ([THING], "[0]"),
        ((1, (2, THING)), "[1][1]"),
        ({"a": [1, {2: THING}]}, "['a'][1][2]"),
        ({THING: 1}, "{an object}"),
        ({(1, THING): 1}, "{a tuple}[1]"),
        ({"k" * 50: {b"x": THING}}, "[a str][b'x']"),
        ({THING}, "{an object}"),
        (pmap({None: pvector([THING])}), "[None][0]"),
        (Point(1, [THING]), ".<test.Point>['y'][0]"),
    ],
)
def test_a_refusal_names_the_path_to_what_is_refused(value: object, path: str) -> None:
    with pytest.raises(ValueRefused) as caught:
        freeze(value)
    assert str(caught.value).startswith(f"an object of type builtins.object at {path} cannot be a value; ")


@pytest.mark.parametrize(
    ("value", "where"),
    [("a\ud800", ""), (["\udfff"], r" at \[0\]"), ({"\ud800": 1}, r" at \{'\\ud800'\}")],
)
def test_a_lone_surrogate_is_refused_with_its_place(value: object, where: str) -> None:
    with pytest.raises(ValueRefused, match=rf"the str{where} has a lone surrogate at character \d.*keep it as bytes"):
        freeze(value)


# --- codecs ---


@pytest.mark.parametrize("thing", [Point(1, "b"), Point((Point(1),), pset([Colour.RED])), Colour.GREEN, Money(7)])
def test_objects_of_registered_classes_come_back(thing: object) -> None:
    assert identical(decode(encode(freeze(thing))), thing)
    assert identical(decode(encode(freeze({thing: [thing]}))), pmap({thing: pvector([thing])}))


def named(name: str, inner: Any) -> bytes:
    return b"\x0b" + leb(len(name)) + name.encode() + encode(freeze(inner))


def test_an_unregistered_name_is_refused_and_named() -> None:
    with pytest.raises(CodecError, match=r"'test\.Nobody', which this program has not registered; import the module"):
        decode(named("test.Nobody", 1))


@pytest.mark.parametrize(
    ("name", "inner", "why"),
    [
        ("test.Colour", "BLUE", "refuses what stands there"),
        ("test.Colour", 1, "refuses what stands there"),
        ("test.Colour", "ROUGE", "does not make the same bytes again"),
        ("test.Money", 1.5, "refuses what stands there"),
        ("test.Money", "1", "refuses what stands there"),
        ("test.Point", {"x": 1}, "does not make the same bytes again"),
        ("test.Point", {"y": 1}, "refuses what stands there"),
        ("test.Point", {"x": 1, "y": 1, "z": 1}, "refuses what stands there"),
        ("test.Point", 5, "refuses what stands there"),
    ],
)
def test_what_a_codec_would_not_have_written_is_refused(name: str, inner: object, why: str) -> None:
    with pytest.raises(CodecError, match=f"the codec '{name}' {why}"):
        decode(named(name, inner))


def test_a_codec_answers_for_objects_of_its_own_class_only() -> None:
    class Loose:
        pass

    codec(name="test.Loose", encode=lambda thing: 5, decode=lambda inner: "not a Loose")(Loose)
    with pytest.raises(CodecError, match=r"test\.Loose"):
        decode(named("test.Loose", 5))


def test_a_class_that_could_change_or_has_no_codec_cannot_be_registered() -> None:
    @dataclasses.dataclass
    class Open:
        x: int

    class Plain:
        pass

    with pytest.raises(ValueRefused, match=r"Open can be changed behind.*dataclass\(frozen=True\)"):
        codec(Open)
    with pytest.raises(ValueRefused, match="Plain is neither a frozen dataclass nor an enum; pass encode= and decode="):
        codec(Plain)
    with pytest.raises(ValueRefused, match="Plain cannot be a value"):
        freeze(Plain())


def test_a_name_belongs_to_one_class() -> None:
    class Other:
        pass

    with pytest.raises(ValueRefused, match=r"the codec name 'test\.Money' is that of .*Money; give .*Other another"):
        codec(name="test.Money", encode=lambda thing: 1, decode=lambda inner: Other())(Other)


def test_a_class_that_was_defined_again_takes_its_name_over() -> None:
    def define() -> Any:
        @codec(name="test.Again")
        @dataclasses.dataclass(frozen=True)
        class Again:
            x: int

        return Again

    define()
    newer = define()
    assert type(decode(encode(freeze(newer(1))))) is newer


def test_the_default_name_of_a_codec_is_the_classes_qualified_name() -> None:
    @codec
    class Spin(enum.Enum):
        UP = 1

    name = Spin.__qualname__
    assert encode(Spin.UP) == named(name, "UP")


class Access(enum.Flag):
    READ = 1
    WRITE = 2


def test_what_freeze_lets_in_can_be_read_again_flags_included() -> None:
    codec(name="test.Access")(Access)
    for flags in (Access.READ, Access.READ | Access.WRITE, Access(0)):
        try:
            form = encode(freeze(flags))
        except ValueRefused:
            continue
        assert decode(form) is flags


def test_a_dataclass_that_cannot_be_made_from_its_fields_is_refused_before_it_is_written() -> None:
    @dataclasses.dataclass(frozen=True)
    class Hidden:
        seed: dataclasses.InitVar[int]
        x: int = 0

    try:
        codec(name="test.Hidden")(Hidden)
        form = encode(freeze(Hidden(3)))
    except ValueRefused:
        return
    assert decode(form) == Hidden(3)


def test_a_list_inside_a_frozen_dataclass_is_frozen_with_it() -> None:
    items = [1]
    frozen = freeze(Point(items))
    form = encode(frozen)
    items.append(2)
    assert encode(frozen) == form, "a value in a heap was changed from outside"
    assert identical(decode(form), frozen), "what is read depends on whether it was decoded in between"


class Pair:
    """Its codec makes a list, which is a value like any other that a program may write."""

    def __init__(self, left: object, right: object) -> None:
        self.left, self.right = left, right


def test_a_codec_may_make_lists_dicts_and_sets() -> None:
    codec(name="test.Pair", encode=lambda pair: [pair.left, {"r": pair.right}], decode=lambda v: Pair(v[0], v[1]["r"]))(
        Pair
    )
    back = decode(encode(freeze(Pair(1, {2, 3}))))
    assert (back.left, back.right) == (1, pset([2, 3]))
    assert encode(freeze(back)) == encode(freeze([Pair(1, {2, 3})]))[2:]


def test_an_object_stays_of_its_class_when_it_is_frozen_or_is_refused() -> None:
    class Turncoat:
        pass

    codec(name="test.Turncoat", encode=lambda thing: 5, decode=lambda inner: "a str")(Turncoat)
    with pytest.raises(ValueRefused, match=r"test\.Turncoat"):
        encode(freeze(Turncoat()))


def test_a_codec_that_cannot_encode_what_it_decoded_is_a_refusal_of_the_bytes() -> None:
    class Ratio:
        def __init__(self, bottom: int) -> None:
            self.bottom = bottom

    codec(name="test.Ratio", encode=lambda ratio: 6 // ratio.bottom, decode=Ratio)(Ratio)
    with pytest.raises(CodecError, match=r"test\.Ratio"):
        decode(named("test.Ratio", 0))


class Unhashable:
    def __init__(self, x: object) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return type(other) is Unhashable and other.x == self.x


@pytest.mark.parametrize("head", [b"\x0a\x01", b"\x09\x01"])
def test_an_unhashable_member_or_key_is_refused_as_bytes_not_with_a_type_error(head: bytes) -> None:
    codec(name="test.Unhashable", encode=lambda thing: thing.x, decode=Unhashable)(Unhashable)
    with pytest.raises(CodecError):
        decode(head + encode(Unhashable(1)) + b"\x00" * (head[0] == 9))


# --- other interpreters ---

ENCODE_MUCH = """
import hashlib, math, random, sys
from actors import freeze, codec
from actors.values import decode, encode
import dataclasses, enum

@codec(name="P")
@dataclasses.dataclass(frozen=True)
class P:
    a: object
    b: object
    c: object

@codec(name="E")
class E(enum.Enum):
    X = 1

rng = random.Random(5)
def make(depth):
    kind = rng.randrange(12 if depth else 7)
    if kind == 0: return rng.choice([None, True, False, E.X])
    if kind == 1: return rng.randrange(-300, 300)
    if kind == 2: return rng.getrandbits(rng.randrange(1, 400)) * rng.choice([1, -1])
    if kind == 3: return rng.choice([0.0, -0.0, math.inf, math.pi, 1e300, rng.random()])
    if kind in (4, 5): return "".join(rng.choice("abcé€\\U0001F600") for _ in range(rng.randrange(9)))
    if kind == 6: return rng.randbytes(rng.randrange(9))
    if kind == 7: return tuple(make(depth - 1) for _ in range(rng.randrange(6)))
    if kind == 8: return [make(depth - 1) for _ in range(rng.randrange(6))]
    if kind == 9: return {freeze(make(depth - 1)): make(depth - 1) for _ in range(rng.randrange(12))}
    if kind == 10: return {freeze(make(depth - 1)) for _ in range(rng.randrange(12))}
    return P(*(freeze(make(depth - 1)) for _ in range(3)))
total = hashlib.sha256()
for _ in range(400):
    form = encode(freeze(make(4)))
    assert encode(decode(form)) == form
    total.update(form)
print(total.hexdigest())
"""

REFUSE_MUCH = """
from pyrsistent import pmap, pset
import dataclasses
from actors import codec, freeze, MergeConflict

@codec(name="P")
@dataclasses.dataclass(frozen=True)
class P:
    alpha: object
    beta: object
    gamma: object

thing = object()
names = [f"name{n}" for n in range(20)]
for value in (P(thing, thing, thing), pmap({n: thing for n in names}), {"s": {(n, thing) for n in names}}):
    try:
        freeze(value)
    except Exception as error:
        print(type(error).__name__, error)
"""

CONFLICT = """
from pyrsistent import pmap, pset
from actors import MergeConflict
names = [f"name{n}" for n in range(20)]
print(MergeConflict("/", [("k", pmap({n: 1 for n in names}), pset(names), (pset(names),))]))
"""


def outputs(script: str, interpreters: list[str], seeds: list[str]) -> dict[tuple[str, str], str]:
    """What a script prints under interpreters and hash seeds, all run at the same time."""
    started = {
        (python, seed): subprocess.Popen(
            [python, "-c", script],
            cwd=REPOSITORY,
            env={"PYTHONHASHSEED": seed, "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for python in interpreters
        for seed in seeds
    }
    printed = {}
    for which, process in started.items():
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        printed[which] = out
    return printed


SEEDS = ["0", "1", "2", "77", "4000000000"]


def test_the_bytes_are_the_same_under_every_hash_seed() -> None:
    assert len(set(outputs(ENCODE_MUCH, [sys.executable], SEEDS).values())) == 1


def test_the_text_of_a_refusal_is_the_same_under_every_hash_seed() -> None:
    assert len(set(outputs(REFUSE_MUCH, [sys.executable], SEEDS).values())) == 1


def test_the_text_of_a_conflict_is_the_same_under_every_hash_seed() -> None:
    assert len(set(outputs(CONFLICT, [sys.executable], SEEDS).values())) == 1


def test_the_text_of_a_conflict_can_be_made_whatever_the_values() -> None:
    assert "'k'" in str(MergeConflict("/", [("k", 1, 10**5000, 2)]))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_bytes_are_the_same_on_every_python_version(version: str) -> None:
    python = python_of(version)
    if python == sys.executable:
        pytest.skip("these tests run on it")
    assert len(set(outputs(ENCODE_MUCH, [sys.executable, python], ["0"]).values())) == 1
