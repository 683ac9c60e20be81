"""What may be an actor, an office, an address, a name, a message: checked where it is said, before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import CallRefused, KeyRefused, LimitExceeded, ProgramError, ValueRefused
from actors.freezing import freeze
from actors.keys import encode_key
from actors.limits import ADDRESS_BYTES_MAX, MESSAGE_BYTES_MAX, MESSAGES_MAX, VALUE_BYTES_MAX
from actors.mail import Actor
from actors.memory import Memory
from actors.office import PostOffice
from actors.terms import check_actor_name, check_address, checked, plain
from actors.values import encode


class Quiet(Actor):
    async def receive(self, message: Any, sender: Any) -> None:
        pass


def quiet() -> Quiet:
    actor = Quiet()
    actor.machine_bind(Memory(), ("shop", "quiet"))
    return actor


def test_an_actor_knows_its_office() -> None:
    assert quiet().office == ("shop",)


@pytest.mark.parametrize("address", ["quiet", 3, None, ["shop"]])
def test_an_address_is_a_tuple(address: Any) -> None:
    with pytest.raises(CallRefused, match="an address is a tuple of names"):
        quiet().tell(address, 1)


def test_an_address_is_made_of_names() -> None:
    with pytest.raises(KeyRefused, match="a child's name is a str or an int"):
        quiet().tell((1.5,), 1)


def test_a_message_is_a_value() -> None:
    actor = quiet()
    with pytest.raises(ValueRefused):
        actor.tell(("shop",), object())
    with pytest.raises(ValueRefused):
        actor.tell(("shop",), (1, ({"a": object()},)))
    assert actor._sent == []


def test_a_message_has_a_limit_and_a_page_of_the_longest_is_a_value() -> None:
    actor = quiet()
    actor.tell(("shop",), b"x" * MESSAGE_BYTES_MAX)
    with pytest.raises(LimitExceeded, match="over the limit"):
        actor.tell(("shop",), b"x" * (MESSAGE_BYTES_MAX + 1))
    with pytest.raises(LimitExceeded, match="over the limit"):
        actor.tell(("shop",), ("x" * MESSAGE_BYTES_MAX,))
    page = tuple([checked(b"x" * MESSAGE_BYTES_MAX), ("shop", "quiet"), 0] * MESSAGES_MAX)
    assert len(encode(freeze(page))) < VALUE_BYTES_MAX


def test_what_is_sent_is_frozen() -> None:
    actor, message = quiet(), [1, [2]]
    actor.tell(("shop",), message)
    message.append(3)
    assert encode(actor._sent[0][1]) == encode(freeze([1, [2]]))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=200) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=14).map(tuple) | st.lists(inner, max_size=3),
)


@given(VALUES)
def test_what_is_plain_is_a_value_as_it_is_and_short(message: Any) -> None:
    if plain(message):
        assert encode(message) == encode(freeze(message))
        assert len(encode(message)) <= MESSAGE_BYTES_MAX


def test_the_longest_plain_message_is_within_the_limit() -> None:
    message: Any = "x" * 128
    while plain((message,) * 12):
        message = (message,) * 12
    assert len(encode(message)) <= MESSAGE_BYTES_MAX


@pytest.mark.parametrize("name", ["", "a.b", "7", 7, None, b"a"])
def test_a_name_is_a_str_without_a_dot_and_no_number(name: Any) -> None:
    with pytest.raises(CallRefused, match="an actor's name is a str without a dot"):
        check_actor_name(name)


def test_a_policy_is_one_of_three() -> None:
    with pytest.raises(ProgramError, match="on_failure is 'retry'; it is"):
        type("Odd", (Quiet,), {"on_failure": "retry"})


@pytest.mark.parametrize("program", [Quiet.__name__, 7, int, None])
def test_a_program_is_a_class_of_actors(program: Any) -> None:
    for refused in (quiet().become, quiet().spawn):
        with pytest.raises(CallRefused, match="program is a class that inherits from"):
            refused(program)


@pytest.mark.parametrize("where", ["actors", "hosts"])
def test_an_office_has_classes_of_actors(where: str) -> None:
    with pytest.raises(ProgramError, match="is no class of actors"):
        type("Odd", (PostOffice,), {where: (int,)})


def test_what_an_office_cannot_host() -> None:
    inner = type("Inner", (PostOffice,), {})
    with pytest.raises(ProgramError, match="it is an office"):
        type("Odd", (PostOffice,), {"hosts": (inner,)})
    with pytest.raises(ProgramError, match="it has gas of its own"):
        type("Odd", (PostOffice,), {"hosts": (type("Fed", (Quiet,), {"gas": 100}),)})


def test_two_classes_of_one_name_cannot_be_told_apart() -> None:
    other = type("Quiet", (Actor,), {})
    with pytest.raises(ProgramError, match="knows two classes of the name Quiet"):
        type("Odd", (PostOffice,), {"hosts": (Quiet,), "actors": (other,)})


# --- what a class of actors may be ---


def _def(source: str) -> Any:
    found: dict[str, Any] = {}
    exec(source, found)
    return found["made"]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("def made(self, message, sender): pass", "receive is not async"),
        ("def made(self, message, sender): yield", "receive is a generator"),
        ("async def made(self, message, sender): yield", "receive is a generator"),
        ("async def made(self, message): pass", "receive cannot take a message and its sender"),
        ("async def made(self, message, *, sender): pass", "receive cannot take a message and its sender"),
        ("async def made(self, message, sender, more): pass", "receive cannot take a message and its sender"),
    ],
)
def test_an_actor_receives_a_message_and_its_sender(source: str, why: str) -> None:
    with pytest.raises(ProgramError, match=rf"Odd\.{why}.*: write `async def receive\(self, message, sender\)`"):
        type("Odd", (Actor,), {"receive": _def(source)})


@pytest.mark.parametrize(
    "made",
    [
        _def("async def made(self, *both): pass"),
        _def("async def made(self, message, sender=None, more=1): pass"),
        staticmethod(_def("async def made(message, sender): pass")),
        classmethod(_def("async def made(cls, message, sender): pass")),
    ],
)
def test_an_actor_may_receive_them_in_many_ways(made: Any) -> None:
    type("Fine", (Actor,), {"receive": made})


def test_an_actor_is_made_without_arguments() -> None:
    for name in ("__init__", "__new__"):
        with pytest.raises(ProgramError, match=rf"Odd\.{name} has a required argument"):
            type("Odd", (Quiet,), {name: _def("def made(self, x): pass")})
    type("Fine", (Quiet,), {"__init__": _def("def made(self, x=1): pass")})


def test_an_actor_becomes_no_office() -> None:
    with pytest.raises(CallRefused, match=r"become: PostOffice does not inherit from actors\.Actor"):
        quiet().become(PostOffice)  # type: ignore[arg-type]


def test_an_actor_has_no_run() -> None:
    async def run(self: Any) -> None:
        pass

    with pytest.raises(ProgramError, match="Odd is an actor and has a `run`"):
        type("Odd", (Quiet,), {"run": run})


@pytest.mark.parametrize("base", [Actor, PostOffice])
@pytest.mark.parametrize("gas", [-5, "x", True, 1.5, 2**64])
def test_gas_is_an_amount(base: Any, gas: Any) -> None:
    with pytest.raises(ProgramError, match=f"Odd: gas is {gas!r}; it is an int from 0 to"):
        type("Odd", (base,), {"gas": gas})


@pytest.mark.parametrize("where", ["actors", "hosts"])
@pytest.mark.parametrize("classes", [Quiet, [Quiet], None])
def test_the_classes_of_an_office_are_a_tuple(where: str, classes: Any) -> None:
    like = "Quiet" if classes is Quiet else "MyActor"
    with pytest.raises(ProgramError, match=rf"Odd: {where} is .*; it is a tuple of classes: \({like},\)"):
        type("Odd", (PostOffice,), {where: classes})


def test_a_class_is_named_once() -> None:
    for classes in ({"hosts": (Quiet,), "actors": (Quiet,)}, {"hosts": (Quiet, Quiet)}):
        with pytest.raises(ProgramError, match="Odd names Quiet twice in its hosts and actors; name it once"):
            type("Odd", (PostOffice,), classes)


@pytest.mark.parametrize(
    ("attribute", "value", "why"),
    [
        ("placement", "worker", "its placement is 'worker', and a hosted actor runs where its office does"),
        ("lifted", ("clock",), "it says lifted, and a hosted actor runs under its office's guards"),
        ("allowed_modules", ("numpy",), "it says allowed_modules, and a hosted actor"),
    ],
)
def test_what_a_hosted_actor_would_say_in_vain_is_refused(attribute: str, value: Any, why: str) -> None:
    special = type("Special", (Quiet,), {attribute: value})
    with pytest.raises(ProgramError, match=f"Odd cannot host Special: {why}.*; name it in `actors`"):
        type("Odd", (PostOffice,), {"hosts": (special,)})
    type("Fine", (PostOffice,), {"actors": (special,)})


@given(st.text(alphabet="\0\1\uffff\U0001f600", min_size=1, max_size=80), st.integers(1, 12))
def test_no_address_gets_by_the_limit(name: str, count: int) -> None:
    address = (name,) * count
    if len(encode_key(address)) <= ADDRESS_BYTES_MAX:
        check_address(address)
        return
    with pytest.raises(LimitExceeded, match="an address of"):
        check_address(address)
