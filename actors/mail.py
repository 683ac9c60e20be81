"""Mail: classic actors, made deterministic. What an actor is written with; who carries the mail is `actors.office`.

An actor is a process that handles one message after the other, and sends messages while it does. It never calls the
office: what it sends stands in its *letter*, in its own heap, when it stops, and the office fetches that. So mail goes in
*rounds*. In a round every actor that has mail handles all of it, side by side with the others; what they sent is put
together by the order of the senders' names, and each sender's in the order in which it was sent, and is delivered in the
next round. Nothing else has a say in the order: not who ended first, and not where it ran.

    office   ── PUT "mail": message, sender, kind, message, sender, kind, … ──▶   actor   (starts it)
    office   ◀── GET "letter": status, how many were handled, …, to, message, kind, … ──   (when it has stopped)

An address is a path: the office's own, and the actor's name behind it. What is kept under "mail" and "letter" in an actor's
heap is the library's; all else there is the actor's.

An activation is given up to `MESSAGES_MAX` messages. It ends early where the actor asks (it then stands in the middle of
`run`, until the answer is there), becomes something else, or stops; what it was not given to handle it is given later.
"""

from __future__ import annotations

from itertools import chain
from math import isnan
from operator import length_hint
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias

from actors.calls import Ret
from actors.errors import CallRefused, LimitExceeded, LockstepError, ProgramError
from actors.keys import Path, check_name, encode_key, path_text
from actors.limits import MESSAGE_BYTES_MAX, MESSAGES_MAX
from actors.memory import SMALL_INT, Formed, Memory, slot_at, to_slot, value_of
from actors.process import Process, _call

if TYPE_CHECKING:
    from collections.abc import Container

    from actors.heap import Heap
    from actors.meter import Meter

Address: TypeAlias = Path
#: What becomes of an actor that fails on a message. It is back at where it was before that message in any case, and the
#: message is a dead letter. "skip": it goes on with the next; "stop": it is stopped; "escalate": `deliver` raises.
Policy: TypeAlias = Literal["skip", "stop", "escalate"]
POLICIES: Final = ("skip", "stop", "escalate")

# --- kinds of mail, and of letters ---

TELL: Final = 0
ASK: Final = 1
ANSWER: Final = 2
REFUSAL: Final = 3
SPAWN: Final = 4

#: All that was given is handled, or as much as the letter says; it waits for an answer; it wants no more. Of an office: it
#: has more to deliver.
DONE: Final = 0
WAITS: Final = 1
STOPS: Final = 2
MORE: Final = 3

IN: Final = "mail"
OUT: Final = "letter"
_SPAWNED: Final = ("mail", "spawned")
_RET: Final = Ret()
#: Fields of a letter before its entries.
HEAD: Final = 4


class NoAnswer(LockstepError):
    """An ask that nobody will answer: the actor failed on it, has stopped, or was never there.

    Args:
        address: whom it was asked of, as printed.
        reason: the class name of the exception, or what else there is to say.
    """

    code = "no-answer"

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address = address
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.address} does not answer: {self.reason}; catch NoAnswer where that may be"


class Actor(Process):
    """A program that handles messages. Subclass it, and write `async def receive(self, message, sender)`.

    An instance lives for one activation at most: what is to be known later stands in `self.heap`.
    """

    #: What becomes of it when it fails on a message.
    on_failure: ClassVar[Policy] = "skip"
    #: What an activation may use, where it is a process of its own; None: whatever the office has left, if that is metered.
    gas: ClassVar[int | None] = None

    #: Whether the office runs the actor itself; set by the office, with what that knows to be addresses.
    _hosted = False
    _known: Container[Address] = frozenset()

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        check_policy(cls)

    def machine_bind(self, memory: Memory, path: Path, meter: Meter | None = None) -> None:
        """Give the instance its heap, path and meter. The machine's; programs have no use for it."""
        super().machine_bind(memory, path, meter)
        #: (to, message, kind), in the order in which it was sent.
        self._sent: list[tuple[Address, Any, int]] = []
        #: Whether the rest of the mail is not for this activation.
        self._cut = False
        self._became: str | None = None
        self._stops = False
        #: How many messages it was given, and those that it has not begun to handle.
        self._size = 0
        self._rest: Any = iter(())

    # --- for the actor ---

    async def receive(self, message: Any, sender: Address) -> Any:
        """Handle one message.

        Args:
            message: a value.
            sender: the address of whoever sent it.

        Returns:
            The answer, where the message was asked; where it was told, what is returned goes nowhere.
        """
        raise NotImplementedError(f"{type(self).__qualname__} does not receive: write `async def receive`")

    @property
    def office(self) -> Address:
        """The address of the office that it belongs to."""
        return self.path[:-1]

    def tell(self, address: Address, message: Any) -> None:
        """Send a message. It is delivered in the next round; a message to nobody becomes a dead letter.

        Raises:
            ValueRefused, KeyRefused, LimitExceeded: the message is no value, or too long; or that is no address.
        """
        try:
            known = address in self._known
        except TypeError:
            known = False
        if not known:
            check_address(address)
        # Inline, for the most common kinds: `plain`.
        kind = type(message)
        if not (
            (kind is str and len(message) <= PLAIN_LENGTH_MAX and message.isascii())
            or (kind is int and -SMALL_INT < message < SMALL_INT)
            or plain(message)
        ):
            message = checked(message)
        self._sent.append((address, message, TELL))

    async def ask(self, address: Address, message: Any) -> Any:
        """Send a message and wait for the answer: what `receive` returns there.

        Until it is there, this actor's other mail waits. What it wrote and sent before stays, whatever comes.

        Raises:
            NoAnswer: there will be none.
            CallRefused: an actor cannot ask itself.
        """
        check_address(address)
        if address == self.path:
            raise CallRefused(
                f"ask: {path_text(address)} asks itself, and would wait for ever; call the method instead"
            )
        self._sent.append((address, checked(message), ASK))
        self._cut = True
        if self._hosted:
            given, answer = await _call(_RET)
        else:
            put_letter(self.heap, (WAITS, self.handled, self._became), self._sent)
            await self.ret()
            self._sent = []
            given, answer = self.heap[IN]
        if not given:
            raise NoAnswer(path_text(address), answer)
        return answer

    def spawn(self, program: type[Process], name: str | None = None, /, **values: Any) -> Address:
        """Make a new actor, which is there before what is sent from now on is delivered.

        Args:
            program: its class, one of the office's `actors` or `hosts`.
            name: the last part of its name; a number, if not given. The whole of it is this actor's, a dot, and that.
            values: what its heap begins with.

        Returns:
            Its address.

        Raises:
            CallRefused: there was one of that name; or that is no class of actors.
            ValueRefused, LimitExceeded: as a PUT.
        """
        mine = self.path[-1]
        if name is None:
            number = self.heap.get(_SPAWNED, 0)
            self.heap[_SPAWNED] = number + 1
            name = str(number)
        else:
            check_actor_name(name)
            if (*_SPAWNED, name) in self.heap:
                raise CallRefused(f"spawn: {path_text(self.path)} made a {name!r} before; no name is used twice")
            self.heap[*_SPAWNED, name] = True
        address = (*self.path[:-1], f"{mine}.{name}")
        self._sent.append((address, (title(program), initial(values)), SPAWN))
        return address

    def become(self, program: type[Actor]) -> None:
        """Handle all messages behind this one as another program does, on the same heap."""
        self._became = title(program)
        self._cut = True

    def stop(self) -> None:
        """Stop for good behind this message: the heap is dropped, and further mail becomes dead letters."""
        self._stops = True
        self._cut = True

    # --- for the office ---

    async def run(self) -> None:
        """Handle the mail that the office brought."""
        mail = self.heap[IN]
        await self._handle([*zip(mail[::3], mail[1::3], mail[2::3], strict=True)])
        put_letter(self.heap, (STOPS if self._stops else DONE, self.handled, self._became), self._sent)

    async def _handle(self, mail: list[tuple[Any, Address, int]]) -> None:
        self._size = len(mail)
        self._rest = iter(mail)
        receive = self.receive
        for message, sender, kind in self._rest:
            answer = await receive(message, sender)
            if kind:
                self._sent.append((sender, checked(answer), ANSWER))
            if self._cut:
                return

    @property
    def handled(self) -> int:
        """How many messages of this activation it has begun to handle. The office's."""
        return self._size - length_hint(self._rest)


def check_policy(program: Any) -> None:
    """Check what a program says of its failures.

    Raises:
        ProgramError: it says something else than there is.
    """
    if program.on_failure not in POLICIES:
        said = program.on_failure
        raise ProgramError(f'{program.__qualname__}: on_failure is {said!r}; it is "skip", "stop" or "escalate"')


def put_letter(heap: Heap, head: tuple[int, int, str | None], sent: list[Any]) -> None:
    """Leave what was sent where the office above fetches it: in pages, so that each is a short value."""
    page = MESSAGES_MAX
    pages = max(0, (len(sent) - 1) // page)
    for index in range(1, pages + 1):
        heap[OUT, index] = tuple(chain.from_iterable(sent[index * page : (index + 1) * page]))
    heap[OUT] = (*head, pages, *chain.from_iterable(sent[:page] if pages else sent))


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


def initial(values: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Return what a new actor's heap begins with, checked; by name, in the order in which it was given."""
    made = tuple([(key, value_of(slot_at(key, value))) for key, value in values.items()])
    checked(made)
    return made


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


def check_address(address: object) -> None:
    """Check that this is an address.

    Raises:
        CallRefused, KeyRefused, LimitExceeded: it is none.
    """
    if type(address) is not tuple:
        mend = f"; to an actor of this office, say (*self.office, {address!r})" if type(address) is str else ""
        raise CallRefused(f"an address is a tuple of names, such as spawn returns, not {address!r}{mend}")
    for name in address:
        check_name(name)


def check_actor_name(name: object) -> None:
    """Check that an actor may be called that: a str without a dot that is no number.

    Raises:
        CallRefused, KeyRefused, LimitExceeded: it may not.
    """
    if type(name) is not str or not name or "." in name or name.isdecimal():
        raise CallRefused(f"an actor's name is a str without a dot, and no number; not {name!r}")
    encode_key(name)
