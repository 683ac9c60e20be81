"""An import that is stopped at any write goes on to the same store; an export that is stopped leaves no half of a file.

The disk that fails is that of test_crash.py, with three calls more; what happens to it happens here to the exporting and
importing processes of crash_importer.py. After each, a fresh process looks at what is left and does it again.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import crash_importer
import pytest
from crash_importer import BLOCK, CHUNK_BYTES
from crash_writer import GENESIS, Ledger
from streams import chunks_in, chunks_of
from test_crash import BROKEN, DISK_FAULTS, MODES, NO_SPACE, Nursery

import runtime
from runtime import Runtime, export_block, import_block

if TYPE_CHECKING:
    from collections.abc import Iterator

LAST = BLOCK + 3

LINKS = r"""
static int name_with(const char *of, long call, const char *from, const char *to) {
    int then = GO_ON;
    if ((is_ours(from) || is_ours(to)) && (then = turn()) == FAIL) return -1;
    int result = call == SYS_linkat ? syscall(call, AT_FDCWD, from, AT_FDCWD, to, 0)
                                    : syscall(call, AT_FDCWD, from, AT_FDCWD, to);
    if (then == STOP) stop();
    return result;
}
int link(const char *from, const char *to) { return name_with("link", SYS_linkat, from, to); }
int rename(const char *from, const char *to) { return name_with("rename", SYS_renameat, from, to); }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("a disk that fails is made with a C compiler and LD_PRELOAD, on Linux")
    place = tmp_path_factory.mktemp("disk_faults")
    source, made = place / "disk_faults.c", place / "disk_faults.so"
    source.write_text(DISK_FAULTS + LINKS)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-o", made, source], check=True)
    return made


@pytest.fixture(scope="module")
def nurseries(library: Path) -> Iterator[list[Nursery]]:
    made = [Nursery(library, Path(crash_importer.__file__)) for _ in range(max(2, min(8, os.cpu_count() or 1)))]
    yield made
    for one in made:
        one.close()


class Given:
    """A store, an export of one of its blocks, and what an import that nothing stops makes of it."""

    def __init__(self, place: Path) -> None:
        self.source = place / "source.db"
        self.export = place / "right.export"
        self.reference = place / "reference.db"

        async def main() -> None:
            async with Runtime(Ledger, self.source, genesis=GENESIS) as rt:
                for number in range(1, LAST + 1):
                    await rt.advance({"number": number})

        runtime.run(main)
        with pytest.MonkeyPatch.context() as patch:
            chunks_of(patch, CHUNK_BYTES)
            export_block(self.source, BLOCK, self.export)
            import_block(self.export, self.reference)
        assert len(chunks_in(self.export.read_bytes())) > 5


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    return Given(tmp_path_factory.mktemp("given"))


class Scene:
    """One export or import, and all that was said of it."""

    def __init__(self, nursery: Nursery, given: Given, place: Path, what: str) -> None:
        self.nursery = nursery
        self.place = place
        self.path = place / ("state.db" if what == "import" else "out.export")
        self.out = place / "said"
        place.mkdir(exist_ok=True)
        self.job: dict[str, Any] = {
            "what": what,
            "path": str(self.path),
            "source": str(given.source),
            "export": str(given.export),
            "reference": str(given.reference),
            "out": str(self.out),
            "last": LAST,
        }

    def begin(self, do: str, fault: dict[str, Any] | None = None) -> int:
        return self.nursery.begin({**self.job, "do": do, "fault": fault})

    def do(self, do: str, fault: dict[str, Any] | None = None) -> int:
        self.begin(do, fault)
        return self.nursery.end()

    def said(self) -> str:
        return self.out.read_text()

    def check(self, story: str) -> None:
        code = self.do("check")
        assert (code, self.said().splitlines()[-1]) == (0, "whole"), f"{story}:\n{self.said()}"


def calls_of(nursery: Nursery, given: Given, place: Path, what: str) -> int:
    scene = Scene(nursery, given, place, what)
    assert scene.do("carry", {"name": scene.path.name, "at": 0, "mode": 0, "lasts": False, "seed": 0}) == 0
    assert "done" in scene.said(), scene.said()
    scene.check(what)
    return int(next(line for line in scene.said().splitlines() if line.startswith("calls")).split()[1])


def fail_at(nursery: Nursery, given: Given, place: Path, what: str, name: str, call: int) -> None:
    mode = MODES[name]
    scene = Scene(nursery, given, place, what)
    seed = call if mode.some else 0
    fault = {"name": scene.path.name, "at": call, "mode": mode.what, "lasts": mode.lasts, "seed": seed}
    code = scene.do("carry", fault)
    story = f"{what}, {name}, call {call}:\n{scene.said()}"
    if mode.what in (NO_SPACE, BROKEN):
        # It was told in words that name the file, or what failed was not needed.
        assert code == 0, story
        faults = [line for line in scene.said().splitlines() if line.startswith("fault")]
        assert len(faults) <= 1, story
        assert all(str(scene.path) in line for line in faults), story
        if what == "export" and faults and not mode.lasts:  # as long as it lasts, nothing can be removed either
            assert os.listdir(scene.place) == ["said"], story
    else:
        assert code == 137, story
    scene.check(story)
    shutil.rmtree(place)


def fail_at_each(nurseries: list[Nursery], given: Given, place: Path, cases: list[tuple[str, str, int]]) -> None:
    free = list(nurseries)

    def one(index: int) -> str | None:
        nursery = free.pop()
        try:
            fail_at(nursery, given, place / str(index), *cases[index])
        except AssertionError as error:
            return str(error)
        finally:
            free.append(nursery)
        return None

    with ThreadPoolExecutor(len(nurseries)) as threads:
        failed = [told for told in threads.map(one, range(len(cases))) if told is not None]
    assert not failed, f"{len(failed)} of {len(cases)}:\n" + "\n".join(failed[:3])


@pytest.mark.parametrize("what", ["export", "import"])
def test_a_disk_that_fails_leaves_nothing_half(
    nurseries: list[Nursery], given: Given, tmp_path: Path, what: str
) -> None:
    calls = calls_of(nurseries[0], given, tmp_path / "count", what)
    chance = random.Random(3)
    last = range(calls - 6, calls + 1)  # where names change
    picked = {name: {*chance.sample(range(1, calls + 1), 4), *chance.sample(last, 2)} for name in MODES}
    fail_at_each(nurseries, given, tmp_path, [(what, name, call) for name in MODES for call in sorted(picked[name])])


@pytest.mark.long
@pytest.mark.parametrize("name", MODES)
def test_a_disk_that_fails_at_any_call_leaves_nothing_half(
    nurseries: list[Nursery], given: Given, tmp_path: Path, name: str
) -> None:
    cases = []
    for what in ("export", "import"):
        calls = calls_of(nurseries[0], given, tmp_path / f"count {what}", what)
        cases += [(what, name, call) for call in range(1, calls + 1)]
    fail_at_each(nurseries, given, tmp_path, cases)


def kill_again_and_again(nursery: Nursery, given: Given, place: Path, kills: int, seed: int) -> None:
    """The same import, killed again and again, comes through in the end."""
    chance = random.Random(seed)
    scene, done, stores = None, 0, 0
    while done < kills:
        if scene is None:
            stores += 1
            scene = Scene(nursery, given, place / f"store {stores}", "import")
        process = scene.begin("carry")
        time.sleep(0.06 * chance.random())
        os.kill(process, signal.SIGKILL)
        code = nursery.end()
        assert code in (0, -signal.SIGKILL), scene.said()
        done += code != 0
        if code == 0 or scene.path.exists() or chance.random() < 0.05:
            scene.check(f"kill {done}")
            scene = None
    if scene is not None:
        scene.check("the last")


def test_an_import_that_is_killed_goes_on(nurseries: list[Nursery], given: Given, tmp_path: Path) -> None:
    kill_again_and_again(nurseries[0], given, tmp_path, 15, seed=1)


@pytest.mark.long
def test_an_import_that_is_killed_two_hundred_times_goes_on(
    nurseries: list[Nursery], given: Given, tmp_path: Path
) -> None:
    kill_again_and_again(nurseries[0], given, tmp_path, 200, seed=2)
