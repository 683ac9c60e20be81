"""Terms: what may be an actor, its address, its name, a message. What is checked where a class is made or something is sent.

A mistake is refused where it is made, so that whoever made it gets the error: a class of actors when it is defined, what an
actor sends when it sends it. The office, which deals with many, never comes to see it.

Names and addresses have limits of their own, below those of keys, for an office keeps what it knows of an actor under keys
that begin with words of its own and go on with the actor's name or address.
"""

from __future__ import annotations

import inspect
from math import isnan
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from actors.errors import CallRefused, LimitExceeded, ProgramError
from actors.keys import check_name, encode_key, show_key
from actors.limits import ADDRESS_BYTES_MAX, ADDRESS_NAMES_MAX, MESSAGE_BYTES_MAX
from actors.memory import SMALL_INT, Formed, slot_at, to_slot, value_of
from actors.meter import GAS_MAX
from actors.process import Process

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What becomes of an actor that fails on a message. It is back at where that message began, or at its last answer where it
#: has asked meanwhile, in any case, and the message is a dead letter. "skip": it goes on with the next; "stop": it is
#: stopped; "escalate": `deliver` raises, and an office below another hands it up.
Policy: TypeAlias = Literal["skip", "stop", "escalate"]
POLICIES: Final = ("skip", "stop", "escalate")

#: Where mail and letters stand in an actor's heap.
IN: Final = "mail"
OUT: Final = "letter"

#: An address of few short names is within the limit whatever is in them: a character takes at most four bytes of UTF-8, and
#: each name two more.
_SHORT_NAMES: Final = 8
_SHORT: Final = (ADDRESS_BYTES_MAX // _SHORT_NAMES - 2) // 4

_MAKING: Final = ("__new__", "__init__")

# --- classes ---


def check_actor(cls: type[Any]) -> None:
    """Check what a class of actors says, and how it receives.

    Raises:
        ProgramError: an office could not run it.
    """
    name = cls.__qualname__
    check_policy(cls)
    receive = cls.receive
    if not inspect.iscoroutinefunction(receive):
        yields = inspect.isasyncgenfunction(receive) or inspect.isgeneratorfunction(receive)
        what = "is a generator; do not yield in it" if yields else "is not async"
        raise ProgramError(f"{name}.receive {what}: write `async def receive(self, message, sender)`")
    bound = not isinstance(inspect.getattr_static(cls, "receive"), FunctionType)
    if not _takes(receive, 2 if bound else 3):
        raise ProgramError(
            f"{name}.receive cannot take a message and its sender: write `async def receive(self, message, sender)`"
        )
    for making in _MAKING:
        made_by = getattr(cls, making)
        if made_by is not getattr(object, making) and not _takes(made_by, 1):
            raise ProgramError(
                f"{name}.{making} has a required argument, and nobody makes an actor with any: "
                "give it a default, or spawn the actor with that value, which then stands in its heap"
            )


def _takes(function: Any, count: int) -> bool:
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    return True


def check_policy(program: Any) -> None:
    """Check what a class of actors, or of offices, says of its failures and its gas.

    Raises:
        ProgramError: it says something else than there is.
    """
    said, gas = program.on_failure, program.gas
    if said not in POLICIES:
        raise ProgramError(f'{program.__qualname__}: on_failure is {said!r}; it is "skip", "stop" or "escalate"')
    if gas is not None and (type(gas) is not int or not 0 <= gas <= GAS_MAX):
        raise ProgramError(
            f"{program.__qualname__}: gas is {gas!r}; it is an int from 0 to {GAS_MAX}, or None for no meter of its own"
        )


def remembers(cls: type[Any]) -> bool:
    """Tell whether what an instance of a class holds may not show in its `__dict__`, or is there from its beginning.

    Where it does not, an instance with nothing in it but the library's is as good as a new one.
    """
    slots = any("__slots__" in base.__dict__ for base in cls.__mro__ if base is not object)
    return slots or any(getattr(cls, making) is not getattr(object, making) for making in _MAKING)


def title(program: object) -> str:
    """Return the name by which an office knows a class of actors.

    Raises:
        CallRefused: it is none.
    """
    if not isinstance(program, type) or not issubclass(program, Process):
        kind = type(program).__qualname__
        raise CallRefused(
            f"an actor's program is a class that inherits from actors.Actor, not an object of type {kind}"
        )
    return program.__qualname__


def initial(values: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Return what a new actor's heap begins with, checked; by name, in the order in which it was given.

    Raises:
        CallRefused: that key is not the actor's.
        ValueRefused, LimitExceeded: as a PUT.
    """
    for key in (IN, OUT):
        if key in values:
            raise CallRefused(
                f"spawn: an actor's {IN!r} and {OUT!r} are the library's, for its mail and its letter; "
                f"call the value {key!r} otherwise"
            )
    made = tuple([(key, value_of(slot_at(key, value))) for key, value in values.items()])
    checked(made)
    return made


# --- addresses ---


def check_address(address: object, office: str = "self.office") -> None:
    """Check that this is an address.

    Args:
        address: what is to be one.
        office: what the caller calls its office.

    Raises:
        CallRefused, KeyRefused, LimitExceeded: it is none.
    """
    if type(address) is not tuple:
        mend = f"; to an actor of this office, say (*{office}, {address!r})" if type(address) is str else ""
        raise CallRefused(f"an address is a tuple of names, such as spawn returns, not {address!r}{mend}")
    short = len(address) <= _SHORT_NAMES
    for name in address:
        check_name(name)
        if type(name) is not str or len(name) > _SHORT:
            short = False
    if not short:
        _check_length(address)


def _check_length(address: tuple[Any, ...]) -> None:
    if len(address) > ADDRESS_NAMES_MAX:
        raise LimitExceeded(
            f"an address of {len(address)} names is over the limit of {ADDRESS_NAMES_MAX}; nest offices less deep"
        )
    size = sum([len(encode_key(name)) for name in address])
    if size > ADDRESS_BYTES_MAX:
        raise LimitExceeded(
            f"an address of {size} bytes, {show_key(address)}, is over the limit of {ADDRESS_BYTES_MAX}; "
            "use shorter names: an actor's begins with that of the actor that spawned it"
        )


def check_actor_name(name: object) -> None:
    """Check that an actor may be called that: a str without a dot that is no number.

    Raises:
        CallRefused, KeyRefused, LimitExceeded: it may not.
    """
    if type(name) is not str or not name or "." in name or name.isdecimal():
        raise CallRefused(f"an actor's name is a str without a dot, and no number; not {name!r}")
    encode_key(name)


# --- messages ---

#: What `plain` takes to be short, so that three layers of tuples are far below the limit of a message.
PLAIN_LENGTH_MAX: Final = 128
_PLAIN_ITEMS_MAX: Final = 12


def plain(message: Any, depth: int = 0) -> bool:
    """Tell whether a message is short, made of scalars and tuples, and so a value as it is, without a closer look."""
    kind = type(message)
    if kind is str:
        return len(message) <= PLAIN_LENGTH_MAX and message.isascii()
    if kind is int:
        return bool(-SMALL_INT < message < SMALL_INT)
    if kind is tuple:
        if depth > 2 or len(message) > _PLAIN_ITEMS_MAX:
            return False
        return all(plain(item, depth + 1) for item in message)
    return message is None or kind is bool or (kind is float and not isnan(message))


def checked(message: Any) -> Any:
    """Return a message as it is delivered: frozen, so that nobody shares anything that can change.

    Raises:
        ValueRefused, LimitExceeded: it is no value, or too long.
    """
    slot = to_slot(message)
    kind = type(slot)
    if kind is Formed:
        if len(slot.data) > MESSAGE_BYTES_MAX:
            raise _too_long(len(slot.data))
        return slot.value
    if (kind is str or kind is bytes) and len(slot) > MESSAGE_BYTES_MAX:
        raise _too_long(len(slot))
    return slot


def _too_long(size: int) -> LimitExceeded:
    return LimitExceeded(
        f"a message of {size} bytes is over the limit of {MESSAGE_BYTES_MAX}; send several, or where it can be read"
    )
