"""Mail: classic actors, made deterministic. What an actor is written with; who carries the mail is `actors.office`.

An actor is a process that handles one message after the other, and sends messages while it does. It never calls the
office: what it sends stands in its *letter*, in its own heap, when it stops, and the office fetches that. So mail goes in
*rounds*. In a round every actor that has mail handles all of it, side by side with the others; what they sent is put
together by the order of the senders' names, and each sender's in the order in which it was sent, and is delivered in the
next round. Nothing else has a say in the order: not who ended first, and not where it ran.

    office   ── PUT "mail": message, sender, kind, message, sender, kind, … ──▶   actor   (starts it)
    office   ◀── GET "letter": status, how many were handled, …, to, message, kind, … ──   (when it has stopped)

An address is a path: the office's own, and the actor's name behind it. What is kept under "mail" and "letter" in an actor's
heap is the library's, and is overwritten without a word; all else there is the actor's.

An activation is given up to `MESSAGES_MAX` messages. It ends early where the actor asks (it then stands in the middle of
`run`, until the answer is there), becomes something else, or stops; what it was not given to handle it is given later.
"""

from __future__ import annotations

from hashlib import sha256
from operator import length_hint
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

from actors.calls import Ret, made
from actors.errors import CallRefused, LockstepError, ProgramError
from actors.keys import Path, encode_key, path_text
from actors.letters import mail_in, put_letter
from actors.memory import SMALL_INT, marked
from actors.process import Process
from actors.terms import (
    IN,
    OUT,
    PLAIN_LENGTH_MAX,
    Policy,
    check_actor,
    check_actor_name,
    check_address,
    checked,
    initial,
    plain,
    remembers,
    title,
)
from actors.tree import EMPTY
from actors.values import decode, encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.changes import Changes
    from actors.desks import Desk
    from actors.memory import Memory
    from actors.meter import Meter

Address: TypeAlias = Path

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

_IN: Final = encode_key(IN)
_OUT: Final = encode_key(OUT)
_SPAWNED: Final = ("mail", "spawned")
_RET: Final = Ret()
_NOBODY: Final[Mapping[Address, Desk]] = {}


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

    An instance lives for one activation at most: what is to be known later stands in `self.heap`, where the keys "mail" and
    "letter" are the library's.

    `self.random` is seeded from its path, the heap with which the activation began, and the first message of it: hosted or
    not, it draws the same. What is to make a difference has to be in one of these.
    """

    #: What becomes of it when it fails on a message.
    on_failure: ClassVar[Policy] = "skip"
    #: What an activation may use, where it is a process of its own; None: whatever the office has left, if that is metered.
    gas: ClassVar[int | None] = None

    #: Whether the office runs the actor itself; set by the office, with the desks that it has open.
    _hosted = False
    _known: Mapping[Address, Desk] = _NOBODY
    #: Whether each activation takes an instance of its own, also where there is one with nothing in it.
    machine_remembers: ClassVar[bool] = False

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        cls.machine_remembers = remembers(cls)
        if "_original" in cls.__dict__:
            return
        check_actor(cls)
        if cls.run is not Actor.run:
            raise ProgramError(
                f"{cls.__qualname__} is an actor and has a `run`, which an actor's mail never gets past: "
                "write `async def receive(self, message, sender)`, or inherit from actors.Process"
            )

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
            CallRefused: an actor cannot ask itself; or its class keeps no journal.
        """
        check_address(address)
        if not self.journal:
            raise CallRefused(
                f"ask: {type(self).__qualname__} keeps no journal, so that it cannot wait in the middle of a message; "
                "tell, and have the answer told, or say journal = True in it"
            )
        if address == self.path:
            raise CallRefused(
                f"ask: {path_text(address)} asks itself, and would wait for ever; call the method instead"
            )
        self._sent.append((address, checked(message), ASK))
        self._cut = True
        if self._hosted:
            given, answer = await made(_RET)
        else:
            put_letter(self.heap, (WAITS, self.handled, self._became), self._sent)
            await made(_RET)
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
            values: what its heap begins with; "mail" and "letter" are the library's.

        Returns:
            Its address. Where the office does not know the class, or has another actor there, that is a dead letter, with
            the class's name for its message, and nobody is there.

        Raises:
            CallRefused: this actor made one of that name; that is no class of actors; or a value is called as the
                library's are.
            ValueRefused, LimitExceeded: as a PUT; or the address would be too long.
        """
        mine = self.path[-1]
        number = None
        if name is None:
            number = self.heap.get(_SPAWNED, 0)
            name = str(number)
        else:
            check_actor_name(name)
        address = (*self.path[:-1], f"{mine}.{name}")
        check_address(address)
        if number is None and (*_SPAWNED, name) in self.heap:
            raise CallRefused(f"spawn: {path_text(self.path)} made a {name!r} before; no name is used twice")
        what = title(program), initial(values)
        if number is None:
            self.heap[*_SPAWNED, name] = True
        else:
            self.heap[_SPAWNED] = number + 1
        self._sent.append((address, what, SPAWN))
        return address

    def become(self, program: type[Actor]) -> None:
        """Handle all messages behind this one as another program does, on the same heap.

        Where the office does not know that class, or it is not hosted alike, the actor stays what it was, and there is a
        dead letter from it to itself, with the class's name for its message.

        Raises:
            CallRefused: that is no class of actors.
        """
        name = title(program)
        if not issubclass(program, Actor):
            raise CallRefused(
                f"become: {name} does not inherit from actors.Actor, and would not know the mail; spawn it"
            )
        self._became = name
        self._cut = True

    def stop(self) -> None:
        """Stop for good behind this message: the heap is dropped, and further mail becomes dead letters."""
        self._stops = True
        self._cut = True

    async def ret(self) -> Changes:
        """RET is the library's alone in an actor, which waits for its answers by it.

        Raises:
            CallRefused: always.
        """
        raise CallRefused(
            f"ret: {path_text(self.path)} is an actor, and between two messages it is stopped anyway; "
            "return from `receive`, or `await self.ask(…)` where it is to wait"
        )

    # --- for the office ---

    def machine_seed(self) -> bytes:
        """Return what an activation's random numbers follow from, beside its path."""
        # Neither whether it is hosted nor how much mail came with the first message may make a difference: of the mail of an
        # activation that waits, only what it began to handle is kept.
        if self._hosted:
            desk = self._known[self.path]
            begun, first = desk.beginning(), desk.given[0]
        else:
            begun = marked(self._machine_begun)
            mail = begun.get(_IN)
            first = () if mail is None else decode(mail)[:3]
            begun = begun.update([(_IN, None)]).graft(_OUT, EMPTY)
        return begun.digest() + sha256(encode(first)).digest()

    async def run(self) -> None:
        """Handle the mail that the office brought."""
        await self._handle(mail_in(self, 3))
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
