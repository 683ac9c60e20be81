"""Mail where something goes wrong, or nearly: what is left behind, what is taken for something else, what an office survives."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from test_mail import BOTH, Kid, Log, Oracle, blocks, office
from ways import every_way

import runtime
from actors import CallRefused, LimitExceeded, Limits, ProgramError, Root
from actors.limits import ADDRESS_BYTES_MAX
from actors.mail import Actor, NoAnswer
from actors.office import ActorFailed, PostOffice


def dead(self: Any) -> tuple[Any, ...]:
    return tuple(map(tuple, self.dead_letters()))


# --- what an actor leaves behind ---


class Heir(Actor):
    async def receive(self, message: Any, sender: Any) -> Any:
        if message == "set":
            self.heap["x"] = 1
        elif message == "end":
            self.heap.count()
            self.stop()
        return self.heap.get("x")


@BOTH
async def test_who_has_the_name_of_one_that_stopped_inherits_nothing(hosted: bool) -> None:
    async def block(self: Any) -> Any:
        heir = self.spawn(Heir, "heir")
        for message in ("set", "end"):
            self.post(heir, message)
            await self.deliver()
        left = [*self.heap.items(("office", "heaps"))]
        return tuple(left), await self.ask(self.spawn(Heir, "heir"), "get")

    assert await every_way(office(hosted, Heir, block=block), [{}]) == [((), None)]


class Counts(Actor):
    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    async def receive(self, message: Any, sender: Any) -> None:
        self.n += 1
        self.tell(sender, self.n)


class Slotted(Actor):
    __slots__ = ("n",)

    async def receive(self, message: Any, sender: Any) -> None:
        self.n = getattr(self, "n", 0) + 1
        self.tell(sender, self.n)


@BOTH
@pytest.mark.parametrize("program", [Counts, Slotted])
async def test_what_an_instance_holds_is_gone_with_its_activation(hosted: bool, program: Any) -> None:
    async def block(self: Any) -> Any:
        counts = self.spawn(program)
        said = []
        for _ in range(3):
            self.post(counts, "count")
            said += [number for number, _ in (await self.deliver()).mail]
        return tuple(said)

    assert await blocks(office(hosted, program, block=block), {}) == [(1, 1, 1)]


# --- random numbers ---


class Dice(Actor):
    async def receive(self, message: Any, sender: Any) -> None:
        throws = self.heap.get("throws", ())
        if message == "ask":
            throws = (*throws, self.random.random())
            await self.ask((*self.office, "oracle"), 1)
        self.heap["throws"] = (*throws, self.random.random())


async def _throws(hosted: bool, last: int) -> Any:
    async def block(self: Any) -> Any:
        n = self.heap["block", "n"]
        if n == 0:
            self.spawn(Oracle, "oracle")
            self.spawn(Dice, "dice")
        for message in ((1,), ("ask",), (3, 4), (), ("ask", 5), (), (), ())[n]:
            self.post(("dice",), message)
        await self.deliver(rounds=1)
        return await self.look(("dice",), "throws") if n == last else None

    return (await every_way(office(hosted, Oracle, Dice, block=block), [{"n": n} for n in range(last + 1)]))[-1]


async def test_hosted_and_not_an_actor_draws_the_same_numbers_also_when_it_waits_over_the_end_of_a_block() -> None:
    hosted, apart = await _throws(True, 7), await _throws(False, 7)
    assert hosted == apart
    assert len(set(hosted)) == len(hosted) >= 6


# --- asking ---


@BOTH
async def test_what_is_asked_behind_a_failure_gets_its_own_answer(hosted: bool) -> None:
    class Slow(Actor):
        async def receive(self, message: Any, sender: Any) -> Any:
            await self.ask((*self.office, "oracle"), 1)
            return "slow"

    class Broken(Actor):
        on_failure = "escalate"

        async def receive(self, message: Any, sender: Any) -> Any:
            raise ValueError

    async def block(self: Any) -> Any:
        slow, broken = self.spawn(Slow, "slow"), self.spawn(Broken, "broken")
        self.spawn(Oracle, "oracle")
        self.post(broken, "break")
        with pytest.raises(ActorFailed):
            await self.ask(slow, "first")
        return await self.ask(("oracle",), 4), await self.ask(slow, "second"), dead(self)

    # The oracle's answer, and not that of the slow one, which came too late.
    [(four, slow, letters)] = await every_way(office(hosted, Oracle, Slow, Broken, block=block), [{}])
    assert (four, slow) == (40, "slow")
    assert letters == (
        (("broken",), "break", (), "ValueError"),
        ((), "slow", ("slow",), "an answer too late"),
    )


@BOTH
async def test_an_answer_that_comes_with_a_failure_is_taken_for_no_later_one(hosted: bool) -> None:
    class Broken(Actor):
        on_failure = "escalate"

        async def receive(self, message: Any, sender: Any) -> Any:
            raise ValueError

    async def block(self: Any) -> Any:
        self.spawn(Oracle, "oracle")
        self.post(self.spawn(Broken), "break")
        with pytest.raises(ActorFailed):
            await self.ask(("oracle",), 1)
        return [await self.ask(("oracle",), number) for number in (2, 3)]

    assert [tuple(one) for one in await blocks(office(hosted, Oracle, Broken, block=block), {})] == [(20, 30)]


@BOTH
async def test_ret_is_refused_where_it_is_said(hosted: bool) -> None:
    class Returning(Actor):
        async def receive(self, message: Any, sender: Any) -> None:
            with pytest.raises(
                CallRefused, match="ret: /'0' is an actor, and between two messages it is stopped anyway"
            ):
                await self.ret()
            self.tell(sender, message)

    async def block(self: Any) -> Any:
        returning = self.spawn(Returning)
        for number in range(3):
            self.post(returning, number)
        return tuple(number for number, _ in (await self.deliver()).mail)

    assert await blocks(office(hosted, Returning, block=block), {}) == [(0, 1, 2)]


@BOTH
async def test_who_keeps_no_journal_may_not_ask(hosted: bool) -> None:
    class Forgetful(Actor):
        journal = False

        async def receive(self, message: Any, sender: Any) -> Any:
            with pytest.raises(CallRefused, match=r"ask: .*Forgetful keeps no journal"):
                await self.ask((*self.office, "oracle"), message)
            return "asked nobody"

    async def block(self: Any) -> Any:
        self.spawn(Oracle, "oracle")
        return await self.ask(self.spawn(Forgetful), 1), (await self.deliver()).messages

    assert await blocks(office(hosted, Oracle, Forgetful, block=block), {}) == [("asked nobody", 0)]


# --- classes and names ---


class Stranger(Actor):
    async def receive(self, message: Any, sender: Any) -> None:
        pass


class Odd(Actor):
    async def receive(self, message: Any, sender: Any) -> Any:
        if message == "spawn":
            self.tell(self.spawn(Stranger), "hello")
        elif message == "become":
            self.become(Stranger)
        else:
            return "still odd"
        return None


@BOTH
async def test_a_class_that_the_office_does_not_know_costs_nobody_else_anything(hosted: bool) -> None:
    async def block(self: Any) -> Any:
        self.spawn(Log, "log", log=())
        odd = self.spawn(Odd, "odd")
        for message in ("spawn", "become"):
            self.post(odd, message)
            self.post(("log",), message)
        await self.deliver()
        return await self.ask(odd, "what are you"), await self.look(("log",), "log"), dead(self)

    [(still, log, letters)] = await every_way(office(hosted, Log, Odd, block=block), [{}])
    assert still == "still odd"
    assert log == (("office", "spawn"), ("office", "become"))
    name, why = Stranger.__qualname__, "the office does not know that class"
    assert sorted(letters) == [
        (("odd",), name, ("odd",), why),
        (("odd.0",), name, ("odd",), why),
        (("odd.0",), "hello", ("odd",), "nobody there"),
    ]


async def test_an_actor_that_would_be_hosted_and_is_not_stays_what_it_was() -> None:
    class Both(PostOffice, Root):
        hosts = (Odd,)
        actors = (Stranger,)

        async def run(self) -> Any:
            odd = self.spawn(Odd, "odd")
            self.post(odd, "become")
            return await self.ask(odd, "what are you"), dead(self)

    [(still, letters)] = await every_way(Both, [{}])
    assert still == "still odd"
    assert letters == ((("odd",), "Stranger", ("odd",), "of the two classes the office hosts one alone"),)


class Chain(Actor):
    async def receive(self, message: Any, sender: Any) -> None:
        self.tell(self.spawn(Chain), message)


@BOTH
async def test_a_name_that_grows_too_long_fails_where_it_is_made(hosted: bool) -> None:
    async def block(self: Any) -> Any:
        first = self.spawn(Chain, "a" * (ADDRESS_BYTES_MAX - 20))
        self.post(first, "on")
        done = await self.deliver()
        return done.messages, [(letter[0][0][-8:], letter[3]) for letter in dead(self)]

    [(messages, letters)] = await blocks(office(hosted, Chain, block=block), {})
    assert (messages, tuple(letters)) == (10, (("." + "0.0.0.0"[-7:], "LimitExceeded"),))


@BOTH
async def test_an_address_has_a_limit_for_the_office_too(hosted: bool) -> None:
    async def block(self: Any) -> Any:
        with pytest.raises(LimitExceeded, match=r"an address of .* bytes, .*is over the limit"):
            self.spawn(Log, "a" * ADDRESS_BYTES_MAX)
        with pytest.raises(LimitExceeded, match=r"an address of .* bytes"):
            self.post(("a" * ADDRESS_BYTES_MAX,), 1)
        with pytest.raises(LimitExceeded, match="an address of 61 names is over the limit of 60"):
            await self.ask(("a",) * 61, 1)
        return self.spawn(Log)

    assert await blocks(office(hosted, Log, block=block), {}) == [("0",)]


async def test_another_class_of_the_same_name_is_refused() -> None:
    other = type("Log", (Log,), {"__qualname__": "Log"})

    async def block(self: Any) -> Any:
        with pytest.raises(ProgramError, match="spawn: Office knows another class of the name Log, of test_mail"):
            self.spawn(other)
        return self.spawn(Log)

    assert await blocks(office(True, Log, block=block), {}) == [("0",)]


@BOTH
@pytest.mark.parametrize("key", ["mail", "letter"])
async def test_the_keys_of_the_library_are_no_initial_values(hosted: bool, key: str) -> None:
    class Spawning(Actor):
        async def receive(self, message: Any, sender: Any) -> None:
            with pytest.raises(CallRefused, match=f"call the value '{key}' otherwise"):
                self.spawn(Log, "x", **{key: 1})
            self.spawn(Log, "x")

    async def block(self: Any) -> Any:
        with pytest.raises(CallRefused, match=f"call the value '{key}' otherwise"):
            self.spawn(Log, **{key: 1})
        self.post(self.spawn(Spawning, "s"), 1)
        await self.deliver()
        return [*self.heap.keys(("office", "actors"))], dead(self)

    assert [tuple(map(tuple, made)) for made in await blocks(office(hosted, Log, Spawning, block=block), {})] == [
        (("s", "s.x"), ())
    ]


class Plain(PostOffice):
    hosts = (Log,)


@pytest.mark.parametrize("program", [Plain, Log])
@pytest.mark.parametrize("mail", ["a letter", (1, 2, 3, 4), (1, 2)])
async def test_who_is_put_with_mail_of_its_own_is_told_whose_that_key_is(
    program: Any, mail: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Putting(Root):
        async def run(self) -> Any:
            await self.put("child", {"mail": mail}, program=program, start=True)
            return (await self.status("child")).error

    with caplog.at_level(logging.INFO, "lockstep.kernel"):
        assert await blocks(Putting, {}) == ["ProgramError"]
    assert "/child: under 'mail' in its heap there is no mail that an office brought" in caplog.text


# --- failure ---


@BOTH
async def test_why_an_actor_failed_is_told_to_people(hosted: bool, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Actor):
        async def receive(self, message: Any, sender: Any) -> None:
            raise ValueError("the very reason")

    async def block(self: Any) -> Any:
        self.post(self.spawn(Failing, "f"), 1)
        await self.deliver()

    with caplog.at_level(logging.INFO, "lockstep"):
        await blocks(office(hosted, Failing, block=block), {})
    told = next(record for record in caplog.records if record.getMessage() == "/f failed with ValueError")
    assert told.levelno == logging.INFO
    assert "the very reason" in caplog.text


class Shy(Actor):
    on_failure = "escalate"

    async def receive(self, message: Any, sender: Any) -> None:
        raise ValueError


class Forward(Actor):
    async def receive(self, message: Any, sender: Any) -> None:
        self.tell((*self.office, "shy"), message)


class Inner(PostOffice):
    hosts = (Log, Shy, Forward)

    async def run(self) -> None:
        if "begun" not in self.heap:
            self.heap["begun"] = True
            self.spawn(Log, "log")
            self.spawn(Shy, "shy")
            self.spawn(Forward, "fwd")
        await self.deliver(rounds=1)


class InnerStopping(Inner):
    on_failure = "stop"


class InnerEscalating(Inner):
    on_failure = "escalate"


class Outer(PostOffice, Root):
    actors = (Inner, InnerStopping, InnerEscalating)
    inner: Any = Inner

    async def run(self) -> Any:
        if "begun" not in self.heap:
            self.heap["begun"] = True
            self.spawn(self.inner, "i")
        for address, message in self.heap["block", "posts"]:
            self.post(address, message)
        try:
            await self.deliver()
        except ActorFailed as failure:
            return failure.address, failure.error, dead(self)
        return dead(self)


class OuterStopping(Outer):
    inner = InnerStopping


class OuterEscalating(Outer):
    inner = InnerEscalating


BOOM = {"posts": ((("i", "fwd"), "boom"), (("i", "log"), "before"))}
FINE = {"posts": ((("i", "log"), "fine"),)}


async def test_what_escalates_in_an_office_below_another_wedges_neither() -> None:
    assert await every_way(Outer, [BOOM, FINE, FINE], placed=Inner) == [(), (), ()]
    async with runtime.Runtime(Outer, workers=0) as rt:
        for value in (BOOM, FINE, BOOM, FINE):
            await rt.advance(value)
        heap = rt.state().at("/i").heap
        assert [message for _, message in heap["office", "heaps", "log", "log"]] == ["before", "fine", "before", "fine"]
        boom = (("i", "shy"), "boom", ("i", "fwd"), "ValueError")
        assert [*heap.values(("office", "dead"), low=0)] == [boom, boom]


async def test_an_office_below_that_is_to_stop_stops_and_one_that_escalates_names_the_actor() -> None:
    stopped = ((("i", "log"), "fine", (), "nobody there"),)
    assert await every_way(OuterStopping, [BOOM, FINE], placed=InnerStopping) == [(), stopped]
    escalated = ("/i/shy", "ValueError", ())
    assert await every_way(OuterEscalating, [BOOM, FINE, BOOM], placed=InnerEscalating) == [escalated, (), escalated]


class Stumbling(PostOffice):
    """Leaves mail for the next round, and fails on what else it is given by then."""

    hosts = (Log,)

    async def run(self) -> None:
        if "begun" not in self.heap:
            self.heap["begun"] = True
            self.spawn(Log, "log", log=())
        done = await self.deliver(rounds=0 if self.heap.get("later", False) else None)
        for message, _ in done.mail:
            if message == "fail":
                raise ValueError
            self.heap["later"] = message == "later"


class Tripping(PostOffice, Root):
    actors = (Stumbling,)

    async def run(self) -> Any:
        if "begun" not in self.heap:
            self.heap["begun"] = True
            self.spawn(Stumbling, "s")
        for address, message in self.heap["block", "posts"]:
            self.post(address, message)
        done = await self.deliver(rounds=self.heap["block", "rounds"])
        return done.more, dead(self)


async def test_an_office_below_that_fails_on_a_message_still_has_what_it_had_to_deliver() -> None:
    inputs = [
        {"posts": ((("s",), "later"),), "rounds": 1},
        {"posts": ((("s", "log"), "kept"),), "rounds": 1},
        {"posts": ((("s",), "fail"),), "rounds": 1},
        {"posts": (), "rounds": 1},
    ]
    data = await every_way(Tripping, inputs)
    failed = ((("s",), "fail", (), "ValueError"),)
    assert data == [(False, ()), (True, ()), (True, failed), (True, failed)]


class Afterthought(PostOffice):
    hosts = (Log,)

    async def run(self) -> None:
        if "begun" not in self.heap:
            self.heap["begun"] = True
            self.spawn(Log, "log", log=())
        done = await self.deliver()
        for message, _ in done.mail:
            self.post((*self.path, "log"), message)


class Patient(PostOffice, Root):
    actors = (Afterthought,)

    async def run(self) -> Any:
        self.post(self.spawn(Afterthought, "a"), "thought")
        return (await self.deliver()).rounds


async def test_what_an_office_below_posts_behind_its_last_delivery_is_delivered() -> None:
    assert await every_way(Patient, [{}]) == [2]
    async with runtime.Runtime(Patient, workers=0) as rt:
        await rt.advance({})
        assert rt.state().at("/a").heap["office", "heaps", "log", "log"] == (("a", "thought"),)


class Greedy(Actor):
    async def receive(self, message: Any, sender: Any) -> None:
        self.heap["x"] = "x" * message


class Narrow(PostOffice):
    async def run(self) -> None:
        greedy = self.spawn(Greedy, "greedy", y=tuple(range(100)))
        for size in (10, 100_000, 20):
            self.post(greedy, size)
        await self.deliver()
        self.heap["x"] = await self.look(greedy, "x"), dead(self)


class NarrowHost(Narrow):
    hosts = (Greedy,)


class NarrowApart(Narrow):
    actors = (Greedy,)


class Limiting(Root):
    async def run(self) -> Any:
        said = []
        for name, program in (("n", NarrowHost), ("m", NarrowApart)):
            await self.put(name, program=program, start=True, limits=Limits(heap_bytes=50_000))
            x, letters = await self.get(name, "x")
            said.append((x, tuple(letter[1::2] for letter in letters)))
        return tuple(said)


async def test_an_actor_that_is_over_the_limits_of_its_office_fails_hosted_or_not() -> None:
    said = "x" * 20, ((100_000, "LimitExceeded"),)
    assert await every_way(Limiting, [{}]) == [(said, said)]


class Crowded(PostOffice):
    hosts = (Greedy, Log)

    async def run(self) -> None:
        if "begun" in self.heap:
            self.heap["again"] = (await self.deliver()).messages
            return
        self.heap["begun"] = True
        log = self.spawn(Log, "log", log=())
        both = [self.spawn(Greedy, name, y=tuple(range(100))) for name in ("a", "b")]
        for greedy in both:
            self.post(greedy, 30_000)
            self.post(log, "x")
        with pytest.raises(LimitExceeded):
            await self.deliver()
        with pytest.raises(LimitExceeded):
            self.post(log, "z" * 40_000)
        await self.stop(both[1])
        self.post(log, "y")
        self.heap["messages"] = (await self.deliver()).messages
        self.heap["left"] = (len(await self.look(both[0], "x")), [text for _, text in await self.look(log, "log")])


class Crowding(Root):
    async def run(self) -> Any:
        await self.put("c", program=Crowded, start=True, limits=Limits(heap_bytes=50_000))
        if self.heap["block", "n"]:
            return await self.get("c", "again")
        messages, (size, log) = await self.get("c", "messages", "left")
        filed = await self.get("c", ("office", "heaps", "a", "x"), ("office", "heaps", "log", "log"))
        return messages, size, tuple(log), len(filed[0]), tuple(text for _, text in filed[1])


async def test_what_the_limits_of_an_office_refuse_is_not_half_in_its_files() -> None:
    log = ("x", "x", "y")
    assert await every_way(Crowding, [{"n": 0}, {"n": 1}]) == [(1, 30_000, log, 30_000, log), 0]


# --- stopping ---


class Waiting(Actor):
    async def receive(self, message: Any, sender: Any) -> Any:
        if message == "ask":
            return await self.ask((*self.office, "other"), "ask")
        self.heap["x"] = tuple(range(100))
        return message


@BOTH
async def test_an_office_stops_an_actor_and_its_mail_is_dead(hosted: bool) -> None:
    async def block(self: Any) -> Any:
        one = self.spawn(Waiting, "one")
        self.post(one, 1)
        await self.deliver()
        self.post(one, 2)
        await self.stop(one)
        self.post(one, 3)
        await self.deliver()
        with pytest.raises(CallRefused, match="stop: / has no actor /one"):
            await self.stop(one)
        left = [key for key in self.heap if key[0] == "office" and key[1] != "dead"]
        return tuple(left), await self.ask(self.spawn(Waiting, "one"), 4), dead(self)

    expected = ((), 4, ((("one",), 2, (), "stopped"), (("one",), 3, (), "nobody there")))
    assert await every_way(office(hosted, Waiting, block=block), [{}]) == [expected]


@BOTH
async def test_who_waits_may_be_stopped_and_its_answer_is_taken_by_nobody(hosted: bool) -> None:
    async def block(self: Any) -> Any:
        n = self.heap["block", "n"]
        if n == 0:
            self.spawn(Waiting, "one")
            self.spawn(Waiting, "other")
            self.post(("one",), "ask")
            await self.deliver(rounds=1)
            return self.waiting()
        if n == 1:
            await self.stop(("one",))
            with pytest.raises(CallRefused, match="spawn: /one was stopped while it waited for an answer"):
                self.spawn(Waiting, "one")
            return self.waiting()
        if n == 2:
            with pytest.raises(CallRefused, match="was stopped while it waited"):
                self.spawn(Waiting, "one")
            # It asks itself, is refused, and whoever asked it learns of it.
            await self.deliver()
            return dead(self)
        return self.spawn(Waiting, "one"), self.waiting()

    data = await every_way(office(hosted, Waiting, block=block), [{"n": n} for n in range(4)])
    assert data[:2] == [(("one",),), ()]
    assert data[2] == (
        (("one",), "ask", (), "stopped"),
        (("other",), "ask", ("one",), "CallRefused"),
        (("one",), "CallRefused", ("other",), "an answer too late"),
    )
    assert data[3] == (("one",), ())


@BOTH
async def test_two_that_wait_for_each_other_are_helped_by_stopping_one(hosted: bool) -> None:
    class Mutual(Actor):
        async def receive(self, message: Any, sender: Any) -> Any:
            try:
                return await self.ask((*self.office, message), self.path[-1])
            except NoAnswer as error:
                self.tell(self.office, error.reason)

    async def block(self: Any) -> Any:
        for name, other in (("a", "b"), ("b", "a")):
            self.spawn(Mutual, name)
            self.post((name,), other)
        await self.deliver()
        before = self.waiting()
        await self.stop(("a",))
        done = await self.deliver()
        return before, self.waiting(), done.mail

    [(before, after, mail)] = await every_way(office(hosted, Mutual, block=block), [{}])
    assert (before, after) == ((("a",), ("b",)), ())
    assert mail == (("stopped", ("b",)), ("nobody there", ("b",)))


@BOTH
async def test_an_actor_is_not_dropped(hosted: bool) -> None:
    async def block(self: Any) -> Any:
        self.spawn(Log, "log", log=())
        with pytest.raises(CallRefused, match=r"say await self\.stop\(\(\*self\.path, 'log'\)\)"):
            await self.drop("log")
        await self.put("child", program=Kid, start=True)
        await self.drop("child")
        return await self.look(("log",), "log")

    assert await blocks(office(hosted, Log, block=block), {}) == [()]


async def test_an_office_below_is_stopped_with_all_that_it_has() -> None:
    class Above(PostOffice, Root):
        actors = (Inner,)

        async def run(self) -> Any:
            inner = self.spawn(Inner, "i")
            self.post((*inner, "log"), 1)
            await self.deliver()
            await self.stop(inner)
            self.post((*inner, "log"), 2)
            await self.deliver()
            return dead(self)

    assert await every_way(Above, [{}]) == [((("i", "log"), 2, (), "nobody there"),)]


# --- what is refused ---


async def test_a_number_of_rounds_is_a_number() -> None:
    async def block(self: Any) -> Any:
        for rounds in (-1, "3", 1.5, True):
            with pytest.raises(CallRefused, match=r"deliver: rounds is .*; it is an int, at least 0, or None"):
                await self.deliver(rounds=rounds)
        return (await self.deliver(rounds=0)).rounds

    assert await blocks(office(True, Log, block=block), {}) == [0]


async def test_what_an_office_is_told_to_say_it_has() -> None:
    async def block(self: Any) -> Any:
        for call in (self.post, self.ask):
            with pytest.raises(CallRefused, match=r"say \(\*self\.path, 'log'\)"):
                await call("log", 1)
        with pytest.raises(CallRefused, match=r"say \(\*self\.path, 'log'\)"):
            await self.look("log", "log")
        with pytest.raises(CallRefused, match="or say journal = True in it"):
            await self.snapshot(1)
        return "said"

    assert await blocks(office(True, Log, block=block), {}) == ["said"]


async def test_an_office_with_a_journal_closes_blocks_in_the_middle() -> None:
    async def block(self: Any) -> Any:
        log = self.spawn(Log, "log", log=())
        self.post(log, 1)
        await self.deliver()
        await self.snapshot("one")
        self.post(log, 2)
        await self.deliver()
        return [message for _, message in await self.look(log, "log")]

    data = await every_way(office(True, Log, block=block, journal=True), [{}, {}])
    assert (data[0], tuple(data[1])) == ("one", (1, 2))


# --- an actor that cannot be made ---


class Narrow(PostOffice):
    """Has room for one child, and for short values alone."""

    actors = (Log, Greedy)

    async def run(self) -> None:
        if "begun" not in self.heap:
            self.heap["begun"] = True
            for name in ("a", "b"):
                self.spawn(Log, name, log=())
        for name, text in self.heap["posts"]:
            self.post((*self.path, name), text)
        done = await self.deliver()
        dead = tuple((letter.to[-1], len(letter.message), letter.why) for letter in self.dead_letters())
        self.heap["seen"] = done.messages, dead, tuple([text for _, text in await self.look((*self.path, "a"), "log")])


class Narrowing(Root):
    async def run(self) -> Any:
        limits = Limits(children=1, value_bytes=2_000)
        await self.put("c", {"posts": self.heap["block", "posts"]}, program=Narrow, start=True, limits=limits)
        return await self.get("c", "seen")


async def test_an_actor_that_cannot_be_made_or_told_fails_on_that_message() -> None:
    first = (("b", 1, "LimitExceeded"),)
    blocks = [{"posts": (("a", "x"), ("b", "y"), ("a", "z"))}, {"posts": (("b", "again"), ("a", "w"))}]
    assert await every_way(Narrowing, blocks) == [
        (3, first, ("x", "z")),
        (2, (*first, ("b", 5, "LimitExceeded")), ("x", "z", "w")),
    ]
