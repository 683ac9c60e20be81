"""The mailroom: rounds of mail, and where each message goes. What `actors.office` works with while it runs.

A round, in the order of the addresses: everybody who has mail is given it, and started; hosted actors run meanwhile; letters
are opened, and who was given less than all of its mail is given more, until nothing is left. Then what was sent is sorted,
and waits for the next round. Nothing that is sent in a round is delivered in it.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from actors.calls import Drop, made
from actors.desks import Desk, programs_of
from actors.errors import ProgramError
from actors.files import Files
from actors.hosting import ENDED, Failure, begin, go_on, serve
from actors.keys import path_text
from actors.letters import bring, fetch, mail_in
from actors.limits import MESSAGES_MAX
from actors.mail import ANSWER, ASK, DONE, MORE, REFUSAL, SPAWN, STOPS, TELL, WAITS, Actor
from actors.tree import EMPTY

if TYPE_CHECKING:
    from actors.mail import Address
    from actors.office import PostOffice

_by_address: Final = attrgetter("address")

NOBODY: Final = "nobody there"
STOPPED: Final = "stopped"
TAKEN: Final = "the name is taken"
AN_OFFICE: Final = "an office does not answer"
TOO_LATE: Final = "an answer too late"
UNKNOWN: Final = "the office does not know that class"
NOT_ALIKE: Final = "of the two classes the office hosts one alone"


class Mailroom:
    """What an office knows while it runs.

    Args:
        office: the office.
    """

    def __init__(self, office: PostOffice) -> None:
        self.office = office
        self.path = office.path
        self.meter = office.machine_meter
        self.programs = programs_of(office.hosts, office.actors, type(office).__qualname__)
        #: Those in the next round.
        self.ready: list[Desk] = []
        self.desks: dict[Address, Desk] = {}
        #: For the office itself: (message, sender); and the answer to what it asked.
        self.own: list[tuple[Any, Address]] = []
        self.answer: tuple[bool, Any] | None = None
        #: For elsewhere: (to, message, kind, sender).
        self.up: list[tuple[Address, Any, int, Address]] = []
        #: (to, message, sender, why), not filed yet.
        self.dead: list[tuple[Address, Any, Address, str]] = []
        #: Who failed first on what, where its program says to escalate. An office below another hands it up with its letter.
        self.escalated: tuple[Address, str] | None = None
        #: How many messages were delivered.
        self.messages = 0
        #: Whether the mail is taken in that the office above brought.
        self.taken = False
        self._stopped: list[Desk] = []
        self.files = Files(self)
        self.files.open()

    def take_in(self) -> None:
        """Take in the mail that the office above brought: once, when the first mail is delivered."""
        if self.files.below and not self.taken:
            mail = mail_in(self.office, 4)
            self.taken = True
            for message, sender, kind, to in mail:
                self.route(to, message, kind, sender)

    # --- rounds ---

    async def rounds(self, limit: int | None, *, until_answered: bool = False) -> int:
        """Make rounds until no mail is ready, or so many; return how many."""
        done = 0
        while self.ready and done != limit:
            done += 1
            ready, self.ready = self.ready, []
            desk = ready[0]
            if len(ready) > 1 or not desk.hosted or desk.answer is not None or len(desk.mail) > MESSAGES_MAX:
                await self._round(ready)
            else:
                # What passes from one hosted actor to the next is most of what many do, and has a shorter way.
                desk.queued = desk.filed = False
                desk.now = desk.given = given = desk.mail
                desk.at, desk.mail = len(given), []
                self.messages += desk.at
                outcome = begin(desk, self.meter, self.desks)
                instance = desk.instance
                if outcome is ENDED and not instance._cut:  # type: ignore[union-attr]
                    self._sort(desk, instance._sent)  # type: ignore[union-attr]
                else:
                    await self._over(desk, outcome)
                    while desk.at < len(desk.now):
                        await self._run(desk)
                    await self._close(ready)
            if (self.escalated is not None and not self.files.below) or (until_answered and self.answer is not None):
                break
        return done

    async def _round(self, ready: list[Desk]) -> None:
        """Deliver the mail of all these, and sort what was sent."""
        ready.sort(key=_by_address)
        for desk in ready:
            desk.queued = desk.filed = False
            if desk.answer is None:
                desk.now, desk.mail, desk.at = desk.mail, [], 0
                self.messages += len(desk.now)
        children = [desk for desk in ready if not desk.hosted]
        for desk in children:
            await bring(self.office, desk)
        if len(children) < len(ready):
            for desk in ready:
                if desk.hosted:
                    await self._run(desk)
                    while desk.at < len(desk.now):
                        await self._run(desk)
        while children:
            started = []
            for desk in children:
                await self._collect(desk)
                if desk.at < len(desk.now):
                    # At once, so that it does not wait for the others.
                    await bring(self.office, desk)
                    started.append(desk)
            children = started
        await self._close(ready)

    async def _close(self, ready: list[Desk]) -> None:
        """End a round."""
        for desk in ready:
            if desk.lost or desk.error is not None:
                self._lament(desk)
            if desk.reset and not desk.stops and desk.values is None:
                # It is no failed process any more, and stands at the top of what it runs from now on.
                await self.office.put(desk.address[-1], program=desk.program)
                desk.reset = False
            sent, desk.sent = desk.sent, []
            self._sort(desk, sent)
            if desk.mail and desk.asked is None and not desk.stops:
                self.queue(desk)
        if self._stopped:
            await self._clear_away()

    async def _run(self, desk: Desk) -> None:
        """Run an actor that the office hosts."""
        if desk.answer is not None:
            outcome = await go_on(desk, self.meter, self.desks)
        else:
            desk.give()
            outcome = begin(desk, self.meter, self.desks)
        await self._over(desk, outcome)

    async def _over(self, desk: Desk, outcome: Any) -> None:
        """Open the letter of an actor that the office hosts."""
        if outcome is not ENDED and type(outcome) is not Failure:
            if desk.asked is None:
                desk.begun, desk.answers = desk.memory.snapshot(), []
            outcome = await serve(desk, outcome, [])
        if type(outcome) is Failure:
            self._failed(desk, outcome.error)
            return
        instance = desk.instance
        assert instance is not None
        desk.sent += instance._sent
        if instance._cut:
            status = WAITS if outcome is not ENDED else STOPS if instance._stops else DONE
            handled = 1 if len(desk.given) == 1 else instance.handled
            self._ended(desk, status, handled, instance._became)
            if outcome is ENDED:
                desk.instance = None

    async def _collect(self, desk: Desk) -> None:
        """Open the letter of an actor that is a process, once it has stopped."""
        letter = await fetch(self.office, desk)
        if isinstance(letter, Failure):
            self._failed(desk, letter.error)
            return
        desk.sent += letter.sent
        status, became = letter.status, letter.news
        if desk.office:
            desk.error, became = became, None
            if desk.error is not None and desk.program.on_failure == "stop":
                status = STOPS
        self._ended(desk, status, letter.handled, became)

    def _ended(self, desk: Desk, status: int, handled: int, became: str | None) -> None:
        """Note how an activation ended."""
        if desk.asked is None and not desk.office:
            desk.at -= len(desk.given) - handled
            desk.given = desk.given[:handled]
        if status == WAITS:
            desk.asked = desk.given[-1]
            desk.singly = 0
            self._put_back(desk)
            return
        desk.asked = None
        if became is not None:
            self._become(desk, became)
        desk.more = status == MORE
        if status == STOPS:
            self._stop(desk)
        elif desk.more:
            self.queue(desk)

    def queue(self, desk: Desk) -> None:
        """Let an actor run in the next round."""
        if not desk.queued:
            desk.queued = True
            self.ready.append(desk)

    def _become(self, desk: Desk, name: str) -> None:
        """Give an actor the program that it becomes, or say that it stays what it was."""
        program, hosted = self.programs.get(name, (None, desk.hosted))
        if program is not None and hosted is desk.hosted:
            desk.program, desk.reset = program, not hosted
        else:
            desk.lost.append(((name, desk.address, TELL), UNKNOWN if program is None else NOT_ALIKE))

    # --- failure ---

    def _failed(self, desk: Desk, error: str) -> None:
        """Do about an actor that failed what its program says; it is back at where it was."""
        desk.reset = not desk.hosted
        if desk.asked is None and len(desk.given) > 1:
            desk.at -= len(desk.given)
            desk.singly = len(desk.given)
            return
        culprit = desk.asked or (desk.given[0] if desk.given else None)
        desk.asked = None
        desk.error = desk.address, error
        # What an office has yet to deliver it has still, unless it fails on that alone.
        desk.more = desk.more and culprit is not None
        if culprit is not None:
            desk.lost.append((culprit, error))
        if desk.program.on_failure == "stop":
            self._stop(desk)
        elif desk.more:
            self.queue(desk)

    def _lament(self, desk: Desk) -> None:
        """Say what came to nothing in this round, and who failed."""
        lost, desk.lost = desk.lost, []
        for (message, sender, kind, *to), why in lost:
            self.bury(to[0] if to else desk.address, message, kind, sender, why)
        if desk.program.on_failure == "escalate" and self.escalated is None:
            self.escalated = desk.error
        desk.error = None

    def _stop(self, desk: Desk) -> None:
        desk.stops = True
        self._put_back(desk)
        self._stopped.append(desk)

    def _put_back(self, desk: Desk) -> None:
        """Put mail that an actor is not to be given in this round to that of the next."""
        rest = desk.now[desk.at :]
        desk.mail[:0], desk.now = rest, []
        self.messages -= len(rest)

    async def stop(self, desk: Desk) -> None:
        """Stop an actor between two rounds."""
        if desk.asked is not None:
            asked, desk.asked = desk.asked, None
            if desk.answer is None:
                self.files.owe(desk)
            message, sender, kind = asked
            self.bury(desk.address, message, kind, sender, STOPPED)
        self._stopped.append(desk)
        await self._clear_away()

    async def _clear_away(self) -> None:
        """Do away with actors that have stopped, and with their mail."""
        stopped, self._stopped = self._stopped, []
        for desk in sorted(stopped, key=_by_address):
            rest, desk.mail = desk.mail, []
            del self.desks[desk.address]
            for message, sender, kind, *to in rest:
                self.bury(to[0] if to else desk.address, message, kind, sender, STOPPED)
            if desk.queued:
                self.ready.remove(desk)
            self.files.remove(desk)
            if not desk.hosted and desk.values is None:
                await made(Drop(desk.address[-1]))

    def bury(self, to: Address, message: Any, kind: int, sender: Address, why: str) -> None:
        """Make a message a dead letter; whoever asked it learns of it."""
        self.dead.append((to, message, sender, why))
        if kind == ASK:
            self.route(sender, why, REFUSAL, to)

    # --- where mail goes ---

    def _sort(self, desk: Desk, sent: list[Any]) -> None:
        """Take what was sent to where it waits for the next round."""
        if desk.office:
            for to, message, kind, sender in sent:
                self.route(to, message, kind, sender)
            return
        sender = desk.address
        desks = self.desks
        last: Any = None
        append: Any = None
        for to, message, kind in sent:
            if kind != TELL:
                self.route(to, message, kind, sender)
            elif to is last:
                append((message, sender, TELL))
            else:
                known = desks.get(to)
                if known is None or known.office:
                    self.route(to, message, TELL, sender)
                    continue
                last, append = to, known.mail.append
                append((message, sender, TELL))
                if not known.queued and known.asked is None:
                    known.queued = True
                    self.ready.append(known)

    def route(self, to: Address, message: Any, kind: int, sender: Address) -> Desk | None:
        """Take one piece of mail to where it waits for the next round. Returns whose mail it is, if that is here."""
        if kind == SPAWN:
            program, values = message
            self.make(to, program, values, sender)
            return None
        desk = self.desks.get(to) or self.find(to)
        if desk is None:
            self._elsewhere(to, message, kind, sender)
            return None
        if desk.office:
            desk.mail.append((message, sender, kind, to))
        elif kind <= ASK:
            desk.mail.append((message, sender, kind))
            if desk.asked is not None:
                return desk
        elif desk.asked is None or desk.answer is not None:
            self.dead.append((to, message, sender, TOO_LATE))
            return None
        else:
            desk.answer = (kind == ANSWER, message)
            desk.filed = False
        self.queue(desk)
        return desk

    def find(self, to: Address) -> Desk | None:
        """Return the desk here that takes the mail for an address, if there is one."""
        size = len(self.path) + 1
        if len(to) < size or to[: size - 1] != self.path:
            return None
        here = to[:size]
        desk = self.desks.get(here)
        if desk is None:
            desk = self.files.read(here)
            if desk is None:
                return None
            self.desks[here] = desk
        return desk if len(to) == size or desk.office else None

    def _elsewhere(self, to: Address, message: Any, kind: int, sender: Address) -> None:
        if to == self.path:
            if kind == TELL:
                self.own.append((message, sender))
            elif kind == ASK:
                self.bury(to, message, kind, sender, AN_OFFICE)
            elif self.files.given_up(sender):
                self.dead.append((to, message, sender, TOO_LATE))
            else:
                self.answer = (kind == ANSWER, message)
        elif to[: len(self.path)] != self.path and self.files.below:
            self.up.append((to, message, kind, sender))
        elif kind > ASK and to[:-1] == self.path and self.files.owed(to):
            self.files.settle(to)
            self.dead.append((to, message, sender, TOO_LATE))
        else:
            self.bury(to, message, kind, sender, NOBODY)

    def make(self, address: Address, program: str, values: tuple[tuple[str, Any], ...], sender: Address) -> Desk | None:
        """Make a new actor; or bury that, where there is one, or the office does not know the class."""
        known = self.programs.get(program)
        if known is None or self.is_taken(address):
            self.bury(address, program, TELL, sender, UNKNOWN if known is None else TAKEN)
            return None
        cls, hosted = known
        desk = Desk(address, cls, hosted, not issubclass(cls, Actor))
        if hosted:
            desk.open(EMPTY, self.office.heap.machine_memory.quota, values)
        else:
            desk.values, desk.reset = values, True
        self.desks[address] = desk
        return desk

    def is_taken(self, address: Address) -> bool:
        """Tell whether nobody new may have an address: somebody has it, or had it and is owed an answer."""
        return self.find(address) is not None or self.files.owed(address)

    def program(self, name: str) -> tuple[type[Any], bool]:
        """Return the class of that name, and whether it is hosted.

        Raises:
            ProgramError: the office does not know it.
        """
        known = self.programs.get(name)
        if known is None:
            office = type(self.office).__qualname__
            raise ProgramError(
                f"{path_text(self.path)} is to have an actor of the class {name}, which {office} does not know; "
                f"name it in {office}.actors, or in {office}.hosts"
            )
        return known
