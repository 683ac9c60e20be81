"""Mail on plain dicts and generators: what `actors.mail` promises, in the shortest words. Knows nothing of processes."""

from __future__ import annotations

from typing import Any

from mail_programs import FIRST, OTHER

from actors.keys import path_text

POLICY = {"Meek": "skip", "Bold": "stop", "Shy": "escalate", "Loud": "skip"}


class Failed(Exception):
    pass


class Refused(Exception):
    pass


class Actor:
    def __init__(self, name: str, program: str, log: Any = None) -> None:
        self.name, self.program = name, program
        #: What lasts: the log, the names given, the numbers given; and what was sent and not taken yet.
        self.kept: Any = (log, frozenset(), 0)
        self.mail: list[Any] = []
        self.asked: Any = None  # (generator, piece of mail)
        self.answer: Any = None
        self.stops = False

    # --- one message ---

    def handle(self, message: Any, sender: Any) -> Any:
        """Do what a message says; yields what it asks, gets (whether, answer). Returns its answer."""
        tag, code = message
        self.note((self.program, tag, sender))
        for op, *arguments in code:
            if op == "note":
                self.note(arguments[0])
            elif op == "tell":
                self.sent.append((address(arguments[0]), arguments[1], "tell"))
            elif op in ("ask", "asked"):
                to = address(arguments[0])
                if to == (self.name,):
                    raise Refused
                given, answer = yield to, arguments[1]
                if given:
                    self.note(("answer", answer))
                elif op == "ask":
                    self.note(("none", path_text(to), answer))
                else:
                    raise Unanswered
            elif op == "spawn":
                self.spawn(*arguments)
            elif op in ("count", "end"):
                self.note(("count", 1))
                self.stopped = self.stopped or op == "end"
            elif op == "draw":
                self.note(("drew",))
            elif op == "become":
                self.became = OTHER[self.program]
            elif op == "stop":
                self.stopped = True
            else:
                raise Failed
        return tag, len(self.now[0])

    def note(self, what: Any) -> None:
        self.now = ((*(self.now[0] or ()), what), *self.now[1:])

    def spawn(self, name: Any, program: str, message: Any) -> None:
        log, names, number = self.now
        if name is None:
            name, number = str(number), number + 1
        elif name in names:
            raise Refused
        else:
            names |= {name}
        self.now = (log, names, number)
        child = (f"{self.name}.{name}",)
        self.sent.append((child, program, "spawn", ((("born", (self.name,))),)))
        self.note(("spawned", child))
        self.sent.append((child, message, "tell"))

    def go(self, generator: Any, piece: Any, answer: Any) -> Any:
        """Run up to the next ask or the end. Returns (what was sent, the error)."""
        self.now, self.sent = self.kept, []
        if self.asked is None:
            self.became, self.stopped = None, False
        try:
            to, message = generator.send(answer)
        except StopIteration as stop:
            self.kept, self.asked = self.now, None
            if piece[2] == "ask":
                self.sent.append((piece[1], stop.value, "answer"))
            if self.became:
                self.program = self.became
            self.stops = self.stopped
            return self.sent, None
        except (Failed, Refused, Unanswered) as error:
            self.asked = None
            return [], {Failed: "ValueError", Refused: "CallRefused", Unanswered: "NoAnswer"}[type(error)]
        self.kept, self.asked = self.now, (generator, piece)
        self.sent.append((to, message, "ask"))
        return self.sent, None


class Unanswered(Exception):
    pass


def address(name: str) -> Any:
    return () if name == "office" else (name,)


class Model:
    def __init__(self) -> None:
        self.actors = {name: Actor(name, program) for name, program in FIRST.items()}
        self.dead: list[Any] = []
        self.own: list[Any] = []
        #: Who was stopped while it was owed an answer.
        self.owed: set[str] = set()

    def block(self, turns: Any) -> Any:
        return tuple(self.turn(*turn) for turn in turns)

    def stop(self, name: str) -> None:
        one = self.actors[name]
        if one.asked:
            if not one.answer:
                self.owed.add(name)
            self.bury((name,), *one.asked[1], "stopped")
        del self.actors[name]
        for piece in one.mail:
            self.bury((name,), *piece, "stopped")

    def turn(self, revive: bool, posts: Any, rounds: int | None) -> Any:
        for name, program in FIRST.items():
            if revive and name not in self.actors and name not in self.owed:
                self.actors[name] = Actor(name, program)
        for name, message in posts:
            if message is not None:
                self.route((name,), message, "tell", ())
            elif name in self.actors:
                self.stop(name)
        done = messages = 0
        escalated = None
        while self.ready() and done != rounds and escalated is None:
            count, escalated = self.round()
            messages += count
            done += 1
        if escalated is not None:
            told: Any = ("escalated", *escalated)
        else:
            told = (tuple(self.own), done, messages, bool(self.ready()))
            self.own = []
        logs = tuple((name, self.actors[name].kept[0]) for name in sorted(self.actors))
        waiting = tuple((name,) for name in sorted(self.actors) if self.actors[name].asked)
        return told, logs, tuple(self.dead), waiting

    def ready(self) -> list[str]:
        return sorted(name for name, one in self.actors.items() if one.answer or (one.mail and not one.asked))

    def round(self) -> Any:
        count, escalated, outcome = 0, None, []
        for name in self.ready():
            one, sent, lost = self.actors[name], [], []
            if one.answer:
                (generator, piece), answer, one.answer = one.asked, one.answer, None
                out, error = one.go(generator, piece, answer)
                sent += out
                lost += [(piece, error)] if error else []
            else:
                mail, one.mail = one.mail, []
                count += len(mail)
                error = None
                while mail and not one.asked and not one.stops:
                    piece = mail.pop(0)
                    out, error = one.go(one.handle(*piece[:2]), piece, None)
                    sent += out
                    lost += [(piece, error)] if error else []
                    if error and POLICY[one.program] == "stop":
                        one.stops = True
                one.mail = mail
                count -= len(mail)
            if error and POLICY[one.program] == "stop":
                one.stops = True
            outcome.append((one, sent, lost))
        for one, sent, lost in outcome:
            for piece, error in lost:
                self.bury((one.name,), *piece, error)
            if lost and POLICY[one.program] == "escalate" and escalated is None:
                escalated = path_text((one.name,)), lost[-1][1]
            for to, message, kind, *values in sent:
                self.route(to, message, kind, (one.name,), *values)
        for one, _, _ in outcome:
            if one.stops:
                del self.actors[one.name]
                for piece in one.mail:
                    self.bury((one.name,), *piece, "stopped")
        return count, escalated

    def bury(self, to: Any, message: Any, sender: Any, kind: str, why: str) -> None:
        self.dead.append((to, message, sender, why))
        if kind == "ask":
            self.route(sender, why, "refusal", to)

    def route(self, to: Any, message: Any, kind: str, sender: Any, values: Any = None) -> None:
        one = self.actors.get(to[0]) if to else None
        if kind == "spawn":
            if one or to[0] in self.owed:
                self.bury(to, message, sender, "tell", "the name is taken")
            else:
                self.actors[to[0]] = Actor(to[0], message, values)
        elif one is None:
            if not to and kind == "tell":
                self.own.append((message, sender))
            elif to and to[0] in self.owed and kind in ("answer", "refusal"):
                self.owed.remove(to[0])
                self.dead.append((to, message, sender, "an answer too late"))
            else:
                self.bury(to, message, sender, kind, "nobody there" if to else "an office does not answer")
        elif kind in ("answer", "refusal"):
            one.answer = (kind == "answer", message)
        else:
            one.mail.append((message, sender, kind))
