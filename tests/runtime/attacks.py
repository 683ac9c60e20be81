"""A catalogue of attacks on metered Python: programs that mean harm, each with how it ends.

    out of gas    the meter stops it
    refused       metered code may not do that: a ProgramError says so
    trap          Python itself refuses, with another exception
    host fault    one call of C code that no gas sees: only a worker's watchdog and memory limit end it

`write` makes a module of them, a program for each; a test imports it and runs the programs.
"""

from __future__ import annotations

import importlib.util
import sys
from textwrap import dedent, indent
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


class Attack(NamedTuple):
    name: str
    #: The body of `async def run(self)`.
    source: str
    #: "out of gas", "refused", "trap" or "host fault".
    expected: str

    @property
    def program(self) -> str:
        return "".join(word.capitalize() for word in self.name.replace(",", "").replace("-", " ").split())


#: What stands at the top of the module.
HEAD = """
import asyncio
import builtins
import collections
import contextlib
import ctypes
import dataclasses
import functools
import gc
import itertools
import json
import math
import operator
import os
import pickle
import random
import re
import socket
import string
import subprocess
import sys
import threading
import time
import types
import typing
import uuid
import weakref
from datetime import datetime
from os import urandom
from time import time as now
from types import CodeType, FunctionType

from actors import Process

COUNT = 0

@functools.lru_cache
def cached(x):
    return x

def bomb(n):
    bomb(n - 1)
    bomb(n - 1)

class Thing:
    pass
"""


def _attacks(expected: str, text: str) -> list[Attack]:
    found = []
    for part in text.split("\n# ")[1:]:
        name, _, source = part.partition("\n")
        found.append(Attack(name.strip(), dedent(source).strip(), expected))
    return found


OUT_OF_GAS = """
# while true
while True: pass
# while a call
while (lambda: True)(): pass
# for over a growing list
items = [0]
for one in items: items.append(one)
# for that only continues
for one in itertools.count(): continue
# for over iter of a callable
for one in iter(int, 1): pass
# swallow by bare except
while True:
    try:
        while True: pass
    except: pass
# swallow by base exception
while True:
    try:
        while True: pass
    except BaseException as error: continue
# swallow in finally continue
while True:
    try:
        while True: pass
    finally:
        continue
# swallow in finally return
def f():
    try:
        while True: pass
    finally:
        return 1
while f(): pass
# swallow by a context manager
class Swallow:
    def __enter__(self): return self
    def __exit__(self, *info): return True
while True:
    with Swallow():
        while True: pass
# swallow by suppress
while True:
    with contextlib.suppress(BaseException):
        while True: pass
# swallow by an exception group
while True:
    try:
        while True: pass
    except* Exception: pass
# swallow and return
try:
    while True: pass
except BaseException: return
# loop in an except type
class Meta(type):
    def __instancecheck__(cls, one): return True
def kinds():
    while True: pass
try: raise ValueError
except kinds(): pass
# generator that never ends
def f():
    while True: yield 1
for one in f(): pass
# generator that swallows its end
def f():
    while True:
        try: yield 1
        except GeneratorExit: continue
made = f()
next(made)
while True:
    try: made.close()
    except RuntimeError: pass
# generator looping in finally
def f():
    try: yield 1
    finally:
        while True: pass
made = f()
next(made)
del made
while True: pass
# yield from without end
def f(): yield from itertools.repeat(1)
list(f())
# recursion
def f(): f()
f()
# recursion that catches
def f():
    try: f()
    except RecursionError: pass
    f()
f()
# recursion that catches all
def f():
    while True:
        try: f()
        except Exception: pass
f()
# mutual recursion by repr
class A:
    def __repr__(self): return repr(self)
repr(A())
# recursion through sorted
def f(x): return sorted([x, x], key=f)
f(1)
# recursion through getattr
class A:
    def __getattr__(self, name): return getattr(self, name + "x")
A().x
# exponential recursion
bomb(10**6)
# comprehension without end
[x for x in itertools.count()]
# comprehension that filters all
[x for x in itertools.count() if x < 0]
# set comprehension over a growing dict of lists
items = [1]
{items.append(x) for x in items}
# generator expression in any
any(x < 0 for x in itertools.count())
# lambda looping through map
list(map(lambda x: x, itertools.repeat(0)))
# list of count
list(itertools.count())
# sum of count
sum(itertools.count())
# max of cycle
max(itertools.cycle([1, 2]))
# deque of count
collections.deque(itertools.count(), maxlen=0)
# in count
-1 in itertools.count()
# in iter of a callable
1 in iter(int, 1)
# tuple of repeat
(*itertools.repeat(0),)
# unpacking repeat
a, *b = itertools.repeat(0)
# set of product
set(itertools.product(range(100), repeat=10))
# permutations
for one in (itertools.permutations(range(50)),): list(one)
# any of filter
any(filter(None, itertools.repeat(0)))
# chain of empties
next(itertools.chain.from_iterable(itertools.repeat(())))
# zip without end
list(zip(itertools.repeat(0), itertools.count()))
# dict from count
dict.fromkeys(itertools.count())
# extend by itself
items = [1]
items.extend(iter(items))
# extend by a map over itself
items = [1]
items.extend(map(abs, items))
# list of a range
list(range(10**12))
# sum of a range
sum(range(10**14))
# a range as arguments
print(*range(10**12))
# a range in a display
[*range(10**12)]
# float in a range
0.5 in range(10**15)
# slice assignment from a range
items = []
items[:] = range(10**12)
# power
2 ** 10**12
# power of names
a, b = 3, 10**11
a ** b
# power in place
a = 3
a **= 10**11
# pow call
pow(3, 10**11)
# pow of three
pow(3, 10**(4000), 10**4000 + 7)
# pow by its method
(3).__pow__(10**11)
# pow by the method of its type
int.__pow__(3, 10**11)
# pow by a bound method kept
f = (3).__pow__
f(10**11)
# pow by operator
operator.pow(3, 10**11)
# pow by reduce
functools.reduce(operator.pow, [9] * 9)
# shift
1 << 10**13
# shift in place
a = 1
a <<= 10**13
# shift by operator
operator.lshift(1, 10**13)
# shift by its method
(1).__lshift__(10**13)
# repeated squaring
a = 3
while True: a = a * a
# repeated squaring in place
a = 3
while True: a *= a
# repeated squaring of powers
a = 3
while True: a = a ** 2 * a
# list times
[0] * 10**12
# list times a name
items, n = [0], 10**12
items * n
# name times a list
items, n = [0], 10**12
n * items
# text times
"x" * 10**13
# text times in place
text = "x"
text *= 10**13
# list times by operator
operator.mul([0], 10**12)
# list times by its method
[0].__mul__(10**12)
# bytes of a number
bytes(10**13)
# bytearray of a number
bytearray(10**13)
# ljust
"x".ljust(10**13)
# center
"x".center(10**13)
# zfill
"1".zfill(10**13)
# expandtabs
"\\t".expandtabs(10**10)
# to bytes
(1).to_bytes(10**13, "big")
# replace
("x" * 10**6).replace("x", "y" * 10**6)
# replace of nothing
("x" * 10**6).replace("", "y" * 10**6)
# join
("x" * 10**6).join(["y"] * 10**6)
# join of references
"".join(["x" * 10**6] * 10**6)
# translate
("x" * 10**6).translate({120: "y" * 10**6})
# percent width
"%10000000000000d" % 1
# percent star
"%*d" % (10**13, 1)
# percent in place
text = "%1000000000d"
text %= (1,)
# format width
"{:10000000000000}".format(1)
# format nested width
"{:{}}".format(1, 10**13)
# format width in an f-string
f"{1:10000000000000}"
# format nested width in an f-string
n = 10**13
f"{1:{n}}"
# format call
format(1, "10000000000000")
# format by getattr
getattr("x", "ljust")(10**13)
# factorial
math.factorial(10**9)
# comb
math.comb(10**10, 10**9)
# prod
math.prod(range(1, 10**9))
# round to millions of digits
round(1, -10**10)
# sum of lists
sum([[0] * 1000] * 10**6, [])
# sort again and again
items = list(range(1000))
while True: items.sort()
# metered methods of a value class
class A:
    def __eq__(self, other):
        while True: pass
A() == A()
# hash that loops
class A:
    def __hash__(self):
        while True: pass
{A(): 1}
# property that loops
class A:
    @property
    def x(self):
        while True: pass
hasattr(A(), "x")
# iteration protocol that loops
class A:
    def __iter__(self): return self
    def __next__(self): return 1
sum(A())
# comparison in sort that loops
class A:
    def __lt__(self, other):
        while True: pass
sorted([A(), A()])
# metaclass that loops
class M(type):
    def __new__(meta, *args):
        while True: pass
class A(metaclass=M): pass
# class body that loops
class A:
    while True: pass
# decorator that loops
def f(g):
    while True: pass
@f
def g(): pass
# default argument that loops
def f(x=[y for y in itertools.count()]): pass
# async comprehension
async def f():
    while True: yield 1
[x async for x in f()]
# async for that continues
async def f():
    while True: yield 1
async for x in f(): continue
# async context that swallows
class A:
    async def __aenter__(self): pass
    async def __aexit__(self, *info): return True
while True:
    async with A():
        while True: pass
# a match guard that loops
def f():
    while True: pass
match 1:
    case 1 if f(): pass
# assertion that loops
assert [x for x in itertools.count() if x < 0]
# a walrus loop
while (x := 1): pass
# a long straight line
exec_like = [lambda: 1]
while True:
    for f in exec_like: f()
# json of a loop of callbacks
json.loads("[1]", parse_int=lambda x: [y for y in itertools.count()])
# re with a callback
re.sub("a", lambda m: [y for y in itertools.count()], "a")
# reduce
functools.reduce(lambda a, b: a, itertools.count())
# partial of a loop
functools.partial(bomb, 10**6)()
# heap reads without end
while True: self.heap.get("x")
# heap writes without end
n = 0
while True:
    self.heap[n % 10] = n
    n += 1
# a stopped iterator
class A:
    def __iter__(self): return iter(int, 1)
list(A())
# cached property that loops
class A:
    @functools.cached_property
    def x(self):
        while True: pass
A().x
# dataclass that loops after init
@dataclasses.dataclass
class A:
    x: int = 0
    def __post_init__(self):
        while True: pass
A()
# catches memory errors
while True:
    try: [0] * 10**12
    except MemoryError: pass
"""

REFUSED = """
# eval
eval("1")
# exec
exec("while True: pass")
# compile
compile("1", "", "eval")
# open
open("/etc/passwd")
# input
input()
# breakpoint
breakpoint()
# globals
globals()["x"] = 1
# the builtins by name
__builtins__["next"] = None
# the builtins by vars of a module
vars(math)
# the module of builtins
builtins.open("x")
# import by name
__import__("os")
# import os
import os
os.getcwd()
# import of ctypes in a function
import ctypes as c
c.string_at(0)
# import of the machine
from runtime.metering import step
step.enter
# sys
sys.settrace(None)
# setrecursionlimit
sys.setrecursionlimit(10**9)
# frames
def f(): yield
f().gi_frame.f_back
# globals of a function
bomb.__globals__
# code of a function
bomb.__code__ = None
# code by getattr
getattr(bomb, "__code__")
# code by attrgetter
operator.attrgetter("__code__")(bomb)
# code by a pattern
match bomb:
    case object(__globals__=names): names["x"] = 1
# builtins of a function
bomb.__builtins__
# closure
bomb.__closure__
# subclasses
object.__subclasses__()
# traceback frames
try: 1 / 0
except ZeroDivisionError as error: error.__traceback__.tb_frame
# make a function
FunctionType(None, {})
# make code
CodeType(0)
# types
types.new_class("x")
# id
id(1)
# hash of text
hash("x")
# clock
time.time()
# clock by name
now()
# datetime
datetime.now()
# randomness
random.random()
# randomness without a seed
random.Random()
# randomness of the system
urandom(3)
# uuid
uuid.uuid4()
# environment
os.environ["HOME"]
# files by os
os.remove("x")
# processes
subprocess.run(["true"])
# exit
os._exit(1)
# sockets
socket.socket()
# threads
threading.Thread(target=bomb)
# sleep
time.sleep(1)
# asyncio
asyncio.sleep(1)
# pickle
pickle.loads(b"")
# garbage collector
gc.disable()
# weak references
weakref.ref(Thing())
# foreign code
ctypes.CDLL(None)
# cache
cached(1)
# make a cache
functools.lru_cache(bomb)
# a finaliser
class A:
    def __del__(self):
        while True: pass
# a finaliser set later
Thing.__del__ = bomb
# a finaliser by setattr
setattr(Thing, "__del__", bomb)
# a finaliser by type
type("A", (), {"__del__": bomb})
# a global
global COUNT
COUNT += 1
# a namespace of its own
class M(type):
    @classmethod
    def __prepare__(meta, name, bases): return collections.defaultdict(lambda: [True])
class A(metaclass=M):
    while True: pass
# printing into a file
print(1, file=self)
# globals by getattribute
object.__getattribute__(bomb, "__globals__")
# globals by a bound getattribute
f = bomb.__getattribute__
f("__globals__")
# globals by a descriptor
type(bomb).__dict__["__globals__"].__get__(bomb)
# globals by a kept descriptor
get = type(bomb).__dict__["__globals__"].__get__
get(bomb)
# globals by a wrapper
class Catch:
    def __setattr__(self, name, value): value.clear()
functools.update_wrapper(Catch(), bomb, ("__globals__",))
# globals by wraps
functools.wraps(bomb, assigned=("__glo" + "bals__",))(Thing())
# globals by a formatter
string.Formatter().get_field("0.__globals__", (bomb,), {})
# globals by positions of a pattern
class Any(type):
    def __instancecheck__(cls, thing): return True
class Open(metaclass=Any):
    __match_args__ = ("__glob" + "als__",)
match bomb:
    case Open(names): names.clear()
# globals by positions set later
Thing.__match_args__ = ("__globals__",)
# evaluation of a type
typing.List["[x for x in iter(int, 1)]"].__args__[0]._evaluate({}, {}, frozenset())
# evaluation of hints
typing.get_type_hints(bomb)
# evaluation of annotations
@functools.singledispatch
def f(x): pass
# the builtins by a builtin
len.__self__.open("x")
# the machine by a subclass of a string
class Name(str):
    def __eq__(self, other): return False
    def __hash__(self): return 0
getattr(bomb, Name("__globals__"))
# a meter filled again
self.machine_meter.fill(2**60)
# a meter that owes less than nothing
getattr(self, "machine_" + "meter").owed = -10**18
# a meter behind the heap
self.heap._machine_meter.fill(2**60)
# the memory behind the heap
self.heap.machine_memory.writes.clear()
# the machine behind a region
self.heap.region().machine_tree.node
# another heap bound
self.machine_bind(None, ("elsewhere",))
# decimal context
import decimal
decimal.getcontext().prec = 10**9
"""

TRAP = """
# text of a long number
str(10**10000)
# number of a long text
int("1" * 10000)
# deep json
json.loads("[" * 100 + "x")
# exit by exception
raise SystemExit
# an exception that cannot be shown
class A(Exception):
    def __str__(self): raise self
raise A
# stop iteration
raise StopIteration
# cancel itself
raise GeneratorExit
# await a number
await 1
# sys by a library
collections._sys.exit()
# import of the meter
import actors.meter
actors.meter.Exhausted
"""

HOST_FAULT = """
# regular expression
re.match(r"(a+)+$", "a" * 60 + "b")
# equality of a graph
a, b = [], []
for _ in range(60): a, b = [a, a], [b, b]
a == b
# repr of a graph
a = []
for _ in range(60): a = [a, a]
repr(a)
# text doubled by plus
text = "x" * 1000
while True: text = text + text
# list doubled by plus
items = [0]
while True: items += items
# hash collisions
collected = {}
for n in range(10**6): collected[n * (2**61 - 1)] = 1
# search in long lists
items = [0.5] * 10**6
while True: 1 in items
# pop from the front
items = [0] * 10**6
while True: items.insert(0, items.pop())
# a list that adds itself
items = [1]
items += iter(items)
# decimal of great exponents
import decimal
int(decimal.Decimal("1e999999999"))
# json indent
json.dumps([1], indent=10**12)
# fractions of powers
import fractions
fractions.Fraction(3) ** 10**9
# random bits
random.Random(1).getrandbits(2 * 10**9)
"""

ATTACKS = [
    *_attacks("out of gas", OUT_OF_GAS),
    *_attacks("refused", REFUSED),
    *_attacks("trap", TRAP),
    *_attacks("host fault", HOST_FAULT),
]


def text() -> str:
    """Return the module's source."""
    parts = [HEAD]
    for attack in ATTACKS:
        body = indent(attack.source, " " * 8)
        parts.append(f"class {attack.program}(Process):\n    async def run(self):\n{body}\n")
    return "\n\n".join(parts)


def write(directory: Path, name: str = "attack_programs") -> ModuleType:
    """Write the module into a directory and import it."""
    path = directory / f"{name}.py"
    path.write_text(text())
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
