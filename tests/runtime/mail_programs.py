"""Actors that do what their messages say, offices that run them in every way, and a generator of random mail.

A message is (tag, code): code is a tuple of instructions. What an actor sees goes into its log, in its heap.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from actors import CallRefused, Root
from actors.mail import Actor, NoAnswer
from actors.office import ActorFailed, PostOffice

#: Each becomes the other.
OTHER = {"Meek": "Bold", "Bold": "Meek", "Shy": "Loud", "Loud": "Shy"}


class Doer(Actor):
    async def receive(self, message: Any, sender: Any) -> Any:
        tag, code = message
        self.note((type(self).__name__, tag, sender))
        for op, *arguments in code:
            await getattr(self, f"do_{op}")(*arguments)
        return tag, len(self.heap["log"])

    def note(self, what: Any) -> None:
        self.heap["log"] = (*self.heap.get("log", ()), what)

    def address_of(self, name: str) -> Any:
        return self.office if name == "office" else (*self.office, name)

    async def do_note(self, what: Any) -> None:
        self.note(what)

    async def do_count(self) -> None:
        # Which folds the heap.
        self.note(("count", self.heap.count("log")))

    async def do_end(self) -> None:
        await self.do_count()
        self.stop()

    async def do_draw(self) -> None:
        self.note(("drew", self.random.random()))

    async def do_tell(self, name: str, message: Any) -> None:
        self.tell(self.address_of(name), message)

    async def do_ask(self, name: str, message: Any) -> None:
        try:
            self.note(("answer", await self.ask(self.address_of(name), message)))
        except NoAnswer as error:
            self.note(("none", error.address, error.reason))

    async def do_asked(self, name: str, message: Any) -> None:
        self.note(("answer", await self.ask(self.address_of(name), message)))

    async def do_spawn(self, name: Any, program: str, message: Any) -> None:
        address = self.spawn(PROGRAMS[program], name, log=(("born", self.path),))
        self.note(("spawned", address))
        self.tell(address, message)

    async def do_become(self) -> None:
        self.become(PROGRAMS[OTHER[type(self).__name__]])

    async def do_stop(self) -> None:
        self.stop()

    async def do_fail(self) -> None:
        raise ValueError("as told")


class Meek(Doer):
    pass


class Bold(Doer):
    on_failure = "stop"


class Shy(Doer):
    on_failure = "escalate"


class Loud(Doer):
    pass


PROGRAMS: dict[str, Any] = {cls.__name__: cls for cls in (Meek, Bold, Shy, Loud)}
FIRST = {"a": "Meek", "b": "Bold", "c": "Shy", "d": "Loud"}


class Office(PostOffice):
    """Each block is a few turns, a turn (whether those that have stopped are made anew, posts, rounds), a post (name, message).

    A post without a message stops whom it names.
    """

    async def run(self) -> Any:
        if "begun" not in self.heap:
            self.heap["begun"] = True
            self.revive()
        return tuple([await self.turn(*turn) for turn in self.heap["block", "mail"]])

    def revive(self) -> None:
        for name, program in FIRST.items():
            if ("office", "actors", name) not in self.heap:
                with suppress(CallRefused):
                    self.spawn(PROGRAMS[program], name)

    async def turn(self, revive: bool, posts: Any, rounds: int | None) -> Any:
        if revive:
            self.revive()
        for name, message in posts:
            if message is not None:
                self.post((*self.path, name), message)
            elif ("office", "actors", name) in self.heap:
                await self.stop((*self.path, name))
        told: list[Any] = []
        try:
            told += await self.deliver(rounds)
        except ActorFailed as failure:
            told += ("escalated", failure.address, failure.error)
        logs, there = [], [*self.heap.keys(("office", "actors"))]
        for file in ("mail", "asked", "begun", "answer", "heaps"):
            left = {key[0] if type(key) is tuple else key for key in self.heap.keys(("office", file))}
            assert left <= {*there}, (file, left)
        for name in there:
            address = (*self.path, name)
            try:
                logs.append((name, await self.look(address, "log")))
            except KeyError:
                logs.append((name, None))
        return tuple(told), tuple(logs), tuple(map(tuple, self.dead_letters())), self.waiting()


class Hosting(Office, Root):
    hosts = (Meek, Bold, Shy, Loud)


class Mixed(Office, Root):
    hosts = (Meek, Bold)
    actors = (Shy, Loud)


class Apart(Office, Root):
    actors = (Meek, Bold, Shy, Loud)


# --- random mail ---


def mail(pick: Any) -> Any:
    """Return the inputs of a few blocks."""
    return [{"mail": tuple(_turn(pick) for _ in range(pick((1, 1, 2, 3))))} for _ in range(pick((1, 2, 3)))]


def _turn(pick: Any) -> Any:
    posts = tuple(_post(pick) for _ in range(pick(range(5))))
    return pick((True, True, False)), posts, pick((None, None, 1, 2, 3))


def _post(pick: Any) -> Any:
    name = pick(("a", "b", "c", "d", "ghost", "a.x", "c.0"))
    return name, None if pick(range(10)) == 0 else _message(pick, 3)


def _message(pick: Any, depth: int) -> Any:
    return pick(range(100)), tuple(_instruction(pick, depth) for _ in range(pick((0, 1, 1, 2, 3) if depth else (0, 1))))


def _instruction(pick: Any, depth: int) -> Any:
    op = pick(
        ("note", "tell", "ask", "spawn", "tell", "asked", "become", "fail", "end", "draw", "count")
        if depth
        else ("note", "become", "fail", "stop", "end", "draw", "count")
    )
    if op == "note":
        return op, pick(range(10))
    if op in ("tell", "ask", "asked"):
        return op, pick(("a", "b", "c", "d", "a.x", "b.0", "ghost", "office")), _message(pick, depth - 1)
    if op == "spawn":
        return op, pick((None, "x", "y")), pick(("Meek", "Bold", "Shy", "Loud")), _message(pick, depth - 1)
    return (op,)


def undrawn(data: Any) -> Any:
    """Return data without the random numbers in it, which no model knows."""
    if isinstance(data, tuple):
        return ("drew",) if data[:1] == ("drew",) else tuple(undrawn(one) for one in data)
    return data
