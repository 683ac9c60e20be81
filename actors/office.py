"""The post office: a process that carries mail between the actors below it, round by round.

    class Game(PostOffice, Root):
        hosts = (Ping, Pong)                            # or actors = (…): as processes of their own

        async def run(self):
            if "ping" not in self.heap:
                self.heap["ping"] = self.spawn(Ping, "ping", left=10)
            self.post(self.heap["ping"], "start")
            done = await self.deliver()                 # until no mail is left; or deliver(rounds=100)
            return len(done.mail)                       # what was sent to the office itself

What is not delivered yet, and what the office knows of its actors, stands in its heap under "office", so that mail goes on
across blocks (`actors.files`); that region is the library's. How a round goes is in `actors.mailroom`, what an actor is in `actors.mail`.

An actor that fails goes back to where it was, and what it was given is given to it again, one by one: so it fails on one
message alone. That becomes a dead letter, whoever asked it gets `NoAnswer`, and the rest is as its `on_failure` says.

An office may be an actor of another. It is given its mail by its own `deliver`; an address that does not begin with its own
goes up with its letter, one that is longer comes down. What mail it has not delivered makes the office above start it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from actors.desks import programs_of
from actors.errors import CallRefused, LockstepError, MissingKey, ProgramError
from actors.files import ROOM
from actors.keys import encode_key, path_text, show_key
from actors.mail import (
    ASK,
    TELL,
    Actor,
    NoAnswer,
    Policy,
    check_actor_name,
    check_address,
    check_policy,
    checked,
    initial,
    title,
)
from actors.mailroom import Mailroom
from actors.memory import value_of
from actors.process import Process
from actors.values import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.keys import Key, Path
    from actors.mail import Address
    from actors.memory import Memory
    from actors.meter import Meter


class ActorFailed(LockstepError):
    """An actor failed whose program says to escalate. Mail goes on where `deliver` is called again.

    Args:
        address: its address, as printed.
        error: the class name of the exception.
    """

    code = "actor-failed"

    def __init__(self, address: str, error: str) -> None:
        super().__init__(address, error)
        self.address = address
        self.error = error

    def __str__(self) -> str:
        return f"{self.address} failed with {self.error}, and its program escalates that; what it failed on is a dead letter"


class DeadLetter(NamedTuple):
    """A message that nobody handled."""

    to: Address
    message: Any
    sender: Address
    #: The class name of the exception, or what else there is to say.
    why: str


class Delivered(NamedTuple):
    """What `deliver` did."""

    #: What was sent to the office itself: (message, sender), in the order in which it came.
    mail: tuple[tuple[Any, Address], ...]
    #: How many rounds there were, and how many messages were delivered in them.
    rounds: int
    messages: int
    #: Whether there is more to deliver.
    more: bool


class PostOffice(Process):
    """A process with actors. Subclass it, with `Root` beside it or not, and name the classes that they may have."""

    #: Classes of actors that become processes, and of offices below this one; and of actors that this office runs itself.
    actors: ClassVar[tuple[type[Process], ...]] = ()
    hosts: ClassVar[tuple[type[Actor], ...]] = ()
    #: It has many activations in one of its own, and what it knows between them stands in its heap.
    journal = False
    #: Where it is an actor of another office: as of an actor.
    on_failure: ClassVar[Policy] = "skip"
    gas: ClassVar[int | None] = None

    _room: Mailroom | None

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        check_policy(cls)
        for program in (*cls.actors, *cls.hosts):
            if not (isinstance(program, type) and issubclass(program, (Actor, PostOffice))):
                raise ProgramError(
                    f"{cls.__qualname__}: {program!r} is no class of actors; let it inherit from actors.Actor"
                )
        for program in cls.hosts:
            if not issubclass(program, Actor) or program.gas is not None:
                why = "it is an office" if issubclass(program, PostOffice) else "it has gas of its own"
                raise ProgramError(f"{cls.__qualname__} cannot host {program.__qualname__}: {why}; name it in `actors`")
        programs_of(cls.hosts, cls.actors, cls.__qualname__)

    def machine_bind(self, memory: Memory, path: Path, meter: Meter | None = None) -> None:
        """Give the instance its heap, path and meter. The machine's; programs have no use for it."""
        super().machine_bind(memory, path, meter)
        self._room = None

    async def run(self) -> None:
        """Deliver all mail."""
        await self.deliver()

    def spawn(self, program: type[Process], name: str | None = None, /, **values: Any) -> Address:
        """Make a new actor.

        Args:
            program: its class, one of the office's `actors` or `hosts`.
            name: its name; the next number that is free, if not given.
            values: what its heap begins with.

        Returns:
            Its address.

        Raises:
            CallRefused: there is one of that name.
            ProgramError: the office does not know the class.
            ValueRefused, LimitExceeded: as a PUT.
        """
        room = self._opened()
        if name is None:
            number = self.heap.get((ROOM, "spawned"), 0)
            self.heap[ROOM, "spawned"] = number + 1
            name = str(number)
        else:
            check_actor_name(name)
        address = (*self.path, name)
        if room.find(address) is not None:
            raise CallRefused(
                f"spawn: {path_text(self.path)} has an actor {name!r}; stop it first, or find another name"
            )
        desk = room.make(address, title(program), initial(values), self.path)
        assert desk is not None
        room.files.write(desk)
        return address

    def post(self, address: Address, message: Any) -> None:
        """Send a message in the office's own name. It is delivered in the next round.

        Raises:
            ValueRefused, KeyRefused, LimitExceeded, CallRefused: as `Actor.tell`.
        """
        self._send(address, message, TELL)

    async def ask(self, address: Address, message: Any) -> Any:
        """Send a message, deliver mail until the answer is there, and return it.

        Raises:
            NoAnswer: there will be none, or no mail is left and it is not there. If it comes later, it is a dead letter.
        """
        self._send(address, message, ASK)
        room = self._opened()
        await self._deliver(room, None, until_answered=True)
        answer, room.answer = room.answer, None
        if answer is None:
            room.files.give_up(address)
            raise NoAnswer(path_text(address), "no mail is left, and it still waits")
        if not answer[0]:
            raise NoAnswer(path_text(address), answer[1])
        return answer[1]

    async def deliver(self, rounds: int | None = None) -> Delivered:
        """Deliver mail, round by round, until none is left.

        Args:
            rounds: at most so many; what is left then is delivered next time, in this block or another.

        Raises:
            ActorFailed: an actor failed whose program says to escalate; the round was gone on with.
            ProgramError: an actor is to have a program that the office does not know.
        """
        room = self._opened()
        before = room.messages
        done = await self._deliver(room, rounds)
        mail, room.own = tuple(room.own), []
        room.files.close()
        return Delivered(mail, done, room.messages - before, bool(room.ready))

    async def look(self, address: Address, key: Key) -> Any:
        """Return a value of an actor's heap, as it was left by the last round.

        Raises:
            MissingKey: it has no such key.
            CallRefused: there is no such actor in this office.
        """
        check_address(address)
        desk = self._opened().find(address)
        if desk is None or len(address) != len(self.path) + 1:
            raise CallRefused(f"look: {path_text(self.path)} has no actor {path_text(address)}")
        if desk.values is not None:
            slot = next((value for name, value in desk.values if name == key), ABSENT)
        elif not desk.hosted:
            return await self.get(address[-1], key)
        else:
            slot = desk.memory.read(encode_key(key))
        if slot is ABSENT:
            raise MissingKey(desk.place(), show_key(key))
        return value_of(slot)

    def dead_letters(self) -> Iterator[DeadLetter]:
        """Return an iterator over the messages that nobody handled, oldest first; only the last are kept."""
        return (DeadLetter(*letter) for _, letter in self.heap.items((ROOM, "dead"), low=0))

    def waiting(self) -> tuple[Address, ...]:
        """Return the addresses of the actors that wait for an answer."""
        names = [key for key in self.heap.keys((ROOM, "asked")) if type(key) is str]
        return tuple([(*self.path, name) for name in names])

    def _opened(self) -> Mailroom:
        room = self._room
        if room is None:
            room = self._room = Mailroom(self)
        return room

    def _send(self, address: Address, message: Any, kind: int) -> None:
        check_address(address)
        if address == self.path:
            raise CallRefused(f"{path_text(self.path)} writes to itself; it is the office")
        room = self._opened()
        desk = room.route(address, checked(message), kind, self.path)
        if desk is None:
            room.files.close()
        else:
            room.files.posted(desk)

    async def _deliver(self, room: Mailroom, rounds: int | None, *, until_answered: bool = False) -> int:
        room.take_in()
        done = await room.rounds(rounds, until_answered=until_answered)
        room.files.close()
        if room.escalated is not None:
            (address, error), room.escalated = room.escalated, None
            raise ActorFailed(path_text(address), error)
        return done
