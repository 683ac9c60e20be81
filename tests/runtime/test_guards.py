"""Guards: what reaches outside is refused inside a process, wherever it runs, and passes everywhere else.

"Python code of children is metered and guarded against *mistakes* (clock, randomness, files, sockets, threads, hash
order)." (DESIGN.md, "Trust")
"""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import gc
import inspect
import io
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
import warnings
from pathlib import Path
from time import time as now
from typing import TYPE_CHECKING, Any, ClassVar

import guarded_programs
import pytest
from guarded_programs import (
    EXPECTED,
    REFUSED,
    Beginning,
    Drawing,
    FailingRoot,
    Importing,
    Lifting,
    Parent,
    TryingRoot,
)

import runtime
from actors import BlockFailed, GuardRefused, Process, ProgramError, Root
from actors.guards import GUARDS
from runtime import guards
from runtime.guards import table

if TYPE_CHECKING:
    from collections.abc import Callable


async def data_of(top: type[Root], inputs: Any = None, **how: Any) -> Any:
    async with runtime.Runtime(top, **{"workers": 0, **how}) as rt:
        block = await rt.advance(inputs)
        assert await rt.verify() == 1
        return block.data


def plain(value: Any) -> Any:
    """Return a value from the heap as it was before it was frozen, as far as these tests have such."""
    if hasattr(value, "items"):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if hasattr(value, "append") and not isinstance(value, list) else value


def differing(told: Any) -> dict[str, Any]:
    found = plain(told)
    return {name: (found.get(name), one) for name, one in EXPECTED.items() if found.get(name) != one}


# --- what is refused, and where ------------------------------------------------------------------------------------


@pytest.mark.parametrize("placement", [None, "loop", "worker"])
async def test_all_that_reaches_outside_is_refused_however_a_program_came_by_it(placement: str | None) -> None:
    told = await data_of(TryingRoot, {"placement": placement}, workers=1)
    assert [differing(one) for one in told] == [{}, {}]


async def test_what_is_replayed_is_guarded_as_it_was() -> None:
    told = await data_of(TryingRoot, {"placement": "loop"}, forget=True)
    assert [differing(one) for one in told] == [{}, {}]


def test_every_guard_is_tried() -> None:
    assert {guard for _, guard, _ in REFUSED.values()} == GUARDS.keys()


def test_what_was_taken_before_the_guards_were_there_is_guarded_too() -> None:
    """In an interpreter of its own, in which the programs are loaded first."""
    script = """
import guarded_programs
import runtime

async def main():
    async with runtime.Runtime(guarded_programs.TryingRoot, workers=0) as rt:
        told, _ = (await rt.advance({"placement": None})).data
    refused = guarded_programs.REFUSED
    print(sorted((name, told[name]) for name in refused if told[name] != refused[name][1:]))

assert guarded_programs.now.__class__.__name__ == "builtin_function_or_method"
runtime.run(main)
"""
    paths = os.pathsep.join([str(Path(runtime.__file__).parent.parent), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


async def test_a_program_is_guarded_where_it_is_made_and_where_it_is_ended() -> None:
    class Top(Root):
        async def run(self) -> Any:
            await self.put("c", program=Beginning, start=True)
            made = await self.get("c", "made")
            await self.drop("c")
            return made

    guarded_programs.ended.clear()
    async with runtime.Runtime(Top, workers=0) as rt:
        assert (await rt.advance()).data == 0.0
    assert guarded_programs.ended == ["GuardRefused"]


@pytest.mark.parametrize("placement", ["loop", "worker"])
async def test_a_parent_sees_the_name_of_the_error(placement: str) -> None:
    assert await data_of(Parent, {"placement": placement}, workers=1) == "GuardRefused"


async def test_what_the_machine_itself_does_in_a_step_passes(tmp_path: Path) -> None:
    """A heap that is read lazily is read from a file, in the middle of a step."""

    class Filling(Root):
        async def run(self) -> Any:
            if self.heap["block", "fill"]:
                self.heap.update({("x", n): "a" * 100 for n in range(5_000)})
            return sum(len(value) for value in self.heap.values("x"))

    for fill in (True, False):
        async with runtime.Runtime(Filling, tmp_path / "a.db") as rt:
            assert (await rt.advance({"fill": fill})).data == 500_000


# --- the error -----------------------------------------------------------------------------------------------------


async def test_the_error_names_the_call_the_line_and_what_to_do_instead() -> None:
    async with runtime.Runtime(FailingRoot, workers=0) as rt:
        with pytest.raises(BlockFailed) as failed:
            await rt.advance()
    cause = failed.value.__cause__
    assert isinstance(cause, GuardRefused)
    assert (cause.guard, cause.call) == ("random", "uuid.uuid4()")
    line = inspect.getsourcelines(FailingRoot.run)[1] + 1
    assert cause.__notes__ == [f"uuid.uuid4() at {guarded_programs.__file__}:{line} in run"]
    assert cause.__notes__[0] in str(failed.value)
    assert str(cause).startswith("uuid.uuid4(): ")
    assert "`self.random`" in str(cause)
    assert 'lifted = ("random",)' in str(cause)


@pytest.mark.parametrize("name", GUARDS)
def test_the_text_has_nothing_of_this_machine_and_survives_a_pickle(name: str) -> None:
    error = GuardRefused(name, "f()")
    assert str(error).startswith("f(): ") and f'lifted = ("{name}",)' in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


# --- lifting -------------------------------------------------------------------------------------------------------


async def test_a_lifted_guard_passes_for_that_program_and_no_other_in_whatever_order_they_are_stepped() -> None:
    async with runtime.Runtime(Lifting, workers=0) as rt:
        told, own = (await rt.advance()).data
    lifted = ("done", "done", "GuardRefused")
    unlifted = ("GuardRefused",) * 3
    assert plain(told) == {"lifted": (lifted,) * 3, "inheriting": (lifted,) * 3, "unlifted": (unlifted,) * 3}
    assert own == "GuardRefused"


def test_an_unknown_guard_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ProgramError) as raised:
        type("Wrong", (Process,), {"lifted": ("clocks",)})
    assert str(raised.value) == "Wrong: lifted names 'clocks', and there is no such guard; did you mean \"clock\"?"
    with pytest.raises(ProgramError, match="the guards are clock, random, environment"):
        type("Wrong", (Process,), {"lifted": ("xyzzy",)})


@pytest.mark.parametrize("name", ["lifted", "allowed_modules"])
@pytest.mark.parametrize("given", ["clock", ["clock"], (1,), None])
def test_what_is_no_tuple_of_names_is_refused(name: str, given: Any) -> None:
    with pytest.raises(ProgramError, match=rf'Wrong: {name} is .*; it is a tuple of names: \("'):
        type("Wrong", (Process,), {name: given})


@pytest.mark.parametrize("placement", ["loop", "worker"])
async def test_allowed_modules_may_be_imported_with_what_is_below_and_above_them(placement: Any) -> None:
    class Top(Root):
        async def run(self) -> Any:
            await self.put("c", program=Importing, start=True, placement=placement)
            return await self.get("c", "told")

    # anyio is above anyio.abc; anyio.lowlevel is beside it, though loaded
    expected = ["done", "done", "done", "GuardRefused", "GuardRefused"]
    assert plain(await data_of(Top, workers=1)) == expected


async def test_a_module_that_is_loaded_inside_run_may_do_what_modules_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loaded_inside.py").write_text("import os, time\nAT = time.time()\nHOME = os.environ.get('HOME')\n")
    monkeypatch.syspath_prepend(tmp_path)

    class Loading(Root):
        allowed_modules = ("loaded_inside",)

        async def run(self) -> Any:
            import loaded_inside

            with pytest.raises(GuardRefused):
                loaded_inside.time.time()
            return loaded_inside.AT > 0

    assert await data_of(Loading) is True
    sys.modules.pop("loaded_inside")


# --- outside a fence -----------------------------------------------------------------------------------------------


async def test_the_callers_own_code_and_other_threads_are_not_touched() -> None:
    stop = threading.Event()
    wrong: list[BaseException] = []
    counts = [0, 0]

    def reach() -> None:
        time.time(), now(), random.random(), os.environ.get("HOME"), uuid.uuid4(), dt.datetime.now(dt.UTC), id(stop)

    def thread() -> None:
        try:
            while not stop.is_set():
                reach()
                counts[0] += 1
        except BaseException as error:
            wrong.append(error)

    async def task() -> None:
        while not stop.is_set():
            reach()
            counts[1] += 1
            await asyncio.sleep(0)

    class Busy(Root):
        async def run(self) -> Any:
            for n in range(2_000):
                await self.put("c", {"n": n})

    guards.install()
    beside = threading.Thread(target=thread)
    beside.start()
    tasks = asyncio.create_task(task())
    async with runtime.Runtime(Busy, workers=0) as rt:
        for _ in range(3):
            await rt.advance()
    reach()
    stop.set()
    await tasks
    beside.join()
    assert wrong == []
    assert all(counts)


def test_the_fence_is_down_behind_every_kind_of_step() -> None:
    async def main() -> None:
        for kind in ("fails", "returns", "awaits"):

            class Ends(Root):
                async def run(self) -> Any:
                    if kind == "fails":  # noqa: B023
                        raise LookupError
                    if kind == "awaits":  # noqa: B023
                        await asyncio.sleep(0)

            async with runtime.Runtime(Ends, workers=0) as rt:
                try:
                    await rt.advance()
                except BlockFailed:
                    assert kind != "returns"
                assert guards.here.cell.program is None

    asyncio.run(main())


def test_what_stands_in_place_of_a_function_is_taken_for_it() -> None:
    guards.install()
    for function in (time.time, random.randint, os.urandom, os.getenv, uuid.uuid4, open, id, asyncio.get_running_loop):
        assert pickle.loads(pickle.dumps(function)) is function
    assert time.time.__name__ == "time" and time.time.__doc__
    assert hash(random.random) == hash(random.random)

    class Holding:
        clock: ClassVar[Callable[[], float]] = time.time

    assert Holding().clock() > 0
    assert functools.partial(time.time)() > 0


def test_dates_are_the_dates_that_they_were() -> None:
    guards.install()
    made = dt.datetime.now(dt.UTC)
    assert type(made) is dt.datetime
    assert pickle.loads(pickle.dumps(made)) == made
    assert pickle.loads(pickle.dumps(dt.datetime.now))() >= made.replace(tzinfo=None).replace(year=2000)
    assert type(dt.date.today()) is dt.date  # noqa: DTZ011
    assert dt.datetime.fromtimestamp(0, dt.UTC).year == 1970

    class Later(dt.datetime):
        pass

    assert type(Later.now()) is Later and type(Later.today()) is Later


def test_a_warning_at_an_import_is_told_of_the_line_that_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guards.install()
    (tmp_path / "deprecated_one.py").write_text("import warnings\nwarnings.warn('old', DeprecationWarning, 2)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        import deprecated_one  # noqa: F401
    assert [Path(one.filename).name for one in seen] == [Path(__file__).name]
    sys.modules.pop("deprecated_one")


def test_what_was_installed_is_installed_once() -> None:
    guards.install()
    before = time.time, open, __import__
    guards.install()
    assert (time.time, open, __import__) == before


def test_garbage_that_is_collected_in_a_step_may_do_what_it_must() -> None:
    """Whose it is cannot be known; and nobody sees what comes of it."""
    done: list[str] = []

    class Own:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            done.append(os.environ.get("HOME", "none"))

    class Collects(Root):
        async def run(self) -> Any:
            gc.collect()

    async def main() -> None:
        async with runtime.Runtime(Collects, workers=0) as rt:
            Own()
            await rt.advance()

    asyncio.run(main())
    assert len(done) == 1


class Screen(io.StringIO):
    def write(self, text: str) -> int:
        return super().write(text if time.time() > 0 else "")


async def test_what_is_printed_comes_to_whatever_screen_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Prints(Root):
        async def run(self) -> Any:
            print("a word")

    monkeypatch.setattr(sys, "stdout", screen := Screen())
    async with runtime.Runtime(Prints, workers=0) as rt:
        await rt.advance()
    assert screen.getvalue() == "a word\n"


def test_a_signal_that_comes_in_a_step_is_handled() -> None:
    """So is what the garbage collector tells: neither is the program's doing."""
    done: list[Any] = []

    def handler(*_: Any) -> None:
        done.append(time.time())

    class Interrupted(Root):
        lifted = ("threads",)

        async def run(self) -> Any:
            signal.raise_signal(signal.SIGUSR1)
            gc.collect()
            with pytest.raises(GuardRefused):
                time.time()

    async def main() -> None:
        async with runtime.Runtime(Interrupted, workers=0) as rt:
            await rt.advance()

    before = signal.signal(signal.SIGUSR1, handler)
    gc.callbacks.append(handler)
    try:
        asyncio.run(main())
    finally:
        gc.callbacks.remove(handler)
        signal.signal(signal.SIGUSR1, before)
    assert len(done) >= 3


@pytest.mark.parametrize("dotted", sorted({*table.METHODS}))
def test_what_is_guarded_is_there(dotted: str) -> None:
    """A class or method that goes by another name in this Python would be guarded by nothing."""
    module, _, cls = dotted.rpartition(".")
    there = getattr(__import__(module, fromlist=["x"]), cls)
    assert all(name in vars(there) for name in table.METHODS[dotted])


async def test_numpys_global_generator_is_refused_and_its_seeded_ones_are_not() -> None:
    numpy = pytest.importorskip("numpy")
    seeded = int(numpy.random.default_rng(5).integers(100)), int(numpy.random.RandomState(5).randint(100))

    class Drawing(Root):
        async def run(self) -> Any:
            for call, action in {
                "numpy.random.rand()": numpy.random.rand,
                "numpy.random.seed()": lambda: numpy.random.seed(1),
                "numpy.random.default_rng()": numpy.random.default_rng,
            }.items():
                with pytest.raises(GuardRefused) as raised:
                    action()
                assert raised.value.args == ("random", call)
            return int(numpy.random.default_rng(5).integers(100)), int(numpy.random.RandomState(5).randint(100))

    assert await data_of(Drawing) == seeded


# --- self.random ---------------------------------------------------------------------------------------------------


async def drawn(store: Path | None, *, reopen: bool = False, placement: str = "loop", **how: Any) -> list[Any]:
    """Make blocks in which processes draw, for the first time before the first stop or behind it."""
    made: list[Any] = []
    inputs = [{"noise": n, "placement": placement} for n in range(4)]
    for part in [[one] for one in inputs] if reopen else [inputs]:
        async with runtime.Runtime(Drawing, store, **how) as rt:
            made += [plain((await rt.advance(one)).data) for one in part]
            await rt.verify()
    return made


async def test_what_is_drawn_follows_from_the_path_and_the_heap_at_the_top_of_run(tmp_path: Path) -> None:
    """… the same in a live coroutine, behind a restart, in a replay, and on a worker."""
    first = await drawn(None, workers=0)
    assert await drawn(tmp_path / "a.db", workers=0) == first
    assert await drawn(tmp_path / "b.db", workers=0, reopen=True) == first
    assert await drawn(None, workers=0, forget=True) == first
    on_worker = await drawn(tmp_path / "c.db", workers=1, placement="worker")
    assert await drawn(tmp_path / "d.db", workers=1, placement="worker", reopen=True) == on_worker
    assert [one[0] for one in on_worker] == [one[0] for one in first]


async def test_another_process_draws_other_numbers_and_so_does_another_heap() -> None:
    blocks = await drawn(None, workers=0)
    last = blocks[-1][0]
    assert [len(one) for one in last] == [4, 3, 2, 1]
    every = [number for one in last for number in one] + [own for _, own in blocks]
    assert len(set(every)) == len(every)


async def test_an_activation_that_begins_on_the_same_heap_draws_the_same() -> None:
    class Fails(Process):
        async def run(self) -> None:
            drew.append(self.random.random())
            raise LookupError

    class Top(Root):
        async def run(self) -> None:
            for _ in range(2):
                await self.put("c", {"x": 1}, program=Fails, start=True)
                await self.status("c")

    drew: list[float] = []
    async with runtime.Runtime(Top, workers=0) as rt:
        await rt.advance()
    assert drew[0] == drew[1] and len(drew) == 2


def test_what_a_library_written_in_c_imports_for_itself_passes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SUMMING], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert (done.returncode, done.stdout.strip()) == (0, "6.0"), done.stderr


_SUMMING = """
import asyncio
import importlib.util
if importlib.util.find_spec("numpy") is None:
    print("6.0")
    raise SystemExit
import numpy
import runtime
from actors import Root

class Summing(Root):
    async def run(self):
        numpy.seterr(over="raise")
        numpy.set_printoptions(precision=3)
        return float(numpy.arange(4.0).sum())

async def main():
    async with runtime.Runtime(Summing, workers=0) as rt:
        print((await rt.advance({})).data)

asyncio.run(main())
"""
