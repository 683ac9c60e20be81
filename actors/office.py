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
message alone. That becomes a dead letter, whoever asked it gets `NoAnswer`, and the rest is as its `on_failure` says. (Where
it has asked meanwhile, it goes back to where it got the answer: what it wrote and sent before stays.)

An office may be an actor of another. It is given its mail by its own `deliver`; an address that does not begin with its own
goes up with its letter, one that is longer comes down. What mail it has not delivered makes the office above start it again.
What one of its actors escalates goes up with its letter as well, and is raised by no `deliver` of its own: the office above
does what the `on_failure` of the office below says, and what that has done and filed stays. (To raise it in the midst of an
activation would undo the dead letter, and the office above would look for the culprit among mail that is innocent.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from actors.desks import programs_of
from actors.errors import CallRefused, LockstepError, MissingKey, ProgramError
from actors.files import ROOM
from actors.keys import check_name, encode_key, path_text, show_key
from actors.mail import ASK, TELL, Actor, NoAnswer
from actors.mailroom import Mailroom
from actors.memory import value_of
from actors.process import Process
from actors.terms import Policy, check_actor_name, check_address, check_policy, checked, initial, title
from actors.values import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.desks import Desk
    from actors.keys import Key, Name, Path
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
        for name, programs in (("actors", cls.actors), ("hosts", cls.hosts)):
            if type(programs) is not tuple:
                like = getattr(programs, "__qualname__", "MyActor")
                raise ProgramError(f"{cls.__qualname__}: {name} is {programs!r}; it is a tuple of classes: ({like},)")
            for program in programs:
                if not (isinstance(program, type) and issubclass(program, (Actor, PostOffice))):
                    raise ProgramError(
                        f"{cls.__qualname__}: {program!r} is no class of actors; let it inherit from actors.Actor"
                    )
        for program in cls.hosts:
            why = _not_hosted(program)
            if why is not None:
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
            values: what its heap begins with; "mail" and "letter" are the library's.

        Returns:
            Its address.

        Raises:
            CallRefused: there is one of that name, or there was and is owed an answer; or a value is called as the
                library's are.
            ProgramError: the office does not know the class.
            ValueRefused, LimitExceeded: as a PUT; or the address would be too long.
        """
        room = self._opened()
        what, begins = self._title_of(room, program), initial(values)
        number = None
        if name is None:
            number = self.heap.get((ROOM, "spawned"), 0)
            name = str(number)
        else:
            check_actor_name(name)
        address = (*self.path, name)
        check_address(address)
        if room.find(address) is not None:
            raise CallRefused(
                f"spawn: {path_text(self.path)} has an actor {name!r}; stop it first, or find another name"
            )
        if room.is_taken(address):
            raise CallRefused(
                f"spawn: {path_text(address)} was stopped while it waited for an answer, which a new actor of that name would "
                "take for its own; find another name"
            )
        if number is not None:
            self.heap[ROOM, "spawned"] = number + 1
        desk = room.make(address, what, begins, self.path)
        assert desk is not None
        room.files.write(desk)
        return address

    async def stop(self, address: Address) -> None:
        """Stop an actor for good: its heap is dropped, and mail that waits for it becomes dead letters, as does what comes.

        An office below is stopped with all that it has: the mail that waits within it is lost.

        Raises:
            CallRefused: there is no such actor in this office.
        """
        room = self._opened()
        await room.stop(self._desk_of("stop", room, address))
        room.files.close()

    async def drop(self, child: Name) -> None:
        """End a child and its subtree at once, running or not; nothing of it stays.

        Raises:
            NoSuchChild: there is none.
            CallRefused: it is an actor, and the office would still bring it mail.
        """
        check_name(child)
        if (ROOM, "actors", child) in self.heap:
            raise CallRefused(
                f"drop: {child!r} is an actor of {path_text(self.path)}; say await self.stop((*self.path, {child!r})), "
                "which sees to its mail as well"
            )
        await super().drop(child)

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
            ActorFailed: as `deliver`; the answer is not waited for any more.
        """
        self._send(address, message, ASK)
        room = self._opened()
        try:
            await self._deliver(room, None, until_answered=True)
        except Exception:
            self._take_answer(room, address)
            raise
        answer = self._take_answer(room, address)
        if answer is None:
            raise NoAnswer(path_text(address), "no mail is left, and it still waits")
        if not answer[0]:
            raise NoAnswer(path_text(address), answer[1])
        return answer[1]

    async def deliver(self, rounds: int | None = None) -> Delivered:
        """Deliver mail, round by round, until none is left.

        Args:
            rounds: at most so many; what is left then is delivered next time, in this block or another.

        Raises:
            CallRefused: that is no number of rounds.
            ActorFailed: an actor failed whose program says to escalate; the round was gone on with. Not where this office is
                an actor of another one, which learns of it with the letter.
            ProgramError: an actor has a program that the office does not know any more.
        """
        if rounds is not None and (type(rounds) is not int or rounds < 0):
            raise CallRefused(
                f"deliver: rounds is {rounds!r}; it is an int, at least 0, or None for as many as it takes"
            )
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
        desk = self._desk_of("look", self._opened(), address)
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

    def _desk_of(self, call: str, room: Mailroom, address: Address) -> Desk:
        check_address(address, "self.path")
        desk = room.find(address)
        if desk is None or len(address) != len(self.path) + 1:
            raise CallRefused(f"{call}: {path_text(self.path)} has no actor {path_text(address)}")
        return desk

    def _title_of(self, room: Mailroom, program: type[Process]) -> str:
        """Return the name of a class of actors. Raises ProgramError where it is not the one that the office knows by that."""
        name = title(program)
        known, _ = room.program(name)
        if vars(known).get("_original", known) is not vars(program).get("_original", program):
            raise ProgramError(
                f"spawn: {type(self).__qualname__} knows another class of the name {name}, of {known.__module__}, and not this "
                f"one, of {program.__module__}; name it in {type(self).__qualname__}.actors or hosts in place of that"
            )
        return name

    def _take_answer(self, room: Mailroom, address: Address) -> tuple[bool, Any] | None:
        """Return the answer to what was asked of an address, if it is there; where not, it is not waited for any more."""
        answer, room.answer = room.answer, None
        if answer is None:
            room.files.give_up(address)
        return answer

    def _send(self, address: Address, message: Any, kind: int) -> None:
        check_address(address, "self.path")
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
        if room.escalated is not None and not room.files.below:
            (address, error), room.escalated = room.escalated, None
            raise ActorFailed(path_text(address), error)
        return done


def _not_hosted(program: type[Process]) -> str | None:
    """Return why an office cannot run actors of a class itself, or None where it can."""
    if not issubclass(program, Actor):
        return "it is an office"
    if program.gas is not None:
        return "it has gas of its own"
    if program.placement != Process.placement:
        return f"its placement is {program.placement!r}, and a hosted actor runs where its office does"
    for name in ("lifted", "allowed_modules"):
        if getattr(program, name):
            return f"it says {name}, and a hosted actor runs under its office's guards"
    return None
