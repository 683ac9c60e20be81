"""Programs that reach outside, for the tests of the guards. They are imported in workers by the module's name.

What is taken from its module here is taken before the guards are installed, or behind it, as it happens: both must do.
"""

# ruff: noqa: DTZ001, DTZ003, DTZ005, DTZ006, DTZ007, DTZ011, DTZ012, ICN001, SIM115, UP017, UP020

from __future__ import annotations

import atexit
import copy
import ctypes
import dataclasses
import datetime
import functools
import gc
import importlib
import io
import json
import locale
import logging
import multiprocessing
import os
import pathlib
import platform
import random
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import timeit
import traceback
import uuid
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timezone
from datetime import datetime as moment
from os import environ, getpid, urandom
from random import Random, SystemRandom, randint
from threading import Thread
from time import time as now
from typing import TYPE_CHECKING, Any
from warnings import filterwarnings

from actors import ForeignAwait, GuardRefused, Process, Root

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger("a program's own")


def _time_inside() -> Any:
    from time import monotonic

    return monotonic()


def _random_inside() -> Any:
    from random import choice

    return choice([1, 2])


def _datetime_inside() -> Any:
    import datetime as inside

    return inside.datetime.now()


def _open_inside() -> Any:
    import builtins

    return builtins.open(__file__)


def _by_default(clock: Callable[[], float] = time.perf_counter) -> float:
    return clock()


def _closed_over() -> Callable[[], float]:
    clock = time.process_time

    def tell() -> float:
        return clock()

    return tell


_by_closure = _closed_over()


class Attribute:
    clock = time.time
    static = staticmethod(time.thread_time)

    @staticmethod
    def tell(clock: Callable[[], float] = time.monotonic) -> float:
        return clock()


@dataclasses.dataclass
class Stamped:
    at: float = dataclasses.field(default_factory=time.time)


class Dated(datetime.datetime):
    pass


#: What is done, the guard that refuses it, and what it is called.
REFUSED: dict[str, tuple[Callable[[], Any], str, str]] = {
    "module": (lambda: time.time(), "clock", "time.time()"),
    "taken before": (lambda: now(), "clock", "time.time()"),
    "taken inside": (_time_inside, "clock", "time.monotonic()"),
    "default": (_by_default, "clock", "time.perf_counter()"),
    "closure": (_by_closure, "clock", "time.process_time()"),
    "class attribute": (lambda: Attribute().clock(), "clock", "time.time()"),
    "static attribute": (lambda: Attribute().static(), "clock", "time.thread_time()"),
    "static method": (Attribute.tell, "clock", "time.monotonic()"),
    "default factory": (Stamped, "clock", "time.time()"),
    "sleep": (lambda: time.sleep(0), "clock", "time.sleep()"),
    "timeit": (lambda: timeit.default_timer(), "clock", "time.perf_counter()"),
    "localtime": (lambda: time.localtime(), "clock", "time.localtime()"),
    "strftime": (lambda: time.strftime("%Y"), "clock", "time.strftime()"),
    "gmtime": (lambda: time.gmtime(), "clock", "time.gmtime()"),
    "datetime": (lambda: datetime.datetime.now(), "clock", "datetime.now()"),
    "datetime in a zone": (lambda: moment.now(timezone.utc), "clock", "datetime.now()"),
    "datetime taken": (lambda: moment.utcnow(), "clock", "datetime.utcnow()"),
    "datetime inside": (_datetime_inside, "clock", "datetime.now()"),
    "its subclass": (lambda: Dated.now(), "clock", "datetime.now()"),
    "today": (lambda: date.today(), "clock", "date.today()"),
    "random": (lambda: random.random(), "random", "random.random()"),
    "shuffle": (lambda: random.shuffle([1, 2]), "random", "random.shuffle()"),
    "seed": (lambda: random.seed(1), "random", "random.seed()"),
    "randint": (lambda: randint(1, 2), "random", "random.randint()"),
    "choice": (_random_inside, "random", "random.choice()"),
    "unseeded": (lambda: Random(), "random", "random.Random() without a seed"),
    "unseeded by name": (lambda: random.Random(x=None), "random", "random.Random() without a seed"),
    "system": (lambda: SystemRandom().random(), "random", "random.SystemRandom()"),
    "urandom": (lambda: urandom(1), "random", "os.urandom()"),
    "uuid": (lambda: uuid.uuid4(), "random", "uuid.uuid4()"),
    "uuid1": (lambda: uuid.uuid1(), "random", "uuid.uuid1()"),
    "secrets": (lambda: secrets.token_hex(), "random", "secrets.token_hex()"),
    "secrets' choice": (lambda: secrets.choice([1]), "random", "secrets.choice()"),
    "environ": (lambda: os.environ["HOME"], "environment", "os.environ"),
    "environ taken": (lambda: environ.get("HOME"), "environment", "os.environ"),
    "environ walked": (lambda: list(os.environ), "environment", "os.environ"),
    "environ written": (lambda: environ.update(A="b"), "environment", "os.environ"),
    "getenv": (lambda: os.getenv("HOME"), "environment", "os.getenv()"),
    "getpid": (lambda: getpid(), "environment", "os.getpid()"),
    "getcwd": (lambda: os.getcwd(), "environment", "os.getcwd()"),
    "cwd": (lambda: pathlib.Path.cwd(), "environment", "cwd() of pathlib"),
    "cpu_count": (lambda: multiprocessing.cpu_count(), "environment", "multiprocessing.cpu_count()"),
    "platform": (lambda: platform.system(), "environment", "platform.system()"),
    "hostname": (lambda: socket.gethostname(), "environment", "socket.gethostname()"),
    "thread": (lambda: threading.get_ident(), "environment", "threading.get_ident()"),
    "zone": (lambda: moment.fromtimestamp(0), "environment", "datetime.fromtimestamp()"),
    "zone of a date": (lambda: date.fromtimestamp(0), "environment", "date.fromtimestamp()"),
    "naive": (lambda: moment(2020, 1, 1).timestamp(), "environment", "datetime.timestamp()"),
    "to the zone": (lambda: moment(2020, 1, 1, tzinfo=timezone.utc).astimezone(), "environment", "datetime.astimezone()"),
    "mktime": (lambda: time.mktime((2020, 1, 1, 0, 0, 0, 0, 0, 0)), "environment", "time.mktime()"),
    "open": (lambda: open(__file__), "files", "open()"),
    "open inside": (_open_inside, "files", "open()"),
    "io": (lambda: io.open(__file__), "files", "open()"),
    "read_text": (lambda: pathlib.Path(__file__).read_text(), "files", "read_text() of pathlib"),
    "exists": (lambda: os.path.exists(__file__), "files", "os.path.exists()"),
    "listdir": (lambda: os.listdir("/"), "files", "os.listdir()"),
    "walk": (lambda: list(os.walk("/nowhere")), "files", "os.walk()"),
    "rmtree": (lambda: shutil.rmtree("/nowhere/at/all"), "files", "shutil.rmtree()"),
    "sqlite": (lambda: sqlite3.connect(":memory:"), "files", "sqlite3.connect()"),
    "socket": (lambda: socket.socket(), "network", "socket.socket()"),
    "connection": (lambda: socket.create_connection(("localhost", 1)), "network", "socket.create_connection()"),
    "run": (lambda: subprocess.run(["true"]), "subprocess", "subprocess.run()"),
    "Popen": (lambda: subprocess.Popen(["true"]), "subprocess", "subprocess.Popen()"),
    "system call": (lambda: os.system("true"), "subprocess", "os.system()"),
    "process": (lambda: multiprocessing.Process(target=print).start(), "subprocess", "multiprocessing.Process()"),
    "start": (lambda: threading.Thread(target=print).start(), "threads", "threading.Thread.start()"),
    "start taken": (lambda: Thread(target=print).start(), "threads", "threading.Thread.start()"),
    "pool": (lambda: ThreadPoolExecutor(1).submit(print), "threads", "ThreadPoolExecutor.submit()"),
    "signal": (lambda: signal.alarm(0), "threads", "signal.alarm()"),
    "id": (lambda: id(_log), "identity", "id()"),
    "id handed on": (lambda: list(map(id, [_log])), "identity", "id()"),
    "getlocale": (lambda: locale.getlocale(), "locale", "locale.getlocale()"),
    "format_string": (lambda: locale.format_string("%d", 1000), "locale", "locale.format_string()"),
    "recursion": (lambda: sys.setrecursionlimit(5_000), "interpreter", "sys.setrecursionlimit()"),
    "digits": (lambda: sys.set_int_max_str_digits(700), "interpreter", "sys.set_int_max_str_digits()"),
    "switches": (lambda: sys.setswitchinterval(0.1), "interpreter", "sys.setswitchinterval()"),
    "no collector": (lambda: gc.disable(), "interpreter", "gc.disable()"),
    "thresholds": (lambda: gc.set_threshold(1), "interpreter", "gc.set_threshold()"),
    "frozen": (lambda: gc.freeze(), "interpreter", "gc.freeze()"),
    "at exit": (lambda: atexit.register(print), "interpreter", "atexit.register()"),
    "exit": (lambda: os._exit(0), "interpreter", "os._exit()"),
    "abort": (lambda: os.abort(), "interpreter", "os.abort()"),
    "reload": (lambda: importlib.reload(json), "interpreter", "importlib.reload()"),
    "filters": (lambda: warnings.simplefilter("error"), "interpreter", "warnings.simplefilter()"),
    "filter taken": (lambda: filterwarnings("error"), "interpreter", "warnings.filterwarnings()"),
    "umask": (lambda: os.umask(0), "files", "os.umask()"),
    "tzset": (lambda: time.tzset(), "environment", "time.tzset()"),
    "setlocale": (lambda: locale.setlocale(locale.LC_ALL, "C"), "locale", "locale.setlocale()"),
    "library": (lambda: ctypes.CDLL(None), "imports", "ctypes.CDLL()"),
    "import": (lambda: __import__("no_such_module"), "imports", "import no_such_module"),
    "loaded": (lambda: __import__("anyio"), "imports", "import anyio"),
    "import_module": (lambda: importlib.import_module("anyio.abc"), "imports", "import anyio.abc"),
}  # fmt: skip


class Finalized:
    def __del__(self) -> None:
        environ.get("HOME")


class Telling(logging.Handler):
    """A user's own handler, which may look at the clock."""

    def emit(self, record: logging.LogRecord) -> None:
        record.told = (time.time(), record.getMessage())


_log.addHandler(Telling())


#: What passes, and what it gives.
PASSES: dict[str, tuple[Callable[[], Any], Any]] = {
    "seeded": (lambda: Random(5).randint(0, 9), 9),
    "subclass": (lambda: Dated(2020, 1, 2).day, 2),
    "aware": (lambda: moment(2020, 1, 1, tzinfo=timezone.utc).timestamp(), 1577836800.0),
    "stamp in a zone": (lambda: moment.fromtimestamp(0, timezone.utc).year, 1970),
    "strptime": (lambda: moment.strptime("2020", "%Y").year, 2020),
    "formatted": (lambda: time.strftime("%Y", time.gmtime(0)), "1970"),
    "deepcopy": (lambda: copy.deepcopy({"a": [1]})["a"], [1]),
    "copied generator": (lambda: copy.deepcopy(Random(3)).random() == Random(3).random(), True),
    "json": (lambda: json.dumps({"a": [1]}), '{"a": [1]}'),
    "logging": (lambda: _log.warning("at %s", 1), None),
    "warning": (lambda: _warned(), None),
    "traceback": (lambda: _raised(), True),
    "repr of a dataclass": (lambda: repr(Stamped(1.0)), "Stamped(at=1.0)"),
    "Python's own": (lambda: __import__("colorsys").rgb_to_hsv(0, 0, 0), (0.0, 0.0, 0)),
    "the program's package": (lambda: importlib.import_module("actors").__name__, "actors"),
    "a lock": (lambda: threading.Lock().acquire(), True),
    "cached": (lambda: functools.lru_cache(len)("ab"), 2),
    "finalizer": (lambda: Finalized() and None, None),
    "path": (lambda: str(pathlib.PurePath("a") / "b"), "a/b"),
}  # fmt: skip


def _warned() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.warn("careful", stacklevel=1)


def _raised() -> bool:
    try:
        raise ValueError
    except ValueError:
        return "in _raised" in traceback.format_exc()


def tried() -> dict[str, Any]:
    """Do all of it, and tell what was refused."""
    told: dict[str, Any] = {}
    for name, (action, _, _) in REFUSED.items():
        try:
            told[name] = ("done", repr(action()))
        except GuardRefused as error:
            told[name] = error.args
        except Exception as error:
            told[name] = (type(error).__name__, str(error))
    for name, (action, _) in PASSES.items():
        try:
            told[name] = action()
        except Exception as error:
            told[name] = (type(error).__name__, str(error))
    return told


EXPECTED: dict[str, Any] = {
    **{name: (guard, call) for name, (_, guard, call) in REFUSED.items()},
    **{name: gives for name, (_, gives) in PASSES.items()},
}


class Trying(Process):
    async def run(self) -> None:
        self.heap["told"] = tried()
        await self.ret()
        self.heap["again"] = tried()


class TryingRoot(Root):
    async def run(self) -> Any:
        placement = self.heap["block", "placement"]
        if placement is None:
            return tried(), tried()
        await self.put("c", program=Trying, start=True, placement=placement)
        told = await self.get("c", "told")
        await self.put("c", start=True)
        return told, await self.get("c", "again")


class Beginning(Process):
    """Looks at the clock where it is made, and on its way out."""

    def __init__(self) -> None:
        try:
            self.made = time.time()
        except GuardRefused:
            self.made = 0.0

    async def run(self) -> None:
        self.heap["made"] = self.made
        try:
            await self.ret()
        finally:
            ended.append(_outcome(time.time))


#: What processes that were ended could do on their way out.
ended: list[str] = []


def _outcome(action: Callable[[], Any]) -> str:
    try:
        action()
    except (GuardRefused, ForeignAwait) as error:
        return type(error).__name__
    return "done"


class Lifted(Process):
    lifted = ("clock", "identity")

    async def run(self) -> None:
        for n in range(3):
            self.heap[n] = (_outcome(time.time), _outcome(lambda: id(self)), _outcome(random.random))
            await self.ret()


class Inheriting(Lifted):
    pass


class Unlifted(Lifted):
    lifted = ()


class Lifting(Root):
    """Steps programs that lift other guards, in turns."""

    async def run(self) -> Any:
        programs = {"lifted": Lifted, "inheriting": Inheriting, "unlifted": Unlifted}
        for name, program in programs.items():
            await self.put(name, program=program, start=True)
        for _ in range(2):
            for name in programs:
                await self.put(name, start=True)
        return {name: await self.get(name, 0, 1, 2) for name in programs}, _outcome(time.time)


class Importing(Process):
    allowed_modules = ("anyio.abc", "cloudpickle")

    async def run(self) -> None:
        self.heap["told"] = [
            _outcome(lambda name=name: importlib.import_module(name))  # type: ignore[misc]
            for name in ("anyio.abc", "cloudpickle", "anyio", "anyio.lowlevel", "pykka")
        ]
        import cloudpickle

        assert cloudpickle.__name__ == "cloudpickle"


class Failing(Process):
    async def run(self) -> None:
        self.heap["now"] = time.time()


class Parent(Root):
    async def run(self) -> Any:
        await self.put("c", program=Failing, start=True, placement=self.heap["block", "placement"])
        return (await self.status("c")).error


class FailingRoot(Root):
    async def run(self) -> Any:
        return uuid.uuid4().hex


class Draws(Process):
    """Draws before the first stop, behind it, or behind the second one."""

    async def run(self) -> None:
        first = self.heap["first"]
        drawn: list[int] = []
        for n in range(4):
            if n >= first:
                drawn.append(self.random.randrange(1 << 64))
            self.heap["drawn"] = drawn
            await self.ret()


class Drawing(Root):
    async def run(self) -> Any:
        for first in range(4):
            new = ("begun", first) not in self.heap
            self.heap["begun", first] = True
            placement = self.heap["block", "placement"]
            values = {"first": first, "noise": 0} if new else {"noise": self.heap["block", "noise"]}
            await self.put(first, values, program=Draws if new else None, start=True, placement=placement)
        drawn = [await self.get(first, "drawn") for first in range(4)]
        return drawn, self.random.random()
