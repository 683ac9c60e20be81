"""Keys: their form held against the order and the prefixes of their elements, and against FoundationDB's tuple layer.

`order` is the order of keys as the documentation gives it (bytes, then strings by UTF-8, then ints), made here from the
elements alone. The known answers are those of FoundationDB's design/tuple.md wherever a body has neither 00 nor 01.
"""

from __future__ import annotations

import enum
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors import CodecError, InputError, KeyRefused, LimitExceeded
from actors.keys import check_name, decode_element, decode_key, encode_key, parse_path, path_text, plain
from actors.limits import KEY_BYTES_MAX, KEY_ELEMENTS_MAX, KEY_INT_BYTES_MAX

often = settings(deadline=None, max_examples=150)

bodies = st.lists(st.sampled_from([0, 1, 2, 3, 0x61, 0xFE, 0xFF]), max_size=5).map(bytes) | st.binary(max_size=6)
texts = st.text(st.sampled_from("\0\1\2\3aé€\uffff\U00010000"), max_size=5) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=5
)
edges = st.builds(
    lambda size, sign, by: sign * (256**size) + by, st.integers(0, 40), st.sampled_from([1, -1]), st.integers(-2, 2)
)
ints = st.integers(-300, 300) | st.integers(-(2**72), 2**72) | edges | st.sampled_from([2**2040 - 1, 1 - 2**2040])
elements = bodies | texts | ints
keys = st.lists(elements, max_size=4).map(tuple)


def order(key: tuple[Any, ...]) -> list[tuple[int, Any]]:
    rank = {bytes: 0, str: 1, int: 2}
    return [(rank[type(one)], one.encode() if type(one) is str else one) for one in key]


@st.composite
def close_keys(draw: st.DrawFn) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Two keys that share a beginning, and often more than that."""
    begin = draw(st.lists(elements, max_size=3))
    one, other = draw(st.lists(elements, max_size=2)), draw(st.lists(elements, max_size=2))
    if one and draw(st.booleans()):
        last = one[-1]
        more = {int: draw(st.integers(-1, 1)), str: draw(texts), bytes: draw(bodies)}[type(last)]
        if type(last) is not int or abs(last) < 2**2039:
            other = [*one[:-1], last + more]
    return (*begin, *one), (*begin, *other)


@often
@given(keys)
def test_a_key_comes_back_from_its_form(key: tuple[Any, ...]) -> None:
    form = encode_key(key)
    back = decode_key(form)
    assert back == key
    assert [type(one) for one in back] == [type(one) for one in key]
    assert encode_key(plain(back)) == form


@settings(deadline=None, max_examples=400)
@given(close_keys() | st.tuples(keys, keys))
@example((("a",), ("a\0b",)))
@example(((b"\0",), (b"\0\xff",)))
@example(((b"\1",), (b"\0",)))
@example(((b"\1\2",), (b"\1\1",)))
@example(((-1,), (-256,)))
@example(((2**64,), (2**64 - 1,)))
@example(((-(2**64),), (1 - 2**64,)))
@example((("",), (b"\xff",)))
@example((("\uffff",), ("\U00010000",)))
def test_forms_are_ordered_as_their_elements_and_share_prefixes_only_with_them(
    pair: tuple[tuple[Any, ...], tuple[Any, ...]],
) -> None:
    one, other = pair
    form, form_b = encode_key(one), encode_key(other)
    assert (form < form_b) == (order(one) < order(other))
    assert (form == form_b) == (order(one) == order(other))
    assert form_b.startswith(form) == (order(other)[: len(one)] == order(one))
    assert form.startswith(form_b) == (order(one)[: len(other)] == order(other))


@often
@given(elements)
def test_a_single_element_is_the_tuple_of_itself(element: Any) -> None:
    assert encode_key(element) == encode_key((element,))
    assert decode_element(b"?" + encode_key(element) + b"?", 1) == (element, 1 + len(encode_key(element)))


@pytest.mark.parametrize(
    ("key", "form"),
    [
        ((), ""),
        (b"foo", "01666f6f00"),
        ("FÔOBAR", "0246c3944f42415200"),
        ("", "0200"),
        (b"", "0100"),
        (0, "14"),
        (1, "1501"),
        (255, "15ff"),
        (256, "160100"),
        (-1, "13fe"),
        (-255, "1300"),
        (-256, "12feff"),
        (-5551212, "11ab4b93"),
        (2**64 - 1, "1cffffffffffffffff"),
        (1 - 2**64, "0c0000000000000000"),
        (2**64, "1d09010000000000000000"),
        (-(2**64), "0bf6feffffffffffffffff"),
        ("a\0b\1c", "0261010262010363 00".replace(" ", "")),
        (("a", 1, b"b"), "0261001501016200"),
    ],
)
def test_known_keys_have_their_known_forms(key: Any, form: str) -> None:
    assert encode_key(key).hex() == form
    assert plain(decode_key(bytes.fromhex(form))) == key


# --- the decoder ---


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    form = bytearray(encode_key(draw(keys)))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(form)))
        kind = draw(st.sampled_from(["flip", "cut", "insert", "delete", "set"]))
        if kind == "flip" and at < len(form):
            form[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del form[at:]
        elif kind == "insert":
            form[at:at] = draw(st.binary(min_size=1, max_size=3))
        elif kind == "delete":
            del form[at : at + draw(st.integers(1, 3))]
        elif at < len(form):
            form[at] = draw(st.sampled_from([0, 1, 2, 3, 0x0B, 0x0C, 0x13, 0x14, 0x15, 0x1C, 0x1D, 0xFF]))
    return bytes(form)


@settings(deadline=None, max_examples=800)
@given(mutations() | st.binary(max_size=16))
def test_bytes_that_are_no_key_are_refused_and_all_others_come_back_as_they_were(form: bytes) -> None:
    try:
        key = decode_key(form)
    except CodecError:
        return
    assert encode_key(key) == form


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ("00", "byte 0 is 0x00, which begins no element"),
        ("03", "byte 0 is 0x03, which begins no element"),
        ("1e", "byte 0 is 0x1e, which begins no element"),
        ("0a", "byte 0 is 0x0a, which begins no element"),
        ("14ff", "byte 1 is 0xff, which begins no element"),
        ("0161", "the element at byte 0 has no end"),
        ("1402", "the element at byte 1 has no end"),
        ("01010000", "an escape that means nothing"),
        ("01010400", "an escape that means nothing"),
        ("010100", "an escape that means nothing"),
        ("01010103 00".replace(" ", ""), "an escape that means nothing"),
        ("02ff00", "the str at byte 0 is not UTF-8"),
        ("02eda08000", "the str at byte 0 is not UTF-8"),
        ("02c1a100", "the str at byte 0 is not UTF-8"),
        ("15", "the int at byte 0 ends too early"),
        ("1601", "the int at byte 0 ends too early"),
        ("1500", "the int at byte 0 is not in its shortest form"),
        ("160001", "the int at byte 0 is not in its shortest form"),
        ("13ff", "the int at byte 0 is not in its shortest form"),
        ("12ff00", "the int at byte 0 is not in its shortest form"),
        ("1d", "the int at byte 0 ends too early"),
        ("0b", "the int at byte 0 ends too early"),
        ("1d08" + "ff" * 8, "the int at byte 0 is not in its shortest form"),
        ("0bf7" + "00" * 8, "the int at byte 0 is not in its shortest form"),
        ("1d09" + "00" + "ff" * 8, "the int at byte 0 is not in its shortest form"),
        ("0bf6" + "ff" * 9, "the int at byte 0 is not in its shortest form"),
    ],
)
def test_a_form_that_breaks_a_rule_is_refused_with_the_rule(form: str, why: str) -> None:
    with pytest.raises(CodecError, match=f"^key: .*{why}|^key: {why}"):
        decode_key(bytes.fromhex(form))


def test_a_key_that_a_mount_made_longer_than_a_program_may_write_one_can_be_read() -> None:
    for key in ((0,) * (KEY_ELEMENTS_MAX + 1), ("x" * KEY_BYTES_MAX,), ("a", "x" * KEY_BYTES_MAX, 3)):
        form = b"".join(encode_key(one[:4000]) if type(one) is str else encode_key(one) for one in key)
        short = tuple(one[:4000] if type(one) is str else one for one in key)
        assert decode_key(form * 2) == short * 2
        with pytest.raises(LimitExceeded):
            encode_key(key)


# --- refusals ---


class Word(str):
    __slots__ = ()


class Number(enum.IntEnum):
    ONE = 1


MEND = "a key is a str, an int, bytes or a tuple of them"


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (True, f"the key True is a bool; {MEND}: say int(True) or a word"),
        (("a", False), f"the key False in ('a', False) is a bool; {MEND}: say int(False) or a word"),
        (1.0, f"the key 1.0 is of type float; {MEND}"),
        (None, f"the key None is of type NoneType; {MEND}"),
        (("a", None), f"the key None in ('a', None) is of type NoneType; {MEND}"),
        (["a"], f"the key list is of type list; {MEND}"),
        (("a", ("b",)), f"the key ('b',) in ('a', ('b',)) is of type tuple; {MEND}"),
        (bytearray(b"a"), f"the key bytearray is of type bytearray; {MEND}"),
        (Word("a"), f"the key 'a' is of type Word; {MEND}"),
        (("a", Word("b")), f"the key 'b' in ('a', 'b') is of type Word; {MEND}"),
        (object(), f"the key object is of type object; {MEND}"),
        ("\ud800", "the key '\\ud800' has a lone surrogate, which no UTF-8 can hold"),
        (("a", "\udfff"), "the key ('a', '\\udfff') has a lone surrogate, which no UTF-8 can hold"),
    ],
)
def test_what_is_no_key_is_refused_with_what_it_is(key: object, told: str) -> None:
    with pytest.raises(KeyRefused) as caught:
        encode_key(key)
    assert str(caught.value) == told


def test_members_of_an_int_enum_are_no_ints_in_a_key() -> None:
    with pytest.raises(KeyRefused, match="is of type Number"):
        encode_key(Number.ONE)


def test_a_refused_key_leaves_no_trace_in_what_is_known() -> None:
    for _ in range(2):
        assert encode_key("1") != encode_key(1)
        for key in (True, 1.0, Word("1")):
            with pytest.raises(KeyRefused):
                encode_key(key)


def test_a_key_may_be_as_long_as_the_limit_and_no_longer() -> None:
    room = KEY_BYTES_MAX - 2
    for key in ("x" * room, b"x" * room, ("x" * (room - 1), 0), "é" * (room // 2), b"\0" * (room // 2)):
        assert len(encode_key(key)) == KEY_BYTES_MAX
        assert plain(decode_key(encode_key(key))) == key
    mend = "over the limit of 4096; keep a digest of it in the key and the rest in the value"
    for longer in ("x" * (room + 1), b"x" * (room + 1), ("x" * room, 0), ("x" * 2048, "y" * 2048)):
        with pytest.raises(LimitExceeded, match=rf"^the key .{{1,80}} takes 409[78]|410\d bytes, {mend}$"):
            encode_key(longer)
    assert len(encode_key((0,) * KEY_ELEMENTS_MAX)) == KEY_ELEMENTS_MAX
    with pytest.raises(LimitExceeded, match="a key of 65 elements is over the limit of 64"):
        encode_key((0,) * (KEY_ELEMENTS_MAX + 1))


@pytest.mark.parametrize("sign", [1, -1])
def test_an_int_in_a_key_may_be_as_large_as_the_limit_and_no_larger(sign: int) -> None:
    largest = sign * (256**KEY_INT_BYTES_MAX - 1)
    assert decode_key(encode_key(largest)) == (largest,)
    with pytest.raises(LimitExceeded, match="an int in a key takes 256 bytes, over the limit of 255"):
        encode_key(largest + sign)


def test_a_key_with_an_int_too_large_to_print_is_refused_like_any_other() -> None:
    with pytest.raises((KeyRefused, LimitExceeded)):
        encode_key((True, 10**5000))


def test_more_keys_than_are_remembered_keep_their_forms() -> None:
    for n in range(10_000):
        assert encode_key(f"{n}") == b"\x02" + str(n).encode() + b"\0"


# --- names and paths ---


@pytest.mark.parametrize("name", [b"a", True, None, 1.5, ("a",), Word("a"), Number.ONE])
def test_a_childs_name_is_a_str_or_an_int(name: object) -> None:
    with pytest.raises(KeyRefused, match=r"a child's name is a str or an int, not .* of type "):
        check_name(name)


def test_strings_and_ints_are_names() -> None:
    for name in ("a", "", 0, -3, "/"):
        check_name(name)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), "/"),
        (("shards", 3), "/shards/3"),
        (("3",), "/'3'"),
        (("-3", -3), "/'-3'/-3"),
        (("",), "/''"),
        (("a/b", "c d"), "/'a/b'/c d"),
        (("it's",), '/"it\'s"'),
        (("a\nb",), "/'a\\nb'"),
        (("-",), "/-"),
    ],
)
def test_a_path_is_printed_as_people_write_it(path: tuple[Any, ...], text: str) -> None:
    assert path_text(path) == text


names = st.text(st.sampled_from("/'\"\\-3a\n "), max_size=5) | st.integers(-40, 40)
paths = st.lists(names, max_size=3).map(tuple)


@settings(deadline=None, max_examples=400)
@given(paths, paths)
@example(("'3'",), ("3",))
@example(("\\n",), ("\n",))
def test_two_paths_that_are_printed_alike_are_one_path(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    assert (path_text(one) == path_text(other)) == (one == other)


def test_how_a_path_is_printed_does_not_depend_on_the_python_versions_table_of_characters() -> None:
    # U+1FAE8 came with Unicode 15.0, that is with Python 3.12: 3.11 does not take it for printable.
    # A path is a field of ChildFailed, which a process sees and may keep, so it has to be the same everywhere.
    assert path_text(("\U0001fae8",)) in ("/\U0001fae8", "/'\\U0001fae8'")
    assert (path_text(("\U0001fae8",)) == "/\U0001fae8") == (path_text(("\U0001f600",)) == "/\U0001f600")


@given(
    st.lists(
        st.one_of(
            st.text(st.characters(exclude_categories=["Cs"])),
            st.sampled_from(["it's", 'a"b', "a/b", "7", "-7", "'", "\\", "é", "a'b/c"]),
            st.integers(-(2**70), 2**70),
        ),
        max_size=4,
    )
)
def test_a_path_comes_back_from_its_printed_form(names: list[str | int]) -> None:
    assert parse_path(path_text(tuple(names))) == tuple(names)


def test_a_path_that_was_typed_is_taken_as_it_stands() -> None:
    assert parse_path("/") == ()
    assert parse_path("/shards/3/-4/it's/'3'/\"x\"") == ("shards", 3, -4, "it's", "3", "x")
    assert parse_path("/'a/b'/c") == ("a/b", "c")
    with pytest.raises(InputError, match="a path begins with /"):
        parse_path("shards")
