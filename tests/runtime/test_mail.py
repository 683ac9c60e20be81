"""Mail between actors, hosted by their office or processes of their own: order, fairness, asking, failures, blocks, offices."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mail_programs import Meek
from ways import every_way

import runtime
from actors import BlockFailed, Process, Root
from actors.limits import MESSAGES_MAX
from actors.mail import Actor, NoAnswer
from actors.office import ActorFailed, PostOffice
from runtime.programs import code_digest

BOTH = pytest.mark.parametrize("hosted", [True, False], ids=["hosted", "processes"])


def office(hosted: bool, *actors: type[Any], **attributes: Any) -> Any:
    """Return a root that calls `block(self)` of its attributes."""

    async def run(self: Any) -> Any:
        return await self.block()

    key = "hosts" if hosted else "actors"
    return type("Office", (PostOffice, Root), {key: actors, "run": run, **attributes})


async def blocks(root: Any, *inputs: Any) -> list[Any]:
    async with runtime.Runtime(root, workers=0) as rt:
        made = [(await rt.advance(value)).data for value in inputs]
        assert await rt.verify() == len(inputs)
    return made


class Log(Actor):
    async def receive(self, message: Any, sender: Any) -> None:
        self.heap["log"] = (*self.heap.get("log", ()), (sender[-1] if sender else "office", message))


class Sender(Actor):
    async def receive(self, message: Any, sender: Any) -> None:
        for number in range(message):
            self.tell((*self.office, "log"), number)


# --- order ---


@BOTH
async def test_mail_comes_by_the_names_of_its_senders_and_in_the_order_in_which_each_sent_it(hosted: bool) -> None:
    async def block(self: Any) -> Any:
        self.spawn(Log, "log")
        for name in ("b", "c", "a"):
            self.spawn(Sender, name)
        for name in ("c", "a", "b"):
            self.post((name,), 2)
        await self.deliver()
        return await self.look(("log",), "log")

    expected = (("a", 0), ("a", 1), ("b", 0), ("b", 1), ("c", 0), ("c", 1))
    assert await every_way(office(hosted, Log, Sender, block=block), [{}]) == [expected]


@BOTH
async def test_what_is_sent_in_a_round_is_delivered_in_the_next_to_oneself_as_well(hosted: bool) -> None:
    class Again(Actor):
        async def receive(self, message: Any, sender: Any) -> None:
            self.heap["seen"] = self.heap.get("seen", 0) + 1
            if message:
                self.tell(self.path, message - 1)

    async def block(self: Any) -> Any:
        again = self.spawn(Again)
        self.post(again, 3)
        seen = []
        for _ in range(5):
            done = await self.deliver(rounds=1)
            seen.append((await self.look(again, "seen"), done.rounds, done.messages, done.more))
        return seen

    [seen] = await blocks(office(hosted, Again, block=block), {})
    assert tuple(seen) == ((1, 1, 1, True), (2, 1, 1, True), (3, 1, 1, True), (4, 1, 1, False), (4, 0, 0, False))


@BOTH
async def test_who_has_much_mail_keeps_nobody_waiting(hosted: bool) -> None:
    async def block(self: Any) -> Any:
        self.spawn(Log, "busy")
        self.spawn(Log, "log")
        for number in range(3 * MESSAGES_MAX):
            self.post(("busy",), number)
        self.post(("log",), "now")
        done = await self.deliver(rounds=1)
        return await self.look(("log",), "log"), len(await self.look(("busy",), "log")), done.messages

    [(log, busy, messages)] = await blocks(office(hosted, Log, block=block), {})
    assert (log, busy, messages) == ((("office", "now"),), 3 * MESSAGES_MAX, 3 * MESSAGES_MAX + 1)


@BOTH
@pytest.mark.parametrize("count", [0, 1, MESSAGES_MAX - 1, MESSAGES_MAX, MESSAGES_MAX + 1, 3 * MESSAGES_MAX + 5])
async def test_an_actor_may_send_as_much_as_it_likes(hosted: bool, count: int) -> None:
    async def block(self: Any) -> Any:
        self.spawn(Log, "log", log=())
        self.post(self.spawn(Sender, "s"), count)
        await self.deliver()
        return await self.look(("log",), "log")

    [log] = await blocks(office(hosted, Log, Sender, block=block), {})
    assert log == tuple(("s", number) for number in range(count))


# --- asking ---


class Oracle(Actor):
    async def receive(self, message: Any, sender: Any) -> Any:
        self.heap["asked"] = self.heap.get("asked", 0) + 1
        return message * 10


class Asker(Actor):
    async def receive(self, message: Any, sender: Any) -> Any:
        self.heap["before"] = message
        first = await self.ask((*self.office, "oracle"), message)
        second = await self.ask((*self.office, "oracle"), first)
        self.heap["log"] = (*self.heap.get("log", ()), (message, first, second))
        return second + 1


@BOTH
async def test_an_answer_comes_in_the_middle_of_a_message_and_other_mail_waits(hosted: bool) -> None:
    async def block(self: Any) -> Any:
        if self.heap["block", "n"] == 0:
            self.spawn(Oracle, "oracle")
            self.spawn(Asker, "asker")
            self.post(("asker",), 1)
            self.post(("asker",), 2)
        await self.deliver(rounds=1)  # a block for each round: it stands in the middle of a message across blocks
        try:
            log = await self.look(("asker",), "log")
        except KeyError:
            log = ()
        return self.waiting(), log

    data = await every_way(office(hosted, Oracle, Asker, block=block), [{"n": n} for n in range(11)])
    assert data[-1] == ((), ((1, 10, 100), (2, 20, 200)))
    assert [bool(waiting) for waiting, _ in data[:10]] == [True, True, True, True, False] * 2


@BOTH
async def test_the_office_may_ask(hosted: bool) -> None:
    async def block(self: Any) -> Any:
        self.spawn(Oracle, "oracle")
        return await self.ask(self.spawn(Asker, "asker"), 4), await self.look(("oracle",), "asked")

    assert await blocks(office(hosted, Oracle, Asker, block=block), {}) == [(401, 2)]


@BOTH
async def test_the_office_waits_no_longer_than_for_its_answer(hosted: bool) -> None:
    class Busy(Actor):
        async def receive(self, message: Any, sender: Any) -> Any:
            self.tell(self.path, "again")
            return message

    async def block(self: Any) -> Any:
        return await self.ask(self.spawn(Busy), 1), (await self.deliver(rounds=2)).more

    assert await blocks(office(hosted, Busy, block=block), {}) == [(1, True)]


@BOTH
async def test_nobody_waits_for_an_answer_that_cannot_come(hosted: bool) -> None:
    class Failing(Actor):
        async def receive(self, message: Any, sender: Any) -> Any:
            if message == "stop":
                self.stop()
            elif message == "fail":
                raise KeyError("no")
            return "well"

    class Curious(Actor):
        async def receive(self, message: Any, sender: Any) -> Any:
            found = []
            for name, what in (
                ("failing", "fail"),
                ("failing", "x"),
                ("failing", "stop"),
                ("failing", "x"),
                ("ghost", "x"),
            ):
                try:
                    found.append(await self.ask((*self.office, name), what))
                except NoAnswer as error:
                    found.append((error.address, error.reason))
            return tuple(found)

    async def block(self: Any) -> Any:
        self.spawn(Failing, "failing")
        found = await self.ask(self.spawn(Curious), 0)
        with pytest.raises(NoAnswer, match="/ghost does not answer: nobody there"):
            await self.ask(("ghost",), 1)
        return found, [letter.why for letter in self.dead_letters()]

    [(found, dead)] = await blocks(office(hosted, Failing, Curious, block=block), {})
    nobody = ("/ghost", "nobody there")
    assert found == (("/failing", "KeyError"), "well", "well", ("/failing", "nobody there"), nobody)
    assert tuple(dead) == ("KeyError", "nobody there", "nobody there", "nobody there")


@BOTH
async def test_two_that_ask_each_other_wait_and_the_office_says_so(hosted: bool) -> None:
    class Mutual(Actor):
        async def receive(self, message: Any, sender: Any) -> Any:
            return await self.ask((*self.office, message), self.path[-1])

    async def block(self: Any) -> Any:
        for name in ("a", "b", "c"):
            self.spawn(Mutual, name)
        self.post(("a",), "b")
        self.post(("b",), "a")
        await self.deliver()
        with pytest.raises(NoAnswer, match="no mail is left, and it still waits"):
            await self.ask(("c",), "a")
        return self.waiting()

    assert await blocks(office(hosted, Mutual, block=block), {}) == [(("a",), ("b",), ("c",))]


async def test_a_hosted_actor_may_know_the_time_and_is_the_same_when_it_is_made_again() -> None:
    class Timed(Actor):
        async def receive(self, message: Any, sender: Any) -> Any:
            before = await self.now()
            await self.ask((*self.office, "oracle"), 1)
            self.heap["times"] = (before, await self.now())

    async def block(self: Any) -> Any:
        if self.heap["block", "time"] == 1:
            self.spawn(Oracle, "oracle")
            self.post(self.spawn(Timed, "timed"), 0)
        await self.deliver(rounds=1)
        return await self.look(("timed",), "times") if self.heap["block", "time"] == 3 else None

    assert (await every_way(office(True, Oracle, Timed, block=block), [{"time": n} for n in (1, 2, 3)]))[-1] == (1, 3)


# --- what an actor is and becomes ---


@BOTH
async def test_an_actor_that_becomes_another_handles_the_next_message_so_on_the_same_heap(hosted: bool) -> None:
    class Open(Actor):
        async def receive(self, message: Any, sender: Any) -> None:
            self.heap["log"] = (*self.heap.get("log", ()), ("open", message))
            if message == "shut":
                self.become(Shut)

    class Shut(Actor):
        async def receive(self, message: Any, sender: Any) -> None:
            self.heap["log"] = (*self.heap["log"], ("shut", message))
            if message == "open":
                self.become(Open)

    async def block(self: Any) -> Any:
        if self.heap["block", "n"] == 0:
            self.spawn(Open, "door")
        for message in (1, "shut", 2, "open", "shut"):
            self.post(("door",), message)
        done = await self.deliver()
        return done.rounds, (await self.look(("door",), "log"))[-5:]

    data = await every_way(office(hosted, Open, Shut, block=block), [{"n": 0}, {"n": 1}])
    assert data[0] == (1, (("open", 1), ("open", "shut"), ("shut", 2), ("shut", "open"), ("open", "shut")))
    assert data[1][1] == (("shut", 1), ("shut", "shut"), ("shut", 2), ("shut", "open"), ("open", "shut"))


@BOTH
async def test_a_spawned_actor_is_there_before_what_is_sent_behind_it(hosted: bool) -> None:
    class Maker(Actor):
        async def receive(self, message: Any, sender: Any) -> None:
            for name in (None, "kid", None):
                child = self.spawn(Log, name, log=(("made", message),))
                self.tell(child, name)
            with pytest.raises(Exception, match="made a 'kid' before; no name is used twice"):
                self.spawn(Log, "kid")

    async def block(self: Any) -> Any:
        self.post(self.spawn(Maker, "m"), 7)
        await self.deliver()
        return [await self.look((name,), "log") for name in ("m.0", "m.1", "m.kid")]

    [logs] = await blocks(office(hosted, Maker, Log, block=block), {})
    assert tuple(logs) == tuple((("made", 7), ("m", name)) for name in (None, None, "kid"))


@BOTH
async def test_who_stops_leaves_nothing_but_dead_letters(hosted: bool) -> None:
    class Once(Actor):
        async def receive(self, message: Any, sender: Any) -> None:
            self.heap["big"] = tuple(range(100))
            self.stop()

    async def block(self: Any) -> Any:
        once = self.spawn(Once, "once")
        self.post(once, 1)
        self.post(once, 2)
        await self.deliver()
        self.post(once, 3)
        await self.deliver()
        return len([key for key in self.heap if key[0] == "office" and key[1] != "dead"]), [
            *map(tuple, self.dead_letters())
        ]

    root = office(hosted, Once, block=block)
    async with runtime.Runtime(root, workers=0) as rt:
        data = (await rt.advance({})).data
        assert data[0] == 0
        assert tuple(data[1]) == ((("once",), 2, (), "stopped"), (("once",), 3, (), "nobody there"))
        assert not [*rt.state().children]


# --- failure ---


class Careful(Actor):
    async def receive(self, message: Any, sender: Any) -> Any:
        self.heap["sum"] = self.heap.get("sum", 0) + message
        self.tell((*self.office, "log"), message)
        if message in (3, 50):
            raise ZeroDivisionError
        return message


class Stopping(Careful):
    on_failure = "stop"


class Escalating(Careful):
    on_failure = "escalate"


@BOTH
async def test_a_message_that_fails_is_undone_alone_and_is_a_dead_letter(hosted: bool) -> None:
    async def block(self: Any) -> Any:
        self.spawn(Log, "log", log=())
        careful = self.spawn(Careful, "careful")
        for number in range(100):
            self.post(careful, number)
        await self.deliver()
        log = await self.look(("log",), "log")
        return await self.look(careful, "sum"), [number for _, number in log], [*map(tuple, self.dead_letters())]

    [(total, log, dead)] = await every_way(office(hosted, Log, Careful, block=block), [{}])
    good = [number for number in range(100) if number not in (3, 50)]
    assert (total, [*log]) == (sum(good), good)
    assert tuple(dead) == tuple((("careful",), number, (), "ZeroDivisionError") for number in (3, 50))


@BOTH
async def test_an_actor_that_is_to_stop_when_it_fails_stops(hosted: bool) -> None:
    async def block(self: Any) -> Any:
        self.spawn(Log, "log", log=())
        for number in range(6):
            self.post(("stopping",), number) if "x" in self.heap else self.post(self.first(), number)
        await self.deliver()
        return [number for _, number in await self.look(("log",), "log")], [
            letter[1::2] for letter in self.dead_letters()
        ]

    def first(self: Any) -> Any:
        self.heap["x"] = 1
        return self.spawn(Stopping, "stopping")

    [(log, dead)] = await blocks(office(hosted, Log, Stopping, block=block, first=first), {})
    assert tuple(log) == (0, 1, 2)
    assert tuple(dead) == ((3, "ZeroDivisionError"), (4, "stopped"), (5, "stopped"))


@BOTH
async def test_a_failure_that_escalates_is_raised_by_deliver_which_goes_on_when_it_is_called_again(
    hosted: bool,
) -> None:
    async def block(self: Any) -> Any:
        self.spawn(Log, "log", log=())
        escalating = self.spawn(Escalating)
        for number in range(5):
            self.post(escalating, number)
        if self.heap.get(("block", "lets"), False):
            await self.deliver()
        with pytest.raises(ActorFailed, match="/'0' failed with ZeroDivisionError"):
            await self.deliver()
        done = await self.deliver()
        return (
            [number for _, number in await self.look(("log",), "log")],
            done.rounds,
            [*map(tuple, self.dead_letters())],
        )

    root = office(hosted, Log, Escalating, block=block)
    [(log, rounds, dead)] = await blocks(root, {})
    assert (tuple(log), rounds, tuple(dead)) == ((0, 1, 2, 4), 1, ((("0",), 3, (), "ZeroDivisionError"),))
    async with runtime.Runtime(root, workers=0) as rt:
        with pytest.raises(BlockFailed, match="ActorFailed"):
            await rt.advance({"lets": True})


@BOTH
async def test_what_is_no_system_call_and_what_a_hosted_actor_may_not_fail_on_the_spot(hosted: bool) -> None:
    class Odd(Actor):
        async def receive(self, message: Any, sender: Any) -> Any:
            if message == "put":
                await self.put("child", program=Kid, start=True)
                return await self.get("child", "x")
            await asyncio.sleep(0)
            return None

    async def block(self: Any) -> Any:
        odd = self.spawn(Odd)
        self.post(odd, "sleep")
        self.post(odd, "put")
        await self.deliver()
        return [letter.why for letter in self.dead_letters()]

    [dead] = await blocks(office(hosted, Odd, block=block), {})
    assert tuple(dead) == (("ForeignAwait", "CallRefused") if hosted else ("ForeignAwait",))


class Kid(Process):
    async def run(self) -> None:
        self.heap["x"] = 1


async def test_an_actor_with_gas_that_runs_out_fails_on_that_message() -> None:
    class Fed(Actor):
        gas = 20_000

        async def receive(self, message: Any, sender: Any) -> None:
            self.charge(message)
            self.heap["done"] = self.heap.get("done", 0) + 1

    async def block(self: Any) -> Any:
        fed = self.spawn(Fed)
        for gas in (10, 30_000, 20):
            self.post(fed, gas)
        await self.deliver()
        return await self.look(fed, "done"), [letter.why for letter in self.dead_letters()]

    [(done, dead)] = await blocks(office(False, Fed, block=block), {})
    assert (done, tuple(dead)) == (2, ("OutOfGas",))


class Till(PostOffice):
    hosts = (Oracle, Asker)

    async def run(self) -> None:
        self.spawn(Oracle, "oracle")
        self.heap["answer"] = await self.ask(self.spawn(Asker), 4)


class Purse(Root):
    async def run(self) -> Any:
        await self.put("till", program=Till, start=True, gas=self.heap["block", "gas"])
        trap = await self.status("till")
        return trap.kind.name, trap.gas, None if trap.failed else await self.get("till", "answer")


async def test_hosted_actors_run_on_the_gas_of_their_office() -> None:
    kind, used, answer = (await blocks(Purse, {"gas": 1_000_000}))[0]
    assert (kind, answer) == ("RETURNED", 401)
    assert await every_way(Purse, [{"gas": used}], placed=Till) == [("RETURNED", used, 401)]
    assert await blocks(Purse, {"gas": used - 1}) == [("OUT_OF_GAS", used - 1, None)]


class Spinning(Actor):
    async def receive(self, message: Any, sender: Any) -> None:
        turns = 0
        while turns < message:
            turns += 1


class Mill(PostOffice):
    hosts = (Spinning,)

    async def run(self) -> None:
        self.post(self.spawn(Spinning), self.heap["turns"])
        await self.deliver()


class Miller(Root):
    async def run(self) -> Any:
        turns = self.heap["block", "turns"]
        await self.put("mill", {"turns": turns}, program=Mill, start=True, gas=100_000)
        return (await self.status("mill")).kind.name


async def test_a_hosted_actor_that_would_never_end_ends_with_the_gas_of_its_office() -> None:
    inputs = [{"turns": 10}, {"turns": 10**12}, {"turns": 20}]
    assert await every_way(Miller, inputs, placed=Mill) == ["RETURNED", "OUT_OF_GAS", "RETURNED"]


# --- what an office refuses ---


@BOTH
async def test_an_office_says_what_it_does_not_know(hosted: bool) -> None:
    class Stranger(Actor):
        async def receive(self, message: Any, sender: Any) -> None:
            pass

    async def block(self: Any) -> Any:
        self.spawn(Log, "log")
        with pytest.raises(Exception, match="has an actor 'log'"):
            self.spawn(Log, "log")
        with pytest.raises(Exception, match=r"class .*Stranger, which Office does not know; name it in Office\.actors"):
            self.spawn(Stranger)
        with pytest.raises(Exception, match="writes to itself"):
            self.post((), 1)
        with pytest.raises(Exception, match="has no actor /ghost"):
            await self.look(("ghost",), "x")
        return "said"

    assert await blocks(office(hosted, Log, block=block), {}) == ["said"]


@BOTH
async def test_only_the_last_dead_letters_are_kept(hosted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.files.DEAD_LETTERS_MAX", 3)

    async def block(self: Any) -> Any:
        for number in range(5):
            self.post(("ghost",), number)
        await self.deliver()
        return [letter.message for letter in self.dead_letters()], self.heap["office", "dead"]

    made = await blocks(office(hosted, Log, block=block), {}, {})
    assert [(tuple(kept), count) for kept, count in made] == [((2, 3, 4), 5), ((2, 3, 4), 10)]


@BOTH
async def test_what_is_posted_and_not_delivered_is_not_lost(hosted: bool) -> None:
    async def block(self: Any) -> Any:
        if "log" not in self.heap:
            self.heap["log"] = self.spawn(Log, "log", log=())
        if self.heap["block", "post"]:
            self.post(self.heap["log"], self.heap["block", "post"])
            return None
        await self.deliver()
        return [number for _, number in await self.look(("log",), "log")]

    made = await every_way(office(hosted, Log, block=block), [{"post": 1}, {"post": 2}, {"post": 0}, {"post": 0}])
    assert [data and tuple(data) for data in made] == [None, None, (1, 2), (1, 2)]


def test_the_code_of_hosted_actors_counts_as_the_office_s_own() -> None:
    hosting, plain = type("Same", (PostOffice,), {"hosts": (Meek,)}), type("Same", (PostOffice,), {})
    assert code_digest(frozenset({hosting})) != code_digest(frozenset({plain}))


# --- offices below offices ---


class Clerk(Actor):
    async def receive(self, message: Any, sender: Any) -> Any:
        what, *rest = message
        if what == "ask":
            address, question = rest
            self.tell(sender, ("heard", await self.ask(address, question)))
        elif what == "pass":
            address, inner = rest
            self.tell(address, inner)
        elif what == "fail":
            raise ValueError
        else:
            self.heap["log"] = (*self.heap.get("log", ()), (sender, message))
            return "heard", self.path
        return None


class Branch(PostOffice):
    hosts = (Clerk,)

    async def run(self) -> None:
        if "begun" not in self.heap:
            self.heap["begun"] = True
            self.spawn(Clerk, "one")
            self.spawn(Clerk, "two")
        done = await self.deliver(rounds=1)
        self.heap["own"] = (*self.heap.get("own", ()), *done.mail)


class Lazy(PostOffice):
    hosts = (Clerk,)

    async def run(self) -> None:
        self.heap["ran"] = True


class Head(PostOffice, Root):
    actors = (Branch, Lazy)
    hosts = (Clerk,)

    async def run(self) -> Any:
        if "begun" not in self.heap:
            self.heap["begun"] = True
            self.spawn(Branch, "east")
            self.spawn(Branch, "west")
            self.spawn(Lazy, "lazy")
            self.spawn(Clerk, "top")
        for address, message in self.heap["block", "posts"]:
            self.post(address, message)
        done = await self.deliver(self.heap.get(("block", "rounds")))
        dead = [tuple(letter) for letter in self.dead_letters()]
        return done.mail, dead, done.more


async def test_mail_finds_its_way_up_and_down_between_offices() -> None:
    ask = ("ask", ("west", "two"), ("note", 5))
    inputs = [
        {"posts": [(("east", "one"), ask)]},
        {"posts": [(("east", "one"), ("pass", ("top",), ("pass", ("west", "one"), ("note", 7))))]},
        {"posts": [(("east",), ("for the office itself",))], "rounds": 1},
        {"posts": [(("east", "one"), ("ask", ("top",), ("note", 9)))], "rounds": 2},
        {"posts": []},
    ]
    data = await every_way(Head, inputs, placed=Branch)
    assert data[0][0] == ((("heard", ("heard", ("west", "two"))), ("east", "one")),)
    assert data[3][2] is True
    assert data[4][0] == ((("heard", ("heard", ("top",))), ("east", "one")),)
    async with runtime.Runtime(Head, workers=0) as rt:
        for value in inputs:
            await rt.advance(value)
        east, west = rt.state().at("/east").heap, rt.state().at("/west").heap
        assert east["own"] == ((("for the office itself",), ()),)
        assert west["office", "heaps", "two", "log"] == ((("east", "one"), ("note", 5)),)
        assert west["office", "heaps", "one", "log"] == ((("top",), ("note", 7)),)


async def test_mail_to_nobody_is_a_dead_letter_where_that_is_known() -> None:
    inputs = [
        {"posts": [(("east", "ghost"), ("note", 1)), (("nowhere", "x"), ("note", 2)), (("top", "x"), ("note", 3))]},
        {"posts": [(("lazy", "x"), ("note", 4))]},
    ]
    data = await every_way(Head, inputs)
    at_the_top = ((("nowhere", "x"), ("note", 2), (), "nobody there"), (("top", "x"), ("note", 3), (), "nobody there"))
    assert tuple(data[0][1]) == at_the_top
    assert tuple(data[1][1])[2:] == ((("lazy", "x"), ("note", 4), (), "it did not deliver its mail"),)


class Envoy(Actor):
    async def receive(self, message: Any, sender: Any) -> Any:
        return await self.ask(("top",), ("note", 1)) if message == "outside" else message


class Impatient(PostOffice):
    hosts = (Envoy,)

    async def run(self) -> None:
        envoy = (*self.path, "envoy")
        if "got" not in self.heap:
            self.spawn(Envoy, "envoy")
        await self.deliver()
        got = self.heap.get("got", ())
        try:
            got = (*got, await self.ask(envoy, "inside" if got else "outside"))
        except NoAnswer as error:
            got = (*got, error.reason)
        self.heap["got"] = got


class Over(PostOffice, Root):
    actors = (Impatient,)
    hosts = (Clerk,)

    async def run(self) -> Any:
        self.spawn(Clerk, "top")
        self.post(self.spawn(Impatient, "below"), "go on")
        return (await self.deliver()).messages


async def test_an_answer_for_which_an_office_waits_no_more_is_taken_for_no_other() -> None:
    assert await every_way(Over, [{}]) == [3]
    async with runtime.Runtime(Over, workers=0) as rt:
        await rt.advance({})
        below = rt.state().at("/below").heap
        assert below["got"] == ("no mail is left, and it still waits", "inside")
        late = ((), ("heard", ("top",)), ("below", "envoy"), "an answer too late")
        assert below["office", "dead", 0] == (("below",), *late[1:])
        assert list(below.keys(("office", "late"))) == []
