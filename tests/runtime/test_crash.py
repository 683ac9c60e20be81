"""A block is there whole or not at all, at every kill point; what was said to be committed stays; the runtime goes on.

A writer (crash_writer.py) makes the blocks of one program on one store and says each that is committed. It is stopped

- by SIGKILL at any moment,
- by a disk that fails at one call: the library below stands between SQLite and the C library, counts the calls that
  change the store's files, and at one of them ends the process, tears the write, cuts the power, or returns an error,
- by a full disk and by a limit on the size of files,
- by cancellation and by SIGINT.

After each, a fresh process opens the store and compares it with an undisturbed run. The short version takes samples.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import crash_writer
import pytest
from crash_writer import GENESIS, Ledger, read_whole, undisturbed

import runtime
import runtime.driver
from actors import StoreError
from runtime import MemoryStore, Runtime, SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runtime.store import Commit

WRITER = Path(crash_writer.__file__)

#: Blocks that a run with a fault makes: with creation and two checkpoints, some 230 calls.
BLOCKS = 6

# --- the disk that fails ---------------------------------------------------------------------------------------------

DISK_FAULTS = r"""
/* Stands between SQLite and the C library. Calls that change a file whose name begins with `name` are counted; at
 * number `at` the disk does what `mode` says. Creation and removal of a file are taken to be durable at once.
 *
 *   KILL     the process ends before the call
 *   TEAR     ... after half of the write; after the whole call, where it is no write
 *   POWER    ... and of the writes that no sync of their file has followed, any may be lost: which, `seed` says
 *   NO_SPACE the call fails with ENOSPC, and so do all later ones if it `lasts`, until disk_faults_over()
 *   BROKEN   the same with EIO
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NONE, KILL, TEAR, POWER, NO_SPACE, BROKEN };
enum { GO_ON, STOP, FAIL };

static char name[256];
static long at;
static int mode, lasts, over;
static unsigned seed;
long disk_faults_seen;

/* What was done to a file since its last sync, to be undone. */
struct change {
    char path[PATH_MAX];
    ino_t file;
    off_t begin, length; /* where; how long the file was */
    size_t size, had;    /* of `now` (a truncation has none), of `before` */
    char *now, *before;
};
static struct change *changes;
static size_t known, room;

void disk_faults_arm(const char *of, long call, int what, int lasting, unsigned chance) {
    snprintf(name, sizeof name, "%s", of);
    at = call, mode = what, lasts = lasting, seed = chance, over = 0, disk_faults_seen = 0;
}

void disk_faults_over(void) { over = 1; }

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    path[size < 0 ? 0 : size] = 0;
    return size > 0;
}

static int is_ours(const char *path) {
    const char *base = strrchr(path, '/');
    return name[0] && strncmp(base ? base + 1 : path, name, strlen(name)) == 0;
}

static int turn(void) {
    disk_faults_seen++;
    if (over || mode == NONE || disk_faults_seen < at || (disk_faults_seen > at && !lasts)) return GO_ON;
    if (mode == KILL) _exit(137);
    if (mode == NO_SPACE || mode == BROKEN) {
        errno = mode == BROKEN ? EIO : ENOSPC;
        return FAIL;
    }
    return STOP;
}

static void note(int fd, const char *path, const void *data, size_t size, off_t begin) {
    struct stat st;
    if (mode != POWER || fstat(fd, &st)) return;
    if (known == room) changes = realloc(changes, (room = 2 * room + 64) * sizeof *changes);
    struct change *c = &changes[known++];
    strcpy(c->path, path);
    c->file = st.st_ino, c->begin = begin, c->length = st.st_size, c->size = size, c->now = NULL;
    c->had = st.st_size <= begin ? 0 : (size_t)(st.st_size - begin);
    if (data && c->had > size) c->had = size;
    c->before = malloc(c->had + 1);
    if (c->had) syscall(SYS_pread64, fd, c->before, c->had, begin);
    if (data) c->now = memcpy(malloc(size + 1), data, size);
}

static void synced(int fd) {
    struct stat st;
    size_t kept = 0;
    if (mode != POWER || fstat(fd, &st)) return;
    for (size_t i = 0; i < known; i++) {
        if (changes[i].file == st.st_ino) free(changes[i].now), free(changes[i].before);
        else changes[kept++] = changes[i];
    }
    known = kept;
}

/* Undo everything that is not synced, the last first; then do some of it again, in order. */
static void cut_power(void) {
    struct stat st;
    for (size_t i = 2 * known; i-- > 0;) {
        struct change *c = &changes[i >= known ? i - known : known - 1 - i];
        int undo = i >= known, fd = open(c->path, O_RDWR);
        if (fd < 0) continue;
        if (fstat(fd, &st) == 0 && st.st_ino == c->file) {
            if (undo) {
                if (c->had) syscall(SYS_pwrite64, fd, c->before, c->had, c->begin);
                syscall(SYS_ftruncate, fd, c->length);
            } else if (seed && rand_r(&seed) & 1) {
                if (c->now) syscall(SYS_pwrite64, fd, c->now, c->size, c->begin);
                else syscall(SYS_ftruncate, fd, c->begin);
            }
        }
        syscall(SYS_close, fd);
    }
}

static void stop(void) {
    if (mode == POWER) cut_power();
    _exit(137);
}

static ssize_t put(int fd, const void *data, size_t size, off_t begin, int moves) {
    char path[PATH_MAX];
    if (path_of(fd, path) && is_ours(path)) {
        int then = turn();
        if (then == FAIL) return -1;
        note(fd, path, data, size, moves ? lseek(fd, 0, SEEK_CUR) : begin);
        if (then == STOP) {
            if (moves) syscall(SYS_write, fd, data, (size + 1) / 2);
            else syscall(SYS_pwrite64, fd, data, (size + 1) / 2, begin);
            stop();
        }
    }
    return moves ? syscall(SYS_write, fd, data, size) : syscall(SYS_pwrite64, fd, data, size, begin);
}

static int sync_with(long call, int fd) {
    char path[PATH_MAX];
    if (!path_of(fd, path) || !is_ours(path)) return syscall(call, fd);
    int then = turn();
    if (then == FAIL) return -1;
    if (then == STOP && mode == POWER) stop();
    int result = syscall(call, fd);
    synced(fd);
    if (then == STOP) stop();
    return result;
}

static int cut(int fd, off_t length) {
    char path[PATH_MAX];
    int then = GO_ON;
    if (path_of(fd, path) && is_ours(path)) {
        if ((then = turn()) == FAIL) return -1;
        note(fd, path, NULL, 0, length);
    }
    int result = syscall(SYS_ftruncate, fd, length);
    if (then == STOP) stop();
    return result;
}

ssize_t write(int fd, const void *data, size_t size) { return put(fd, data, size, 0, 1); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t begin) { return put(fd, data, size, begin, 0); }
ssize_t pwrite64(int fd, const void *data, size_t size, off_t begin) { return put(fd, data, size, begin, 0); }
int ftruncate(int fd, off_t length) { return cut(fd, length); }
int ftruncate64(int fd, off_t length) { return cut(fd, length); }
int fsync(int fd) { return sync_with(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_with(SYS_fdatasync, fd); }

/* SQLite uses none of these on its files; if that changes, the tests are to fail rather than see nothing. */
static void refuse(int fd) {
    char path[PATH_MAX];
    if (path_of(fd, path) && is_ours(path)) abort();
}
ssize_t writev(int fd, const struct iovec *parts, int count) { return refuse(fd), syscall(SYS_writev, fd, parts, count); }
int fallocate(int fd, int how, off_t begin, off_t size) {
    return refuse(fd), syscall(SYS_fallocate, fd, how, begin, size);
}

int unlink(const char *path) {
    int then = GO_ON;
    if (is_ours(path) && (then = turn()) == FAIL) return -1;
    int result = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (then == STOP) stop();
    return result;
}
"""

KILL, TEAR, POWER, NO_SPACE, BROKEN = range(1, 6)


class Mode(NamedTuple):
    """One way in which a disk fails."""

    what: int
    #: For an error: whether it is there until it is noticed.
    lasts: bool = False
    #: For a loss of power: whether all that was not synced is lost, or some of it.
    some: bool = False


MODES = {
    "killed before the call": Mode(KILL),
    "killed in the middle of the call": Mode(TEAR),
    "power cut, all unsynced writes lost": Mode(POWER),
    "power cut, some unsynced writes lost": Mode(POWER, some=True),
    "one call finds no space": Mode(NO_SPACE),
    "no space until it is noticed": Mode(NO_SPACE, lasts=True),
    "one call fails": Mode(BROKEN),
    "calls fail until it is noticed": Mode(BROKEN, lasts=True),
}


@pytest.fixture(scope="session")
def disk_faults(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library, compiled."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("a disk that fails is made with a C compiler and LD_PRELOAD, on Linux")
    place = tmp_path_factory.mktemp("disk_faults")
    source, library = place / "disk_faults.c", place / "disk_faults.so"
    source.write_text(DISK_FAULTS)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-Wall", "-o", library, source], check=True)
    return library


# --- the writer ------------------------------------------------------------------------------------------------------


class Nursery:
    """A process that forks a writer, or a checker, for each job (see crash_writer.py)."""

    def __init__(self, library: Path | None = None, script: Path = WRITER) -> None:
        extra = {} if library is None else {"LD_PRELOAD": str(library)}
        self.process = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **extra},
        )

    def begin(self, job: dict[str, Any]) -> int:
        """Begin a job. Returns the number of its process."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return self._number("begun")

    def end(self) -> int:
        """Wait for the job's end. Returns how its process ended."""
        return self._number("ended")

    def _number(self, word: str) -> int:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith(word), f"the nursery said {line!r}"
        return int(line.split()[1])

    def close(self) -> None:
        self.process.communicate()


class Play(NamedTuple):
    """What a writer is to do."""

    do: str = "write"
    #: Up to which block it writes, or whoever goes on behind it.
    last: int = BLOCKS
    #: Prune: so many blocks stay.
    keep: int | None = None
    #: The store on which it begins, and its blocks beside the chain: numbers and hashes.
    store: Path | None = None
    branches: tuple[tuple[int, str], ...] = ()


class Scene:
    """One store, its writers, and all that they said."""

    def __init__(self, nursery: Nursery, place: Path, play: Play = Play()) -> None:  # noqa: B008
        self.nursery = nursery
        self.place = place
        self.path = place / "state.db"
        self.out = place / "out"
        self.play = play
        place.mkdir(exist_ok=True)
        self.out.write_text("")
        if play.store is not None:
            shutil.copy(play.store, self.path)

    def job(self, do: str, **more: Any) -> dict[str, Any]:
        play = self.play
        job = {"do": do, "path": str(self.path), "last": play.last, "out": str(self.out)}
        return {**job, "keep": play.keep, "branches": play.branches, **more}

    def begin(self) -> int:
        return self.nursery.begin(self.job(self.play.do, fault=None, limit=None, leave=False))

    def write(self, fault: dict[str, Any] | None = None, *, limit: int | None = None, leave: bool = False) -> int:
        self.nursery.begin(self.job(self.play.do, fault=fault, limit=limit, leave=leave))
        return self.nursery.end()

    def said(self) -> dict[str, str]:
        """The hashes of the blocks that some writer said were committed, by number."""
        lines = [line.split() for line in self.out.read_text().splitlines()]
        return {words[1]: words[2] for words in lines if words[:1] == ["block"] and len(words) == 3}

    def told(self, what: str) -> list[str]:
        return [line for line in self.out.read_text().splitlines() if line.startswith(what + " ")]

    def check(self) -> None:
        """Let a fresh process look at the store, and go on with it to the last block."""
        self.nursery.begin(self.job("check", said=self.said()))
        code = self.nursery.end()
        assert (code, self.out.read_text().splitlines()[-1]) == (0, "whole"), self.out.read_text()


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.fixture(scope="module")
def nurseries(disk_faults: Path) -> Iterator[list[Nursery]]:
    """As many as there are processors to have their children run at the same time, with disks that fail."""
    made = [Nursery(disk_faults) for _ in range(max(2, min(8, os.cpu_count() or 1)))]
    yield made
    for one in made:
        one.close()


# --- killed at any moment --------------------------------------------------------------------------------------------


def kill_again_and_again(nursery: Nursery, place: Path, kills: int, seed: int, keep: int | None = None) -> None:
    chance = random.Random(seed)
    done, scene = 0, None
    while done < kills:
        if scene is None:
            scene = Scene(nursery, place / f"store {done}", Play(last=60, keep=keep))
        process = scene.begin()
        # Where in its work this finds the writer is not in our hands; that it is everywhere, over many kills, is enough.
        time.sleep(chance.choice((0.01, 0.05, 0.2)) * chance.random())
        os.kill(process, signal.SIGKILL)
        code = nursery.end()
        assert code in (0, -signal.SIGKILL), scene.out.read_text()
        done += code != 0
        if code == 0 or chance.random() < 0.1:
            scene.check()
            scene = None
    if scene is not None:
        scene.check()


def test_a_writer_that_is_killed_leaves_whole_blocks(nursery: Nursery, tmp_path: Path) -> None:
    kill_again_and_again(nursery, tmp_path, 15, seed=1)


def test_a_writer_that_prunes_as_it_goes_and_is_killed_leaves_whole_blocks(nursery: Nursery, tmp_path: Path) -> None:
    kill_again_and_again(nursery, tmp_path, 15, seed=4, keep=3)


@pytest.mark.long
def test_a_writer_that_prunes_as_it_goes_and_is_killed_two_hundred_times_leaves_whole_blocks(
    nursery: Nursery, tmp_path: Path
) -> None:
    kill_again_and_again(nursery, tmp_path, 200, seed=5, keep=3)


@pytest.mark.long
def test_a_writer_that_is_killed_two_hundred_times_leaves_whole_blocks(nursery: Nursery, tmp_path: Path) -> None:
    kill_again_and_again(nursery, tmp_path, 200, seed=2)


# --- a disk that fails at one call -----------------------------------------------------------------------------------


def calls_of(nursery: Nursery, place: Path, play: Play = Play()) -> int:  # noqa: B008
    scene = Scene(nursery, place, play)
    assert scene.write({"name": "state.db", "at": 0, "mode": 0, "lasts": False, "seed": 0}) == 0
    scene.check()
    return int(scene.told("calls")[0].split()[1])


def fail_at(nursery: Nursery, place: Path, name: str, call: int, play: Play) -> None:
    """Let the disk fail in one way at one call, and look at what is left."""
    mode = MODES[name]
    scene = Scene(nursery, place, play)
    seed = call if mode.some else 0
    fault = {"name": "state.db", "at": call, "mode": mode.what, "lasts": mode.lasts, "seed": seed}
    # A writer that is told of it goes on at every other call, and at the others leaves by the error and comes back.
    code = scene.write(fault, leave=call % 2 == 0)
    story = f"{name}, call {call}:\n{scene.out.read_text()}"
    if mode.what in (NO_SPACE, BROKEN):
        # The writer has checked that its head stayed. It was told at most once, in words that name the store.
        assert code == 0, story
        told = scene.told("fault")
        assert len(told) <= 1, story
        assert all(str(scene.path) in line for line in told + scene.told("left")), story
        assert scene.told("pruned") if play.do == "prune" else str(play.last) in scene.said(), story
    else:
        assert code == 137, story
    try:
        scene.check()
    except AssertionError as error:
        raise AssertionError(f"{name}, call {call}: {error}") from None
    shutil.rmtree(place)


def fail_at_each(
    nurseries: list[Nursery],
    place: Path,
    cases: list[tuple[str, int]],
    play: Play = Play(),  # noqa: B008
) -> None:
    free = list(nurseries)

    def one(index: int) -> str | None:
        nursery = free.pop()
        try:
            fail_at(nursery, place / str(index), *cases[index], play)
        except AssertionError as error:
            return str(error)
        finally:
            free.append(nursery)
        return None

    with ThreadPoolExecutor(len(nurseries)) as threads:
        failed = [told for told in threads.map(one, range(len(cases))) if told is not None]
    assert not failed, f"{len(failed)} of {len(cases)}:\n" + "\n".join(failed[:3])


def test_a_disk_that_fails_leaves_whole_blocks(nurseries: list[Nursery], tmp_path: Path) -> None:
    calls = calls_of(nurseries[0], tmp_path / "count")
    chance = random.Random(3)
    cases = [(name, call) for name in MODES for call in chance.sample(range(1, calls - 5), 6)]
    fail_at_each(nurseries, tmp_path, cases)


@pytest.mark.long
@pytest.mark.parametrize("name", MODES)
def test_a_disk_that_fails_at_any_call_leaves_whole_blocks(nurseries: list[Nursery], tmp_path: Path, name: str) -> None:
    calls = calls_of(nurseries[0], tmp_path / "count")
    fail_at_each(nurseries, tmp_path, [(name, call) for call in range(1, calls + 1)])


# --- while it prunes -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plays(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Play]:
    """A store of ten blocks with a branch of two beside them is pruned; one of eight is gone on with and pruned meanwhile.

    The branch leaves the chain below the first block that is kept, and has one block above that.
    """
    place = tmp_path_factory.mktemp("pruned")

    async def write(path: Path, numbers: range, branch: tuple[int, ...] = ()) -> tuple[tuple[int, str], ...]:
        beside: list[runtime.Block] = []
        async with Runtime(Ledger, path, genesis=GENESIS) as rt:
            for number in numbers:
                if number == 6 and branch:
                    beside = [await rt.advance({"number": other}) for other in branch]
                    await rt.revert(5)
                await rt.advance({"number": number})
        return tuple((block.number, block.hash.hex()) for block in beside)

    branches = asyncio.run(write(place / "prune.db", range(1, 11), (30, 31)))
    asyncio.run(write(place / "run.db", range(1, 9)))
    return {
        "prune": Play("prune", last=12, keep=4, store=place / "prune.db", branches=branches),
        "run": Play("write", last=16, keep=3, store=place / "run.db"),
    }


@pytest.mark.parametrize("play", ["prune", "run"])
def test_a_disk_that_fails_while_it_is_pruned_leaves_kept_blocks_whole(
    nurseries: list[Nursery], tmp_path: Path, plays: dict[str, Play], play: str
) -> None:
    calls = calls_of(nurseries[0], tmp_path / "count", plays[play])
    chance = random.Random(6)
    cases = [(name, call) for name in MODES for call in chance.sample(range(1, calls - 5), 4)]
    fail_at_each(nurseries, tmp_path, cases, plays[play])


@pytest.mark.long
@pytest.mark.parametrize("play", ["prune", "run"])
@pytest.mark.parametrize("name", MODES)
def test_a_disk_that_fails_at_any_call_while_it_is_pruned_leaves_kept_blocks_whole(
    nurseries: list[Nursery], tmp_path: Path, plays: dict[str, Play], play: str, name: str
) -> None:
    calls = calls_of(nurseries[0], tmp_path / "count", plays[play])
    # In the other ways, of a run's many calls a sample; the calls of a run that does not prune are tried one by one above.
    every = 1 if MODES[name].what == KILL or play == "prune" else 3
    fail_at_each(nurseries, tmp_path, [(name, call) for call in range(1, calls + 1, every)], plays[play])


# --- full disks and limits -------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can only be mounted by one who may mount")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


async def test_a_disk_that_is_full_in_fact_stops_nothing_but_the_block(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(600_000))
    expected = await undisturbed(200)
    path = small_disk / "state.db"
    async with Runtime(Ledger, path, genesis=GENESIS) as rt:
        for _ in range(2):
            with pytest.raises(StoreError, match="full") as caught:
                while rt.head.number < 200:
                    head = rt.head
                    await rt.advance({"number": head.number + 1})
            assert str(path) in str(caught.value)
            assert rt.head is head
            with pytest.raises(StoreError, match="full"):
                await rt.advance({"number": head.number + 1})
            ballast.write_bytes(bytes(ballast.stat().st_size // 2))
            await rt.advance({"number": head.number + 1})
        last = rt.head.number
        assert rt.head.hash.hex() == expected[last][0]
    ballast.unlink()
    async with Runtime(Ledger, path) as rt:
        assert rt.head.number == last
        assert [block.hash.hex() for block in rt.blocks()] == [made for made, _ in expected[: last + 1]]
        read_whole(path, range(last + 1))


async def test_a_store_that_finds_no_room_to_begin_can_begin_later(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    path = small_disk / "state.db"
    for room in (0, 4096, 8192, 40_000, 48_000, 60_000):
        ballast.write_bytes(bytes((1 << 20) - room))
        with pytest.raises(StoreError, match=str(path)):
            async with Runtime(Ledger, path, genesis=GENESIS) as rt:
                while True:
                    await rt.advance({"number": rt.head.number + 1})
        ballast.unlink()
        async with Runtime(Ledger, path, genesis=GENESIS) as rt:
            last = rt.head.number + 1
            await rt.advance({"number": last})
            assert rt.head.hash.hex() == (await undisturbed(last))[last][0]
        path.unlink()


@pytest.mark.parametrize("size", [1000, 5000, 20_000, 60_000, 200_000])
def test_a_limit_on_the_size_of_files_stops_nothing_but_the_block(nursery: Nursery, tmp_path: Path, size: int) -> None:
    scene = Scene(nursery, tmp_path / "store", Play(last=30))
    assert scene.write(limit=size) == 0, scene.out.read_text()
    assert len(scene.told("fault") + scene.told("left")) == 1, scene.out.read_text()
    scene.check()


# --- cancelled, interrupted ------------------------------------------------------------------------------------------


class Gated:
    """A store whose commits wait at a gate, and fail where they are told to."""

    def __init__(self, store: runtime.Store) -> None:
        self.store = store
        self.waiting = threading.Event()
        self.open = threading.Event()
        self.open.set()
        self.error: StoreError | None = None

    def commit(self, commit: Commit) -> None:
        self.waiting.set()
        self.open.wait()
        if self.error is not None:
            raise self.error
        self.store.commit(commit)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def reached(event: threading.Event) -> None:
    await asyncio.to_thread(event.wait)


async def cancel_task(rt: Runtime, after: int) -> None:
    task = asyncio.ensure_future(rt.advance({"number": rt.head.number + 1}))
    await turns(after)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled() or task.result() is rt.head


async def cancel_task_at_every_turn(rt: Runtime, after: int) -> None:
    task = asyncio.ensure_future(rt.advance({"number": rt.head.number + 1}))
    await turns(after)
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    assert task.cancelled() or task.result() is rt.head


async def cancel_scope(rt: Runtime, after: int) -> None:
    async with anyio.create_task_group() as group:

        async def advance() -> None:
            await rt.advance({"number": rt.head.number + 1})

        group.start_soon(advance)
        await turns(after)
        group.cancel_scope.cancel()


CANCELS = [cancel_task, cancel_task_at_every_turn, cancel_scope]


@pytest.mark.parametrize("cancel", CANCELS)
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_block_that_is_cancelled_anywhere_is_there_whole_or_not_at_all(
    cancel: Callable[[Runtime, int], Any], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime.driver, "STEPS_PER_TURN", 3)
    expected = await undisturbed(45)
    store = MemoryStore() if kind == "memory" else SqliteStore(tmp_path / "state.db")
    moved = 0
    async with Runtime(Ledger, store, genesis=GENESIS) as rt:
        for after in range(40):
            before = rt.head
            await cancel(rt, after)
            assert rt.head.number in (before.number, before.number + 1)
            assert (rt.head.hash.hex(), rt.head.state_root.hex()) == expected[rt.head.number]
            assert store.head() == rt.head.hash
            if kind == "sqlite":
                read_whole(tmp_path / "state.db", [rt.head.number])
            moved += rt.head is not before
            if rt.head is before and after % 3 == 0:
                await rt.advance({"number": before.number + 1})
        assert moved and moved < 40, "the cancellations came all too early, or all too late"
        last = rt.head.number
        assert [block.hash.hex() for block in rt.blocks(branches=True)] == [made for made, _ in expected[: last + 1]]


async def cancel_the_task(rt: Runtime, gate: Gated) -> None:
    task = asyncio.ensure_future(rt.advance({"number": 2}))
    await reached(gate.waiting)
    for _ in range(5):
        task.cancel()
        await turns(5)
        assert not task.done() and rt.head.number == 1, "the commit was not waited for"
    gate.open.set()
    with pytest.raises(asyncio.CancelledError):
        await task


async def cancel_its_scope(rt: Runtime, gate: Gated) -> None:
    ended = False

    async def advance() -> None:
        nonlocal ended
        try:
            await rt.advance({"number": 2})
        finally:
            ended = True

    async with anyio.create_task_group() as group:
        group.start_soon(advance)
        await reached(gate.waiting)
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await turns(25)
            assert not ended and rt.head.number == 1, "the commit was not waited for"
            gate.open.set()
    assert ended


@pytest.mark.parametrize("cancel", [cancel_the_task, cancel_its_scope])
async def test_a_commit_that_has_begun_is_waited_for_through_any_cancellation(
    tmp_path: Path, cancel: Callable[[Runtime, Gated], Any]
) -> None:
    expected = await undisturbed(4)
    gate = Gated(SqliteStore(tmp_path / "state.db"))
    async with Runtime(Ledger, gate, genesis=GENESIS) as rt:
        await rt.advance({"number": 1})
        gate.open.clear()
        gate.waiting.clear()
        await cancel(rt, gate)
        assert rt.head.number == 2
        assert gate.head() == rt.head.hash == bytes.fromhex(expected[2][0])
        await rt.advance({"number": 3})
        assert rt.head.hash.hex() == expected[3][0]
    async with Runtime(Ledger, tmp_path / "state.db") as rt:
        assert rt.head.number == 3
        await rt.advance({"number": 4})
        assert rt.head.hash.hex() == expected[4][0]


async def test_a_commit_that_fails_while_it_is_cancelled_leaves_the_head() -> None:
    expected = await undisturbed(2)
    gate = Gated(MemoryStore())
    async with Runtime(Ledger, gate, genesis=GENESIS) as rt:
        await rt.advance({"number": 1})
        gate.open.clear()
        gate.waiting.clear()
        gate.error = StoreError("the disk is gone")
        task = asyncio.ensure_future(rt.advance({"number": 2}))
        await reached(gate.waiting)
        task.cancel()
        await turns(5)
        gate.open.set()
        with pytest.raises((StoreError, asyncio.CancelledError)):
            await task
        assert rt.head.number == 1
        assert gate.head() == rt.head.hash
        gate.error = None
        await rt.advance({"number": 2})
        assert rt.head.hash.hex() == expected[2][0]


async def test_a_revert_that_is_cancelled_in_its_commit_is_made() -> None:
    expected = await undisturbed(4)
    gate = Gated(MemoryStore())
    async with Runtime(Ledger, gate, genesis=GENESIS) as rt:
        for number in range(1, 4):
            await rt.advance({"number": number})
        gate.open.clear()
        gate.waiting.clear()
        task = asyncio.ensure_future(rt.revert(1))
        await reached(gate.waiting)
        task.cancel()
        await turns(5)
        assert not task.done()
        gate.open.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert rt.head.number == 1
        assert gate.head() == rt.head.hash
        for number in range(2, 5):
            await rt.advance({"number": number})
        assert rt.head.hash.hex() == expected[4][0]


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("lines", [1, 2, 5, 11])
def test_an_interrupted_writer_ends_and_leaves_whole_blocks(
    nursery: Nursery, tmp_path: Path, lines: int, times: int
) -> None:
    scene = Scene(nursery, tmp_path / "store")
    with scene.out.open("w") as out:
        writer = subprocess.Popen([sys.executable, str(WRITER), str(scene.path), "1000000"], stdout=out, stderr=out)
    while writer.poll() is None and len(scene.out.read_text().splitlines()) < lines:
        time.sleep(0.001)
    for _ in range(times):
        writer.send_signal(signal.SIGINT)
    try:
        code = writer.wait(60)
    except subprocess.TimeoutExpired:
        writer.kill()
        pytest.fail("it hangs")
    text = scene.out.read_text()
    assert code == -signal.SIGINT, text
    assert text.rstrip().endswith("KeyboardInterrupt"), text
    scene.play = Play(last=max(map(int, scene.said()), default=0) + 5)
    scene.check()
