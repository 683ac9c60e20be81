"""What a metered program finds by name: copies of functions, shared classes, facades of modules, refusals."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import gc
import importlib
import itertools
import logging
import math
import os
import subprocess
import sys
import threading
import time
import traceback
import types
from functools import partial
from pathlib import Path
from typing import Any

import metered_values
import pytest
from metered_run import plain, run
from metered_values import BY_NAME, HOLDER, Money, Spinning, rate

from actors import Process, ProgramError
from actors.memory import Memory
from actors.meter import GAS_MAX, Exhausted, Meter
from runtime.interpreter import DEPTH_MAX
from runtime.metering import (
    adopt_sources,
    closing,
    enter,
    leave,
    metered,
    original,
    replaying,
    several_threads,
    sources_of,
    step,
)

# --- programs ---


class Teller(Process):
    """Uses a value class, functions and modules of the user's."""

    async def run(self) -> None:
        money = Money(10) + Money(7)
        self.heap["money"] = money
        self.heap["same"] = isinstance(self.heap["money"], Money)
        self.heap["parts"] = [one.amount for one in money.split(3)]
        self.heap["rate"] = rate("low") + metered_values.rate("high") + BY_NAME["rate"]("high")
        self.heap["root"] = math.isqrt(17)


class Counting(Process):
    """Mixins, closures, properties, super."""

    async def run(self) -> None:
        self.heap["own"] = Counting.__name__
        self.heap["steps"] = self.steps
        self.heap["name"] = self.label(2)

    @property
    def steps(self) -> int:
        return sum(1 for _ in range(5))

    def label(self, times: int) -> str:
        return "counting " * times


class Named(Counting):
    kinds = (Counting, Teller)

    def label(self, times: int) -> str:
        return "named " + super().label(times)

    @classmethod
    def made(cls) -> str:
        return cls.__name__

    @staticmethod
    def fixed() -> int:
        return 7

    async def run(self) -> None:
        await super().run()
        self.heap["other"] = Counting.label(self, 3)
        self.heap["made"] = self.made() + Named.made() + str(Named.fixed())
        self.heap["kind"] = isinstance(self, Named) and isinstance(self, Counting) and self.kinds[0] is Counting


def spinner(kind: str) -> type[Process]:
    """Return a program that never ends, by one way of reaching code or another."""

    class Spins(Process):
        async def run(self) -> None:
            match kind:
                case "module":
                    metered_values.forever()
                case "table":
                    BY_NAME["forever"]()
                case "object":
                    Spinning().spin()
                case "held":
                    HOLDER.call()
                case "partial":
                    PARTIAL()
                case "bound":
                    BOUND()
                case "nested":
                    local()
                case "decorated":
                    with held():
                        pass
                case "import":
                    from metered_values import forever

                    forever()
                case "proxy":
                    PROXY["forever"]()
                case "default":
                    DEFAULTS[1]
                case "attribute":
                    Spinning.deep["a"][0]()
                case "getattr":
                    getattr(metered_values, "for" + "ever")()

    def local() -> None:
        metered_values.forever()

    return Spins


PROXY = types.MappingProxyType(BY_NAME)
DEFAULTS = collections.defaultdict(metered_values.forever)
PARTIAL = partial(metered_values.forever)
BOUND = Spinning().spin


@contextlib.contextmanager
def held() -> Any:
    metered_values.forever()
    yield


KINDS = [
    "module",
    "table",
    "object",
    "held",
    "partial",
    "bound",
    "nested",
    "decorated",
    "import",
    "getattr",
    "proxy",
    "default",
    "attribute",
]


# --- copies and what is shared ---


@pytest.mark.parametrize("program", [Teller, Counting, Named], ids=lambda one: one.__name__)
def test_a_world_means_what_the_modules_mean(program: type[Process]) -> None:
    ended = run(program)
    assert (ended.how, ended.error) == ("returned", None)
    assert dict(ended.heap.items()) == dict(plain(program).items())


@pytest.mark.parametrize("kind", KINDS)
def test_no_way_to_reach_code_leads_out_of_the_meter(kind: str) -> None:
    assert run(spinner(kind), 1000).how == "out of gas"


def test_what_a_program_shares_is_not_metered_outside_of_steps() -> None:
    run(Teller)
    assert Money(10).split(3)[0] == Money(3)
    assert Money(1) + Money(2) == Money(3)


def test_what_a_codec_does_is_nobodys_gas() -> None:
    class Reads(Process):
        async def run(self) -> None:
            self.heap["n"] = self.heap["slow"].n

    class Makes(Process):
        async def run(self) -> None:
            self.heap["n"] = metered_values.Slow(3).n

    assert run(Makes).used > metered_values.Slow.TURNS
    ended = run(Reads, heap={"slow": metered_values.Slow(3)})
    assert ended.heap["n"] == 3
    assert ended.used < 5


def test_a_program_that_another_one_names_is_mapped_back() -> None:
    found: list[Any] = []

    class Naming(Process):
        async def run(self) -> None:
            found.append(Teller)
            found.append([Teller, {"x": Teller}])

    run(Naming)
    assert found[0] is not Teller
    assert original(found[0]) is Teller
    assert found[1] == [found[0], {"x": found[0]}]


def test_the_lines_of_a_traceback_are_those_of_the_source() -> None:
    class Fails(Process):
        async def run(self) -> None:
            for x in range(3):
                if x == 2:
                    self.fail(x)

        def fail(self, x: int) -> None:
            """Documented."""
            with contextlib.suppress(KeyError):
                raise ValueError(x)

    ended = run(Fails)
    frames = traceback.extract_tb(ended.error.__traceback__ if ended.error else None)[1:]
    assert [frame.line for frame in frames] == ["self.fail(x)", "raise ValueError(x)"]
    assert all(frame.filename == __file__ for frame in frames)
    assert metered(Fails).fail.__doc__ == "Documented."  # type: ignore[attr-defined]


# --- refusals ---


def refused(function: Any) -> str:
    class Refused(Process):
        async def run(self) -> None:
            function()

    with pytest.raises(ProgramError) as told:
        ended = run(Refused)
        if ended.error is not None:
            raise ended.error
    return str(told.value)


@functools.lru_cache
def cached() -> int:
    return 1


@functools.singledispatch
def dispatched(thing: Any) -> Any:
    return metered_values.forever()


GENERATOR = (metered_values.forever() for _ in range(3))
COUNTER = itertools.count()


class Finalised:
    def __del__(self) -> None:
        pass


class FinalisedProgram(Process):
    async def run(self) -> None:
        pass

    def __del__(self) -> None:
        pass


def test_a_refusal_names_the_thing_and_the_mend() -> None:
    assert "time" in refused(lambda: time.time()) and "allowed_modules" in refused(lambda: time.time())
    assert "test_metering_worlds.cached" in refused(lambda: cached()) and "self.heap" in refused(lambda: cached())
    for _ in range(2):
        assert "Finalised is reached by metered code and has a __del__" in refused(lambda: Finalised())
    assert "singledispatch" in refused(lambda: dispatched(1))
    assert "make it in run" in refused(lambda: next(GENERATOR))
    assert "make it in run" in refused(lambda: next(COUNTER))
    assert "logging" in refused(lambda: logging.getLogger())
    assert "os" in refused(lambda: os.getcwd())
    with pytest.raises(ProgramError, match=r"FinalisedProgram has a __del__.*test_metering_worlds.py:\d+"):
        metered(FinalisedProgram)


def test_a_program_without_source_cannot_be_metered_and_the_error_says_so() -> None:
    around: dict[str, Any] = {"Process": Process, "__name__": "nowhere"}
    exec(compile("class P(Process):\n async def run(self):\n  while True: pass", "<nowhere>", "exec"), around)
    with pytest.raises(ProgramError, match=r"nowhere\.P\.run cannot be metered: there is no source"):
        metered(around["P"])


def test_a_source_that_has_changed_since_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "changed.py"
    source = "from actors import Process\nclass P(Process):\n    async def run(self):\n        self.heap[1] = 1\n"
    path.write_text(source)
    around: dict[str, Any] = {"__name__": "changed"}
    exec(compile(source, str(path), "exec", dont_inherit=True), around)
    path.write_text(source.replace("= 1", "= 2"))
    with pytest.raises(ProgramError, match="is not what it was made from"):
        metered(around["P"])
    adopt_sources({str(path): source})
    assert dict(run(around["P"]).heap.items()) == {1: 1}


def test_modules_are_allowed_by_name() -> None:
    class Clocked(Process):
        async def run(self) -> None:
            self.heap["year"] = time.gmtime(0).tm_year

    class Allowed(Clocked):
        allowed_modules = ("time",)

    assert isinstance(run(Clocked).error, ProgramError)
    assert run(Allowed).heap["year"] == 1970


def test_imports_in_functions_are_those_of_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "metered_package"
    package.mkdir()
    (package / "__init__.py").write_text("NAME = 'package'\n")
    (package / "inner.py").write_text("def turns(n):\n    return [x for x in range(n)]\n")
    (package / "program.py").write_text(
        "from actors import Process\n"
        "class P(Process):\n"
        "    async def run(self):\n"
        "        from . import NAME, inner\n"
        "        from .inner import turns as many\n"
        "        import metered_package.inner\n"
        "        import collections.abc as abc, math\n"
        "        try:\n"
        "            import metered_package.absent\n"
        "        except ImportError as error:\n"
        "            self.heap['absent'] = error.name\n"
        "        self.heap['name'] = NAME\n"
        "        self.heap['n'] = len(inner.turns(50)) + len(many(50)) + len(metered_package.inner.turns(50))\n"
        "        self.heap['abc'] = isinstance((), abc.Sequence) and math.floor(1.5) == 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    ended = run(importlib.import_module("metered_package.program").P)
    assert ended.error is None
    assert dict(ended.heap.items()) == {"absent": "metered_package.absent", "name": "package", "n": 150, "abc": True}
    assert ended.used > 150


# --- steps ---


def test_code_of_a_step_that_is_over_ends_at_its_first_tick() -> None:
    made: list[Any] = []

    class Leaves(Process):
        async def run(self) -> None:
            def items() -> Any:
                try:
                    yield 1
                finally:
                    while True:
                        pass

            one = items()
            next(one)
            made.append(one)

    run(Leaves)
    with pytest.raises(Exhausted):
        made[0].close()


def test_a_coroutine_is_closed_on_an_empty_meter() -> None:
    class Asks(Process):
        async def run(self) -> None:
            try:
                await self.ret()
            finally:
                while True:
                    pass

    instance: Any = metered(Asks)()
    instance.machine_bind(Memory(), ())
    coroutine = instance.run()
    enter(Meter(1000))
    coroutine.send(None)
    leave()
    with closing(), pytest.raises(Exhausted):
        coroutine.close()


def test_to_replay_costs_nothing_and_a_coroutine_goes_on_with_another_meter() -> None:
    class Asks(Process):
        async def run(self) -> None:
            [x + 1 for x in range(1000)]
            await self.ret()
            [x + 1 for x in range(100)]
            await self.ret()
            for _ in itertools.islice(itertools.count(), 10):
                pass

    instance: Any = metered(Asks)()
    instance.machine_bind(Memory(), ())
    coroutine = instance.run()
    with replaying(Meter(0)):
        coroutine.send(None)
    meter = Meter(GAS_MAX)
    enter(meter)
    coroutine.send(None)
    leave()
    assert 100 <= meter.used < 110
    last = Meter(GAS_MAX)
    enter(last)
    with pytest.raises(StopIteration):
        coroutine.send(None)
    leave()
    assert 20 <= last.used < 30


def deep(levels: int, do: Any) -> Any:
    return deep(levels - 1, do) if levels else do()


def test_a_stack_is_as_deep_wherever_a_step_begins_and_one_too_deep_uses_up_the_meter() -> None:
    before = sys.getrecursionlimit()

    def once() -> None:
        ended = run(Shallow)
        assert (ended.how, ended.used, len(ended.heap)) == ("out of gas", 10**7, 0)
        reached.add(len(seen))
        seen.clear()

    seen: list[int] = []
    reached: set[int] = set()

    class Shallow(Process):
        async def run(self) -> None:
            def down() -> None:
                seen.append(1)
                down()

            try:
                down()
            except RecursionError:
                self.heap["caught"] = True

    for levels in (0, 1, 30, 500, 0):
        deep(levels, once)
    thread = threading.Thread(target=once)
    thread.start()
    thread.join()
    assert reached == {DEPTH_MAX}
    assert sys.getrecursionlimit() == before


def test_steps_in_several_threads_take_turns() -> None:
    found: list[tuple[int, int]] = []

    class Works(Process):
        async def run(self) -> None:
            total = 0
            for i in range(self.heap["n"]):
                total += i
            self.heap["total"] = total

    def work(n: int) -> None:
        for _ in range(20):
            ended = run(Works, heap={"n": n})
            found.append((n, ended.used - base[n]))

    base = {n: run(Works, heap={"n": n}).used for n in (100, 200, 300)}
    threads = [threading.Thread(target=work, args=(n,)) for n in base]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 60
    assert {more for _, more in found} == {0}


def test_shared_code_that_another_thread_calls_ticks_on_no_meter_of_this_one() -> None:
    several_threads()
    stop = threading.Event()

    class Adds(Process):
        async def run(self) -> None:
            money = Money(0)
            for _ in range(2000):
                money += Money(1)
            self.heap["amount"] = money.amount

    def meanwhile() -> None:
        while not stop.is_set():
            Money(100).split(7)

    alone = run(Adds).used
    thread = threading.Thread(target=meanwhile)
    thread.start()
    try:
        found = {run(Adds).used for _ in range(20)}
    finally:
        stop.set()
        thread.join()
    assert found == {alone}


def test_garbage_is_not_collected_in_a_step_and_is_behind_it() -> None:
    class Loops:
        pass

    class Litters(Process):
        async def run(self) -> None:
            for _ in range(3000):
                one: Any = Loops()
                one.me = one

    meters: list[Any] = []

    def note(phase: str, info: dict[str, int]) -> None:
        meters.append(step._state.meter)

    gc.collect()
    gc.callbacks.append(note)
    thresholds = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    try:
        assert run(Litters).how == "returned"
        assert gc.isenabled()
        found = [[one] for one in range(1000)]
    finally:
        gc.callbacks.remove(note)
        gc.set_threshold(*thresholds)
    assert found and meters and set(meters) == {None}


def test_outside_of_steps_no_meter_is_left() -> None:
    assert step._state.meter is None
    assert next(step._relay) is True


# --- elsewhere ---


SCRIPT = """
import sys
from actors import Process

times = []

class Item:
    def __init__(self, n):
        self.n = n

    def double(self):
        for _ in range(3):
            self.n += 0
        return self.n * 2

def helper(n):
    return [Item(x).double() for x in range(n)]

class Main(Process):
    async def run(self):
        self.heap["n"] = len(helper(20))

times.append(1)
if __name__ == "__main__":
    sys.path.insert(0, {tests!r})
    from metered_run import run
    ended = run(Main)
    assert ended.heap["n"] == 20, ended
    assert times == [1]
    print(ended.used)
    if len(sys.argv) > 1:
        import cloudpickle, json
        from runtime.metering import sources_of
        with open(sys.argv[1], "wb") as file:
            cloudpickle.dump((Main, sources_of(Main)), file)
"""

READER = """
import sys, pickle
sys.path.insert(0, {tests!r})
from metered_run import run
from runtime.metering import adopt_sources
with open(sys.argv[1], "rb") as file:
    program, sources = pickle.load(file)
adopt_sources(sources)
print(run(program).used)
"""


def said(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_program_of_the_main_script_is_metered_there_and_where_it_is_sent_to(tmp_path: Path) -> None:
    tests = str(Path(__file__).parent)
    script, reader, sent = tmp_path / "script.py", tmp_path / "reader.py", tmp_path / "sent"
    script.write_text(SCRIPT.format(tests=tests))
    reader.write_text(READER.format(tests=tests))
    used = said(str(script), str(sent))
    assert int(used) > 20
    # The script itself is gone where it is read.
    script.unlink()
    assert said(str(reader), str(sent)) == used


def test_the_sources_of_a_program_are_all_files_that_its_code_is_from() -> None:
    assert set(sources_of(Teller)) == {__file__, metered_values.__file__}


def test_dataclasses_and_classes_made_in_run_are_metered() -> None:
    class Makes(Process):
        async def run(self) -> None:
            @dataclasses.dataclass
            class Here:
                x: int
                y: int = 0

                def __post_init__(self) -> None:
                    for _ in range(100):
                        self.y += 1

            self.heap["y"] = Here(1).y

    ended = run(Makes)
    assert ended.heap["y"] == 100
    assert ended.used > 100
