"""The linter: what every rule finds, at which line, and what it lets pass; what is looked at; comments; the test helper.

In the tables a line that is to be found ends in a comment with the codes: `# ! LS101`. No other line may be found.
"""

from __future__ import annotations

import os
import re
import textwrap
from pathlib import Path
from typing import Generic, TypeVar

import lint_programs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import Process, Root
from actors.errors import InputError
from runtime import lint
from runtime.lint import RULES, files, lint_file, lint_text

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
STDLIB = Path(os.__file__).parent

HEAD = """
from __future__ import annotations
import asyncio, collections, contextlib, datetime, decimal, functools, gc, glob, itertools, math, os, random, secrets
import socket, subprocess, sys, threading, time, uuid, warnings, weakref
import datetime as dt
import time as clock
from datetime import datetime as moment
from pathlib import Path
from time import time as now
from typing import Final, Optional
from actors import ABSENT, Process as P, Root, freeze
from pyrsistent import PMap, PSet, pmap, pset
"""


def expected(text: str) -> list[tuple[int, str]]:
    marks = []
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.search(r"# ! (.*)", line):
            marks += [(number, code) for code in match[1].split()]
    return sorted(marks)


def found(text: str, everything: bool = False) -> list[tuple[int, str]]:
    return sorted((one.line, one.rule.code) for one in lint_text(text, everything=everything).findings)


def in_run(body: str) -> str:
    """Return a file with a program that has these lines in its `run`."""
    lines = textwrap.indent(textwrap.dedent(body).strip("\n"), " " * 8)
    return f"{HEAD}\nclass Program(P):\n    async def run(self, given=None):\n{lines}\n"


#: Lines of a `run`.
LINES = {
    "LS101": """
        names = {"a", self.heap["x"]}
        for name in names:  # ! LS101
            await self.put(name, {}, start=True)
        for name in names:  # ! LS101
            self.heap["last"] = name
        out = []
        for name in set(self.heap["block"]):  # ! LS101
            out.append(name)
        return out, list(names), tuple(names), ",".join(names)  # ! LS101 LS101 LS101
        ===
        both = frozenset(given) | {1}
        for number, one in enumerate(both):  # ! LS101
            self.heap["at", number] = one
        pairs = [(one, 1) for one in both]  # ! LS101
        texts = f"{both}", str(both), repr(both)  # ! LS101 LS101 LS101
        return pairs, texts, [*both], dict(enumerate(both)), sorted(zip(both, given))  # ! LS101 LS101 LS101
        ===
        members: set[str] = self.heap["x"]
        ordered = list(members)  # ! LS101
        self.heap["ordered"] = ordered
        text = ""
        for one in members:  # ! LS101
            text += one
        numbers = {}
        for one in members:  # ! LS101
            numbers[one] = len(numbers)
        for one in members:  # ! LS101
            if one.startswith("a"):
                break_with = one
                break
        for one in members:  # ! LS101
            if one > 3:
                return one
        for one in members:  # ! LS101
            if one > 3:
                raise ValueError(one)
        ===
        scores = pmap({"a": 1})
        for name, score in scores.items():  # ! LS101
            await self.put(name, {"score": score})
        self.heap["names"] = list(scores)  # ! LS101
        self.heap["names"] = [*pset(["a"])]  # ! LS101
        ===
        self.heap["members"] = {}
        for name in self.heap["members"]:  # ! LS101
            await self.put(name, {})
        ===
        self.heap["all"] = {"a", "b"}
        return [one for one in self.heap.get("all")]  # ! LS101
        ===
        votes = self.heap["block", "votes"]
        for name, vote in votes.items():  # ! LS101
            await self.put(name, {"vote": vote})
        inputs = await self.snapshot()
        self.heap["names"] = tuple(inputs.keys())  # ! LS101
        totals = await self.get("child", "totals")
        self.heap["totals"] = [total for total in totals.values()]  # ! LS101
        return list(self.heap.get("x", {}).items())  # ! LS101
        ===
        shuffled = {one: 1 for one in {"a", "b"}}
        return list(shuffled.items())  # ! LS101
        ===
        left, right = {"a": 1}, {"b": 2}
        for key in left.keys() - right.keys():  # ! LS101
            await self.drop(key)
        yielded = [] + list(map(str, freeze({"a", "b"})))  # ! LS101
        groups = collections.defaultdict(set)
        self.heap["first"] = list(groups["a"])  # ! LS101
        seen = set()
        seen = seen | given
        return yielded, list(seen)  # ! LS101
        """,
    "LS102": """
        names = {"a", "b", self.heap["x"]}
        one = names.pop()  # ! LS102
        first = next(iter(names))  # ! LS102
        a, b = names  # ! LS102
        longest = max(names, key=len)  # ! LS102
        return one, first, a, b, longest, sorted(names, key=lambda one: one[1])  # ! LS102
        """,
    "LS103": """
        weights = {0.1, 0.2, given / 3}
        total = sum(weights)  # ! LS103
        half = sum(one / 2 for one in {given, 3})  # ! LS103
        return total, half, sum(set([0.5, 0.25]))  # ! LS103
        """,
    "LS104": """
        names = os.listdir("/etc")  # ! LS104
        return names, glob.glob("*.py"), [one.name for one in Path("x").iterdir()]  # ! LS104 LS104
        """,
    "LS201": """
        return hash("a") % 7, {"key": hash(given)}  # ! LS201 LS201
        """,
    "LS202": """
        return id(self)  # ! LS202
        """,
    "LS203": """
        if given is 1 or given is not "a":  # ! LS203 LS203
            return given is -1  # ! LS203
        total = len(given)
        return total is 3, int(given) is self.heap["x"], given is ()  # ! LS203 LS203 LS203
        """,
    "LS204": """
        thing = object()
        self.heap["text"] = f"{thing}"  # ! LS204
        self.heap["self"] = f"by {self}"  # ! LS204
        self.heap["run"] = str(self.run)  # ! LS204
        self.heap["old"] = "%s and %r" % (1, thing)  # ! LS204
        return repr(lambda: 1), str(given)  # ! LS204
        """,
    "LS304": """
        try:
            await self.get("a")
        except:  # ! LS304
            pass
        try:
            await self.get("a")
        except (KeyError, BaseException) as error:  # ! LS304
            self.heap["error"] = 1
        with contextlib.suppress(BaseException):  # ! LS304
            await self.get("a")
        """,
    "LS303": """
        weakref.finalize(self, print)  # ! LS303
        gc.collect()  # ! LS303
        """,
    "LS401": """
        self.heap["at"] = time.time()  # ! LS401
        self.heap["at"] = clock.monotonic_ns(), now(), dt.datetime.now()  # ! LS401 LS401 LS401
        self.heap["at"] = moment.utcnow(), datetime.date.today()  # ! LS401 LS401
        stamps = collections.defaultdict(time.perf_counter)  # ! LS401
        time.sleep(1)  # ! LS401
        return time.strftime("%Y"), time.gmtime()  # ! LS401 LS401
        """,
    "LS402": """
        self.heap["x"] = random.random(), random.choice([1, 2])  # ! LS402 LS402
        draw = random.Random()  # ! LS402
        draw = random.Random(None)  # ! LS402
        random.seed(1)  # ! LS402
        random.shuffle(given)  # ! LS402
        return uuid.uuid4(), os.urandom(8), secrets.token_hex(), random.SystemRandom()  # ! LS402 LS402 LS402 LS402
        """,
    "LS403": """
        self.heap["x"] = os.environ["HOME"]  # ! LS403
        self.heap["x"] = os.getenv("HOME"), os.getpid(), os.cpu_count()  # ! LS403 LS403 LS403
        self.heap["x"] = time.localtime(0), moment.fromtimestamp(0)  # ! LS403 LS403
        return sys.argv, socket.gethostname()  # ! LS403 LS403
        """,
    "LS404": """
        with open("x") as file:  # ! LS404
            pass
        here = Path("x")
        here.read_text(), (here / "y").write_text("z"), here.exists()  # ! LS404 LS404 LS404
        subprocess.run(["ls"])  # ! LS404
        socket.create_connection(("a", 1))  # ! LS404
        return sorted(os.listdir("x")), os.path.exists("x"), input()  # ! LS404 LS404 LS404
        """,
    "LS405": """
        lock = threading.Lock()  # ! LS405
        threading.Thread(target=print).start()  # ! LS405
        """,
    "LS406": """
        await asyncio.sleep(1)  # ! LS406
        await asyncio.gather(self.get("a"), self.get("b"))  # ! LS406
        for one in asyncio.as_completed([]):  # ! LS406
            await one
        """,
    "LS501": """
        self.put("a", {}, start=True)  # ! LS501
        self.heap["y"] = self.get("a", "y")  # ! LS501
        total = self.heap["y"] + self.get("a", "y")  # ! LS501
        await self.put("b", {"y": self.get("a", "y")})  # ! LS501
        if self.status("a") is None or not self.now():  # ! LS501 LS501
            total += self.get("a", "y")  # ! LS501
        for one in self.get("a", "list"):  # ! LS501
            total += one
        y = self.get("a", "y")  # ! LS501
        unused = self.ret()  # ! LS501
        text = f"{self.get('a', 'text')}"  # ! LS501
        sums = sum([self.get(i, "y") for i in range(3)]), len(self.get("a", "y"))  # ! LS501 LS501
        self.heap["z"] = self.get("a", "y")[0]  # ! LS501
        async with self.team() as team:
            team.fork(Program)  # ! LS501
            team.barrier()  # ! LS501
        self.fork("a", Program), self.join("a"), self.drop("a"), self.call("a", Program)  # ! LS501 LS501 LS501 LS501
        return {"x": self.get("a", "y") if given else 1, "y": y + 1}  # ! LS501
        ===
        self.merge("a")  # ! LS501
        return self.get("a", "x")  # ! LS501
        """,
    "LS502": """
        self.heap["log"].append(1)  # ! LS502
        self.heap.get("names", given).add("a")  # ! LS502
        votes = self.heap["votes"]
        votes.set("a", 1)  # ! LS502
        (await self.get("child", "log")).extend([1])  # ! LS502
        kept = pmap({"a": 1})
        kept.update({"b": 2})  # ! LS502
        """,
}

#: Lines of a `run` that are as good as they look.
FINE = """
    names = {"a", self.heap["x"]}
    for name in sorted(names):
        await self.put(name, {})
    count, joined = len(names), ",".join(sorted(names))
    if "a" in names and names & {"b"} and not names - {"c"} and all(name for name in names):
        count += max(names) + min(names) + sum(names) + sum(1 for name in names)
    for name in names:
        count += 1
        given.add(name)
    for name in names:
        if name == "x":
            return True
    for name in names:
        self.heap["seen", name] = True
    return sorted(list(names)), {name.upper() for name in names}, sorted([name.upper() for name in names])
    ===
    names = set(given)
    for name in names:
        given[name].append(name)
        name.parts.append(1)
        if name == "x":
            raise ValueError(name)
    self.heap["zeros"] = [0 for name in names]
    ordered = list(names)
    ordered.sort()
    collected = []
    for name in names:
        collected.append(name)
    self.heap["names"] = sorted(collected)
    for name in names:
        parts = []
        parts.append(name)
        given.add(tuple(parts))
    return ordered
    ===
    for name in {"a": 1, "b": 2}:
        await self.put(name, {})
    for name, one in given.items():
        await self.put(name, one)
    for name in self.heap.keys("names"):
        await self.put(name, {})
    for one in {1, 2, 3}:
        await self.put(one, {})
    return list(dict.fromkeys(["b", "a"]))
    ===
    for name, one in self.heap.items("names"):
        await self.put(name, one)
    for name, one in (await self.get("child", given)).items():
        await self.put(name, one)
    changes = await self.get("child")
    for name, one in changes.items():
        await self.put(name, one)
    for name in self.heap["names"]:
        await self.put(name, {})
    for name, one in sorted(self.heap["votes"].items()):
        await self.put(name, one)
    return sum(self.heap["votes"].values())
    ===
    names = {"a"}
    names = sorted(names)
    for name in names:
        await self.put(name, {})
    (only,) = set(given)
    if len(given) == 1:
        pass
    members = set(given)
    assert len(members) == 1
    return next(iter(members)), members.pop(), [name for name in given]
    ===
    todo, seen = {1}, set()
    todo.add(given)
    while todo:
        one = todo.pop()
        if one not in seen:
            seen.add(one)
            todo.update(one.parts)
    stack = list(seen)
    while stack:
        one = stack.pop()
        stack.append(one + 1)
    return sorted(seen)
    ===
    total = math.fsum({0.1, 0.2, given}) + sum([0.1, 0.2]) + sum(one // 2 for one in {given, 3})
    self.heap["best"] = min({1, given}, key=lambda one: one[0])
    return functools.reduce(math.gcd, [one for one in {4, given}])
    ===
    self.heap["members"] = {}
    self.heap["members"] = given
    for name in self.heap["members"]:
        await self.put(name, {})
    ===
    if given is None or given is True or given is ABSENT or given is not ... or self.heap["x"] is given:
        return given is self
    return f"{given}", f"{self.path}", str(1), repr("a"), "%s" % given, str(type(self)), len(given) == 3
    ===
    try:
        await self.get("a")
    except Exception:
        pass
    try:
        await self.get("a")
    except BaseException:
        self.heap["undone"] = True
        raise
    with contextlib.suppress(KeyError):
        del given["x"]
    ===
    draw = random.Random(self.heap["seed"])
    self.heap["x"] = draw.random(), draw.choice([1, 2]), uuid.uuid5(uuid.NAMESPACE_DNS, "x")
    self.heap["x"] = dt.datetime(2024, 1, 1), moment.fromtimestamp(0, tz=given), time.gmtime(0), time.strftime("%Y", given)
    self.heap["x"] = os.path.join("a", "b"), Path("a") / "b", Path("a").name, os.sep
    time_, random_ = given.time(), given.random()
    print(given, file=sys.stderr)
    return time_, random_, given.read_text, secrets.compare_digest(b"a", b"b"), given.open()
    ===
    time = given
    hash = given
    return time.time(), hash(1), [id for id in given]
    ===
    def make(made: set[int], given: list[int]) -> list[int]:
        if isinstance(made, list):
            return list(made)
        return given
    return make(given, given)
    ===
    async for one in given:
        self.heap["x"] = one
    later = self.get("a", "y")
    asked = [self.get(i, "y") for i in range(3)]
    y, z = await later, [await one for one in asked]
    given(self.get("a"), first=self.get("b"))
    look = lambda child: self.get(child, "y")
    self.heap["all"] = [await self.get(i, "y") for i in range(3)], await look("a"), (await self.get("a", "z"))["q"]
    async with self.team() as team:
        await team.fork(Program)
    def ask(child):
        return self.get(child, "y")
    self.map(Program, given)
    self.charge(1)
    return await ask("a") if given else await self.get("a", "y")
    ===
    self.heap["log"] = self.heap["log"].append(1)
    log = self.heap["log"].append(2)
    self.heap.update({"log": log})
    given.append(1)
    seen = set()
    seen.add(1)
    self.heap.region("a").update({})
    ===
    names = {"a", given}
    given(names, *names, name=[1])
    for name in names:
        given(name)
    return set(given), names, name in list(names)
"""


def cases(table: str) -> list[str]:
    return [textwrap.dedent(part) for part in textwrap.dedent(table).split("===")]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(in_run(one), id=f"{code}-{n}")
        for code, lines in LINES.items()
        for n, one in enumerate(cases(lines))
    ],
)
def test_each_rule_finds_its_lines_and_no_others(text: str) -> None:
    assert found(text) == expected(text)


@pytest.mark.parametrize("text", [pytest.param(in_run(one), id=f"fine-{n}") for n, one in enumerate(cases(FINE))])
def test_near_misses_pass(text: str) -> None:
    assert lint_text(text).findings == []


#: Whole files, for what stands outside of `run`.
FILES = {
    "a heap that is handed on": """
        from actors import Heap

        def total(heap: Heap, given):
            for name, one in heap["votes"].items():  # ! LS101
                heap["last"] = name
            for name, one in heap.items("votes"):
                heap["last"] = name
            return list(heap["votes"].keys()), list(given["votes"].keys())  # ! LS101

        class Program(P):
            async def run(self):
                return total(self.heap, {})
        """,
    "class state": """
        class Program(P):
            seen = []  # ! LS301
            by_name: dict = {}  # ! LS301
            reductions = {"count": sum}
            TABLE = {"a": 1}
            fixed: Final = [1]
            pair = (1, 2)
            own = []
            __slots__ = ["x"]
            CHANGED = {}  # ! LS301

            async def run(self):
                self.own = [1]
                self.own.append(2)
                self.CHANGED["x"] = 1
                type(self).count = 1  # ! LS301
                Program.count += 1  # ! LS301
                self.__class__.seen.append(1)  # ! LS301
                self.local = 1

            @classmethod
            def note(cls):
                cls.noted = True  # ! LS301

            def __init_subclass__(cls):
                cls.made = True
                Program.made_all = True
        """,
    "globals": """
        cache = {}
        config = object()
        TABLE = {"a": 1}
        count = 0

        class Program(P):
            async def run(self):
                global count
                count += 1  # ! LS302
                cache["x"] = 1  # ! LS302
                cache.setdefault("x", []).append(1)  # ! LS302
                del cache["x"]  # ! LS302
                config.level = 3  # ! LS302
                sys.path.append("x")  # ! LS302
                sys.stdout = None  # ! LS302
                sys.setrecursionlimit(5000)  # ! LS302
                globals()["a" + given](sys.modules[given])  # ! LS306 LS306
                vars()["given"] = locals()
                gc.disable()  # ! LS302
                decimal.DefaultContext.prec = 5  # ! LS302
                decimal.getcontext().prec = 5
                warnings.simplefilter("error")  # ! LS302
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                helper()
                return TABLE["a"], TABLE.get("b"), cache.copy()

        def helper():
            cache.clear()  # ! LS302
            local = {}
            local["x"] = 1
            local.update(x=1)

        def shadows(cache):
            cache["x"] = 1

        def main():
            cache["x"] = 1
        """,
    "defaults": """
        class Program(P):
            async def run(self):
                return fill(1), safe(2), Held()

        def fill(one, into=[]):
            into.append(one)  # ! LS305
            return into

        def safe(one, into=None, table={}):
            into = [] if into is None else into
            into.append(one)
            return table["x"]

        class Held:
            def __init__(self, given={}):
                self.given = given  # ! LS305
        """,
    "finalizers and texts": """
        import dataclasses, enum

        class Plain:
            def __del__(self):  # ! LS303
                pass

        class Told:
            def __repr__(self):
                return "told"

        @dataclasses.dataclass
        class Data:
            x: int = 0

        class Color(enum.Enum):
            RED = 1

        class Base:
            def text(self):
                return str(self)

        class Kind(Base):
            def __str__(self):
                return "kind"

        def function():
            pass

        class Program(P):
            async def run(self):
                texts = f"{Plain()} {Told()}", f"{Data()}", str(Color.RED), str(Kind())  # ! LS204
                plain = Plain()
                return texts, repr(plain), f"{function}", f"{Kind()!r}", f"{Program}"  # ! LS204 LS204 LS204
        """,
    "async defs of the file": """
        from actors import Actor, PostOffice
        from shop import Base

        async def helper(process):
            await process.ret()

        async def numbers():
            yield 1

        @functools.wraps
        async def wrapped():
            pass

        class Mixed(P):
            async def step(self):
                helper(self)  # ! LS501
                await helper(self)
                numbers()
                wrapped()

            def get(self, child):
                return 1

        class Program(Mixed):
            async def run(self):
                self.step()  # ! LS501
                self.get("a")
                self.put("a", {})  # ! LS501

        class Foreign(Base):
            async def run(self):
                self.heap["x"] = 1
                self.put("a", {})  # ! LS501
                self.call("a")

        class Account(Actor):
            async def receive(self, message, sender):
                self.ask(sender, 1)  # ! LS501
                self.send(sender, 1)

        class Bank(PostOffice, Root):
            hosts = (Account,)

            async def run(self):
                self.deliver()  # ! LS501
                return self.look(1, "x")  # ! LS501
        """,
    "what is drawn at import": """
        SEED = random.random()  # ! LS402
        STARTED = time.time()
        HOME: str = os.environ.get("HOME", "")  # ! LS403
        STEPS = {"a": lambda: time.time(), "b": step}  # ! LS401

        def step():
            return os.getpid()  # ! LS403

        class Program(P):
            async def run(self):
                return SEED, HOME, STEPS["a"]()
        """,
}


@pytest.mark.parametrize("text", [pytest.param(HEAD + textwrap.dedent(one), id=name) for name, one in FILES.items()])
def test_what_stands_around_run_is_found(text: str) -> None:
    assert found(text) == expected(text)


# --- what is looked at ---------------------------------------------------------------------------------------------


REACHED = """
import actors
import actors as language
from actors import Process, Root
from shop import Base, other

def outer():
    return time_of()

def time_of():
    import time
    return time.time()  # ! LS401

def key(x):
    return hash(x)  # ! LS201

def main():
    return hash(1)

class Mixed:
    def mix(self):
        return id(self)  # ! LS202

class First(Mixed, actors.Process):
    def method(self):
        return sorted([], key=key)

class Second(First):
    async def run(self):
        return outer(), hash(2)  # ! LS201

class Third(language.Root):
    async def run(self):
        return hash(3)  # ! LS201

class Foreign(Base):
    async def run(self):
        self.heap["x"] = hash(4)  # ! LS201

class Other(other.Thing):
    async def run(self):
        return hash(5)

class Alone:
    async def run(self):
        return hash(self.heap)

def maker():
    class Inner(Root):
        async def run(self):
            return hash(6)  # ! LS201
    return Inner, hash(7)
"""


def test_what_a_program_can_reach_is_looked_at_and_nothing_else() -> None:
    looked = lint_text(REACHED)
    assert sorted((one.line, one.rule.code) for one in looked.findings) == expected(REACHED)
    assert looked.programs == ("First", "Second", "Third", "Foreign", "maker.<locals>.Inner")


def test_everything_is_looked_at_when_it_is_asked_for() -> None:
    assert len(found(REACHED, everything=True)) == len(expected(REACHED)) + 4


def test_a_finding_says_where_what_why_and_what_to_do() -> None:
    text = 'from actors import Root\n\nclass Ä(Root):\n    async def run(self):\n        return "ä", hash("ü"), 1\n'
    (one,) = lint_text(text, "shop.py").findings
    assert (one.line, one.column, one.what) == (5, 21, 'hash("ü")')
    assert one.source == '        return "ä", hash("ü"), 1'
    rule = RULES["LS201"]
    assert str(one) == f'shop.py:5:21 LS201 `hash("ü")` {rule.reason}; {rule.mend}'
    assert one.rule is rule


def test_the_findings_are_the_same_each_time_and_in_the_order_of_the_lines() -> None:
    text = "\n".join(in_run(one) for lines in LINES.values() for one in cases(lines))
    first = lint_text(text).findings
    assert first == sorted(first, key=lambda one: (one.line, one.column, one.rule.code)) == lint_text(text).findings


# --- star imports --------------------------------------------------------------------------------------------------

STARRED = """
from actors import *
from os import *
from math import *

class Starred(Root):
    async def run(self):
        return getpid(), pi  # ! LS403
"""


def test_the_star_of_actors_and_of_python_s_own_modules_brings_their_names() -> None:
    looked = lint_text(STARRED)
    assert looked.programs == ("Starred",)
    assert sorted((one.line, one.rule.code) for one in looked.findings) == expected(STARRED)


def test_the_star_of_a_module_that_can_be_read_brings_what_stands_in_it(tmp_path: Path) -> None:
    for name, text in {
        "base.py": "from actors import *\nfrom time import time as now, monotonic\nimport shop.prices\n_own = 1\n",
        "listed.py": "__all__ = ['now']\n__all__ += ('Process',)\nfrom base import *\n",
        "shop/__init__.py": "from .prices import *\n",
        "shop/prices.py": "from random import random as draw\n",
        "shop/main.py": "from . import *\nfrom base import *\nclass A(Root):\n    async def run(self):\n        return draw()\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    program = tmp_path / "program.py"
    program.write_text(
        "from listed import *\nclass A(Process):\n    async def run(self):\n        return now(), monotonic()\n"
    )
    looked = lint_file(program)
    assert looked.programs == ("A",)
    assert [one.what for one in looked.findings] == ["now()"], "monotonic is not listed"
    looked = lint_file(tmp_path / "shop" / "main.py")
    assert looked.programs == ("A",)
    assert [one.rule.code for one in looked.findings] == ["LS402"]


def test_a_name_that_a_file_binds_itself_is_not_the_star_s() -> None:
    text = "from time import *\nfrom actors import *\ndef time():\n    return 1\n"
    assert found(text + "class A(Root):\n    async def run(self):\n        return time()\n") == []


@pytest.mark.parametrize("module", ["nowhere", ".", "dynamic", "hiding", "broken", "circle"])
def test_a_star_import_that_hides_its_names_is_a_finding(module: str, tmp_path: Path) -> None:
    (tmp_path / "dynamic.py").write_text("__all__ = [name for name in globals()]\n")
    (tmp_path / "hiding.py").write_text("from nowhere import *\n")
    (tmp_path / "broken.py").write_text("def f(:\n")
    (tmp_path / "circle.py").write_text("from circle import *\n")
    file = tmp_path / "program.py"
    file.write_text(f"import time\nfrom {module} import *\nclass A(Root):\n    pass\n")
    assert [(one.line, one.rule.code, one.what) for one in lint_file(file).findings] == [
        (2, "LS902", f"from {module} import *")
    ]
    file.write_text(f"from {module} import *  # lockstep: ignore[LS902] constants alone\n")
    assert lint_file(file).findings == []


# --- comments ------------------------------------------------------------------------------------------------------


def test_a_comment_ignores_its_line_for_all_rules_or_for_those_that_it_names() -> None:
    text = in_run(
        """
        a = hash(1)  # lockstep: ignore
        b = hash(1)  # lockstep: ignore[LS201] the reason
        c = hash(id(1))  # noqa  # lockstep: ignore[LS202, LS201]
        d = hash(id(1))  # lockstep: ignore[LS201]
        e = hash(1)  # lockstep: ignore[LS202]
        f = hash(
            1,
        )  # lockstep: ignore[LS201]
        g = "# lockstep: ignore", hash(1)
        """
    )
    begin = text.splitlines().index("        a = hash(1)  # lockstep: ignore") + 1
    assert [(line - begin, code) for line, code in found(text)] == [(3, "LS202"), (4, "LS201"), (8, "LS201")]


@pytest.mark.parametrize("codes", ["[LS999]", "[set-order]", "[LS201, LS2]", "[]", "[LS201"])
def test_a_comment_with_an_unknown_code_is_itself_a_finding(codes: str) -> None:
    text = in_run(f"x = 1  # lockstep: ignore{codes}")
    (one,) = lint_text(text).findings
    assert one.rule.code == "LS901"
    assert one.what == f"# lockstep: ignore{codes}"
    assert lint_text(f"x = 1  # lockstep: ignore{codes}").findings == [], "no program reaches it"
    assert len(lint_text(f"x = 1  # lockstep: ignore{codes}", everything=True).findings) == 1


def test_every_code_is_documented_and_tested() -> None:
    readme = (ROOT / "README.md").read_text()
    for code, rule in RULES.items():
        assert f"`{code}` {rule.name}" in readme, code
        assert re.fullmatch(r"LS\d{3}", code)
        for sentence in (rule.reason, rule.mend):
            assert sentence[0].islower()
            assert not sentence.endswith(".")
    marked = {code for text in (*LINES.values(), *FILES.values(), REACHED) for _, code in expected(text)}
    assert marked == RULES.keys() - {"LS901", "LS902"}
    assert len({rule.name for rule in RULES.values()}) == len(RULES)


# --- files ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"def f(:\n", r"bad\.py:1:7 is no Python: invalid syntax"),
        (b"x = 1\n  y = 2\n", r"bad\.py:2:\d+ is no Python: unexpected indent"),
        (b"x = '\xff'\n", r"bad\.py.* is no Python: .*"),
        (b"# coding: martian\n", r"bad\.py is no Python: unknown encoding.*"),
        (b"x = 1\0\n", r"bad\.py.* is no Python: .*null bytes.*"),
        (b"x = " + b"(" * 100_000, r"bad\.py.* is no Python: .*|bad\.py is nested too deep for Python's parser"),
    ],
)
def test_what_is_no_python_is_refused_with_the_place(data: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_bytes(data)
    with pytest.raises(InputError) as caught:
        lint_file(file)
    assert re.fullmatch(f"{re.escape(str(tmp_path))}/{said}", str(caught.value))
    with pytest.raises(InputError, match="cannot be read: No such file"):
        lint_file(tmp_path / "none.py")


def test_other_encodings_and_line_ends_are_read(tmp_path: Path) -> None:
    text = in_run('x = "é"\r\ny = hash(1)')
    file = tmp_path / "latin.py"
    file.write_bytes(b"# coding: latin-1\r\n" + text.encode("latin-1"))
    assert [one.what for one in lint_file(file).findings] == ["hash(1)"]
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert [one.source for one in lint_file(file).findings] == ["        y = hash(1)"]


def test_a_directory_is_all_python_files_below_it_by_name(tmp_path: Path) -> None:
    for name in ("b.py", "a/z.py", "a/b/c.py", "a/note.txt", ".hidden/x.py", "__pycache__/y.py"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    assert [str(one.relative_to(tmp_path)) for one in files(tmp_path)] == ["a/b/c.py", "a/z.py", "b.py"]
    assert list(files(tmp_path / "b.py")) == [tmp_path / "b.py"]


def test_deep_code_is_gone_through_without_recursion() -> None:
    deep = in_run(f"return {'+'.join(['given'] * 900)}, {'[' * 80}hash(1){']' * 80}")
    assert [code for _, code in found(deep)] == ["LS201"]


@pytest.mark.parametrize("name", ["ast", "enum", "inspect", "typing", "dataclasses", "mailbox", "weakref", "turtle"])
def test_the_standard_library_is_gone_through_whole(name: str) -> None:
    looked = lint_file(STDLIB / f"{name}.py", everything=True)
    assert looked.programs == ()
    assert all(one.rule.code in RULES for one in looked.findings)


@pytest.mark.long
def test_all_of_the_standard_library_is_gone_through() -> None:
    for file in sorted(STDLIB.glob("*.py")) + sorted((STDLIB / "asyncio").glob("*.py")):
        lint_file(file, everything=True)


PIECES = [
    line for text in (*LINES.values(), FINE) for line in textwrap.dedent(text).splitlines() if line.strip() != "==="
]


@given(st.lists(st.sampled_from(PIECES), max_size=12))
@settings(deadline=None, max_examples=150)
def test_no_mixture_of_lines_is_too_much(lines: list[str]) -> None:
    try:
        lint_text(in_run("\n".join(lines) or "pass"), everything=True)
    except InputError as error:
        assert "is no Python" in str(error)


# --- in tests ------------------------------------------------------------------------------------------------------


class Clean(Root):
    async def run(self):
        return await self.get("a", "b")


class Dirty(Process):
    async def run(self):
        self.heap["x"] = hash("a")
        return outside()


def outside() -> int:
    return id(None)


def test_check_passes_a_clean_program_and_tells_all_of_another() -> None:
    lint.check(Clean)
    with pytest.raises(AssertionError) as caught:
        lint.check(Clean, Dirty)
    told = str(caught.value).splitlines()
    assert told[0] == "2 findings"
    assert [line.split()[1] for line in told[1::2]] == ["LS201", "LS202"]
    assert told[2].strip() == 'self.heap["x"] = hash("a")'
    assert all(line.startswith(f"{__file__}:") for line in told[1::2])


def test_check_takes_programs_of_functions_modules_and_paths() -> None:
    class Local(Root):
        async def run(self):
            return hash(1)

    with pytest.raises(AssertionError, match="return hash"):
        lint.check(Local)
    for what in (lint_programs, lint_programs.__file__, Path(lint_programs.__file__)):
        with pytest.raises(AssertionError, match="2 findings"):
            lint.check(what)
    lint.check(lint_programs.Good)


def test_the_examples_are_clean() -> None:
    lint.check(ROOT / "examples")


def test_check_follows_a_program_to_what_it_inherits_from_in_another_file() -> None:
    class Heir(lint_programs.Bad, Generic[T]):
        pass

    with pytest.raises(AssertionError, match=r"1 finding\n.*lint_programs\.py:\d+:\d+ LS401"):
        lint.check(Heir)


def test_check_refuses_what_has_no_source() -> None:
    with pytest.raises(InputError, match="Made has no source file"):
        lint.check(type("Made", (Process,), {"__module__": "nowhere"}))
    with pytest.raises(InputError, match="say what to look at"):
        lint.check()
