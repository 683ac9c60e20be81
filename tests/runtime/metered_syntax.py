"""Functions that use every statement and expression that Python has; each returns what it worked out.

`test_metering.py` runs each plain and metered, and compares. Here nothing depends on order of sets or on identities.
Every way to write something is wanted, the worse ones too.
"""

# ruff: noqa

from __future__ import annotations

import collections
import contextlib
import dataclasses
import enum
import functools
import heapq
import itertools
import math
import operator
import re
from collections import deque, namedtuple
from decimal import Decimal
from fractions import Fraction
from functools import partial, reduce, wraps
from typing import Any, ClassVar, NamedTuple

LIMIT = 7
TABLE = {"double": lambda x: 2 * x, "square": lambda x: x**2}


def helper(x: int, *, by: int = LIMIT) -> int:
    """Documented."""
    return x * by


NESTED = [(helper, {"f": helper}), {"g": [helper]}]


def traced(function: Any) -> Any:
    @wraps(function)
    def around(*arguments: Any, **named: Any) -> Any:
        return ["before", function(*arguments, **named), "after"]

    return around


@traced
def decorated(x: int, y: int = 3) -> int:
    return x + y


@contextlib.contextmanager
def opened(log: list[Any]) -> Any:
    log.append("open")
    try:
        yield log
    finally:
        log.append("close")


def counter() -> Any:
    count = 0

    def up(by: int = 1) -> int:
        nonlocal count
        count += by
        return count

    return up


class Colour(enum.Enum):
    RED = 1
    GREEN = 2

    @property
    def other(self) -> Colour:
        for one in Colour:
            if one is not self:
                return one
        raise LookupError


@dataclasses.dataclass(frozen=True, order=True)
class Point:
    x: int
    y: int = 0

    def moved(self, by: int) -> Point:
        return dataclasses.replace(self, x=self.x + by)

    def __add__(self, other: Point) -> Point:
        return Point(self.x + other.x, self.y + other.y)


class Pair(NamedTuple):
    left: int
    right: int

    def swapped(self) -> Pair:
        return Pair(self.right, self.left)


Plain = namedtuple("Plain", "a b")


class Base:
    made: ClassVar[int] = 0

    def __init__(self, name: str) -> None:
        self.name = name

    def hello(self) -> str:
        return f"hello {self.name}"

    @classmethod
    def make(cls, name: str) -> Base:
        return cls(name)

    @staticmethod
    def shout(text: str) -> str:
        return text.upper()

    @functools.cached_property
    def length(self) -> int:
        return len(self.name)


class Derived(Base):
    __slots__ = ("extra",)

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.extra = [name]

    def hello(self) -> str:
        return super().hello() + "!"


class Ticket(Exception):
    pass


async def assignments() -> Any:
    a = b = 1
    c: int = 2
    d: int
    d = 3
    (e, *f), g = [1, 2, 3], 4
    values = [0] * 4
    values[1:3] = range(2)
    values[0] = a
    del values[-1]
    a += 1
    b *= 5
    c **= 3
    d <<= 4
    g //= 3
    e -= 1
    name = "x"
    name *= 3
    name %= ()
    box = Base("box")
    box.name += "es"
    box.number = 3
    box.number **= 2
    table = {"k": 2}
    table["k"] *= 21
    del box.number
    return a, b, c, d, e, f, g, values, name, box.name, table, hasattr(box, "number")


async def operators() -> Any:
    a, b = 13, 5
    return (
        [a + b, a - b, a * b, a / b, a // b, a % b, a**b, a << b, a >> b, a & b, a | b, a ^ b, -a, +a, ~a, not a],
        [
            a < b,
            a <= b,
            a == b,
            a != b,
            a > b,
            a >= b,
            a in (b, 13),
            a not in (b,),
            a is None,
            a is not None,
            1 < a < 20,
        ],
        [a and b, 0 or b, a if b else 0, (c := a + b), c],
        [[1, 2] * 2, "ab" * 3, 3 * (1,), b"x" * 2, 2.5 * a, a * 2.5, a * a * a, [a * 1000, 1000 * b]],
        [
            "%s-%d" % ("a", a),
            "%(x)s" % {"x": b},
            "%5.2f" % 1.5,
            f"{a}",
            f"{a!r:>6}",
            f"{'é'!a}",
            f"{a:{b}d}",
            f"{1.5:.3f}{b=}",
        ],
        [a.__mul__(b), (2).__pow__(5), int.__add__(1, 2), [1].__mul__(2), round(2.567, 2), round(1234, -2), round(2.5)],
        [
            pow(2, 10),
            pow(2, 10, 7),
            pow(2, -1),
            divmod(a, b),
            abs(-3),
            int("12"),
            int("ff", 16),
            float("1.5"),
            complex(1, 2),
        ],
    )


async def displays() -> Any:
    a, d = [1, 2], {"x": 1}
    return (
        [*a, 3],
        (*a, 3),
        sorted({*a, 3}),
        {**d, "y": 2},
        [],
        (),
        {},
        set(),
        a[0],
        a[::-1],
        a[0:1],
        "abc"[1:],
        ...,
        b"bytes",
        None,
        True,
        1_000,
        1.5e3,
        2j,
    )


async def comprehensions() -> Any:
    rows = [[1, 2], [], [3]]

    async def slow() -> Any:
        for x in range(5):
            yield x

    return (
        [x for row in rows for x in row if x > 1 if x < 3],
        sorted({x % 2 for x in range(5)}),
        {x: y for x, y in zip("abc", range(3))},
        list(x + y for x in range(3) for y in range(x)),
        [[x * y for x in range(3)] for y in range(3)],
        [x async for x in slow() if x % 2],
        {x async for x in slow()} == {0, 1, 2, 3, 4},
        [(lambda z: z + x)(1) for x in range(2)],
        [y for x in range(3) if (y := x * 2)],
        [x for x in rows if False],
    )


async def branches() -> Any:
    seen = []
    for x in range(6):
        if x == 0:
            seen.append("zero")
            continue
        elif x == 4:
            break
        else:
            pass
        match x:
            case 1 | 2 if x == 1:
                seen.append("one")
            case 2:
                seen.append(["a long branch", x + 1, x + 2, x + 3, [x, x + 4, (x, x + 5)], {x: x + 6}, sum([x, x, x])])
            case int(real=y):
                seen.append(y)
    else:
        seen.append("never")
    while len(seen) < 8:
        seen.append(len(seen))
        if len(seen) == 100:
            break
    else:
        seen.append("else")
    return seen


async def patterns() -> Any:
    def kind(x: Any) -> Any:
        match x:
            case None | True:
                return "constant"
            case [1, *rest]:
                return "sequence", rest
            case {"k": v, **more}:
                return "mapping", v, more
            case Point(x=0, y=y):
                return "keywords", y
            case Point(a, b):
                return "positions", a, b
            case Colour.RED:
                return "value"
            case str() as text if text:
                return text
            case (a, b):
                return a, b
            case _:
                return "else"

    return [
        kind(x) for x in (None, [1, 2, 3], {"k": 1, "l": 2}, Point(0, 5), Point(3, 4), Colour.RED, "t", "", (1.5, 2), 9)
    ]


async def exceptions() -> Any:
    log: list[Any] = []
    try:
        try:
            raise ValueError("v") from KeyError("k")
        except (TypeError, OSError):
            log.append("wrong")
        except ValueError as error:
            log.append((str(error), type(error.__cause__).__name__))
            raise Ticket("again") from None
        finally:
            log.append("finally")
    except Ticket as ticket:
        log.append(ticket.args)
    else:
        log.append("no")
    try:
        log.append("try")
    except BaseException:
        log.append("no")
    else:
        log.append("else")
    try:
        raise ExceptionGroup("g", [ValueError(1), TypeError(2)])
    except* ValueError as group:
        log.append(len(group.exceptions))
    except* TypeError:
        log.append("type")
    try:
        assert not log, "message"
    except AssertionError as error:
        log.append(str(error))
    for x in range(3):
        try:
            continue
        finally:
            log.append(x)
    return log


def early() -> int:
    try:
        return 1
    finally:
        [1].clear()


async def contexts() -> Any:
    class Async:
        async def __aenter__(self) -> str:
            return "entered"

        async def __aexit__(self, *info: Any) -> bool:
            return info[0] is ValueError

    log: list[Any] = [early()]
    with opened(log) as one, opened(log):
        one.append("inside")
    with contextlib.suppress(KeyError):
        {}["x"]
    async with Async() as word:
        log.append(word)
        raise ValueError
    with contextlib.ExitStack() as stack:
        stack.enter_context(opened(log))
    return log


async def functions() -> Any:
    def many(a: int, /, b: int = 2, *args: int, c: int = 3, **more: int) -> Any:
        """A docstring."""
        return a, b, args, c, sorted(more.items())

    def documented() -> None:
        """Only that."""

    up = counter()
    up()
    add = lambda x, y=1, *z, **w: x + y + sum(z) + len(w)
    return (
        many(1), many(1, 5, 6, 7, c=8, d=9), many(*[1, 2], **{"c": 4}), many.__doc__, documented(), documented.__doc__,
        up(5), add(1), add(1, 2, 3, k=4), decorated(1), decorated.__name__, helper(3), helper(3, by=2), helper.__doc__,
        partial(helper, 4)(), TABLE["double"](4), TABLE["square"](4), NESTED[0][1]["f"](1), NESTED[1]["g"][0](2),
        reduce(operator.add, [1, 2, 3]), list(map(helper, [1, 2])), sorted([3, 1, 2], key=lambda x: -x),
    )  # fmt: skip


async def generators() -> Any:
    def inner() -> Any:
        got = yield 1
        yield got
        return "done"

    def outer() -> Any:
        result = yield from inner()
        yield result
        yield from [7, 8]

    made = outer()
    first = next(made)
    second = made.send("sent")
    rest = list(made)
    endless = itertools.count(3)
    some = [next(endless), next(endless)]
    return (
        first,
        second,
        rest,
        some,
        list(itertools.islice(itertools.cycle("ab"), 5)),
        list(zip(range(3), itertools.repeat(1))),
    )


async def classes() -> Any:
    class Meta(type):
        def __call__(cls, *args: Any) -> Any:
            made = super().__call__(*args)
            made.meta = True
            return made

    class Local(Base, metaclass=Meta):
        count = 0
        items = [x for x in range(3)]

        def __init_subclass__(cls, **more: Any) -> None:
            cls.more = more

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Local) and self.name == other.name

        def __hash__(self) -> int:
            return hash(self.name)

        def __getattr__(self, name: str) -> str:
            return name * 2

        def __len__(self) -> int:
            return 3

    class Below(Local, key=1):
        def hello(self) -> str:
            return super().hello() + "?"

    one = Below("n")
    return (
        one.hello(), one.meta, Below.more, one.absent, len(one), Local.items, one == Below("n"), len({one, Below("n")}),
        Derived("d").hello(), Derived.make("e").hello(), Base.shout("x"), Derived("f").length, isinstance(Derived("g"), Base),
        Colour.RED.other.name, Colour["GREEN"].value, Colour(1).name, Point(1, 2).moved(3), Point(1) + Point(2, 2),
        Point(1) < Point(2), Pair(1, 2).swapped(), Plain(1, b=2)._replace(a=5), type(one).__name__, Local.__module__ == Base.__module__,
        type("Made", (Base,), {"z": 1})("q").z,
    )  # fmt: skip


async def imports() -> Any:
    import collections.abc
    import math as m
    from itertools import chain

    return (
        m.floor(2.5),
        list(chain([1], [2])),
        isinstance([], collections.abc.Sequence),
        math.comb(5, 2),
        math.factorial(5),
    )


async def library() -> Any:
    counts = collections.Counter("abca")
    lines = deque([1, 2, 3], maxlen=2)
    ordered = collections.OrderedDict(a=1)
    by = collections.defaultdict(list)
    by["x"].append(1)
    return (
        sorted(counts.items()), list(lines), dict(ordered), dict(by), str(Decimal("1.1") + 1), Fraction(1, 3) + 1,
        re.sub(r"\d+", lambda m: str(int(m[0]) * 2), "a1b22"), " ".join(["a", "b"]), "a-b".replace("-", "+"), "x".ljust(3, "."),
        "{:>4}|{}".format(1, 2), "a\tb".expandtabs(4), "abc".translate({97: "zz"}), (258).to_bytes(2, "big"), "7".zfill(3),
        [3, 1].copy(), sum([1, 2], 3), sum([[1], [2]], []), min([3, 2]), max(3, 4), min("b", "a"), any([0, 1]), all([]),
        list(enumerate("ab", 1)), list(reversed([1, 2])), list(filter(None, [0, 1])), tuple(range(3)), frozenset([1]) == {1},
        dict([("a", 1)], b=2), bytes([1, 2]), bytearray(2), bytes(2), list(iter([3, 1].pop, 3)), isinstance(1, (int, str)),
        getattr(Base, "made"), vars(Point(1, 2)), dict.fromkeys("ab", 0), type(1), int is type(1), sorted("cab", reverse=True),
        operator.attrgetter("x")(Point(4)), operator.itemgetter(1)([1, 2]), operator.methodcaller("upper")("a"), hash(12), chr(97),
        list(itertools.product("ab", repeat=2)), isinstance(True, int), issubclass(bool, int), callable(helper), "ab".join("cd"),
    )  # fmt: skip


async def awaiting() -> Any:
    class Later:
        def __init__(self, value: int) -> None:
            self.value = value

        def __await__(self) -> Any:
            return self.value
            yield

    async def twice(x: int) -> int:
        return x + await Later(x)

    class Steps:
        def __init__(self) -> None:
            self.at = 0

        def __aiter__(self) -> Steps:
            return self

        async def __anext__(self) -> int:
            self.at += 1
            if self.at > 3:
                raise StopAsyncIteration
            return self.at

    found = []
    async for x in Steps():
        found.append(await twice(x))
    else:
        found.append("else")
    return found


async def sorting() -> Any:
    class Word:
        def __init__(self, text: str) -> None:
            self.text = text

        def __lt__(self, other: Word) -> bool:
            return len(self.text) < len(other.text)

    words = [Word("w" * (i * 7919 % 23) + str(i)) for i in range(70)]
    by_word = [(Word(str(i * 31 % 7)), i) for i in range(3)]
    kept = list(words)
    kept.sort(reverse=True)
    numbers = [(i * 37 % 11, -i) for i in range(40)]
    in_place = list(numbers)
    in_place.sort(key=lambda pair: pair[1] % 5, reverse=True)
    return (
        [word.text for word in sorted(words)],
        [word.text for word in kept],
        [word.text for word in sorted(words, key=lambda word: word)],
        [word.text for word in sorted(words, key=lambda word: word.text[::-1], reverse=True)],
        sorted(numbers), sorted(numbers, key=lambda pair: pair[0]), in_place, sorted("hello"), sorted({3: 1, 1: 2}),
        [word.text for word in heapq.nsmallest(3, words)], [word.text for word in heapq.nlargest(3, words)],
        heapq.nsmallest(2, numbers, key=lambda pair: -pair[0]), len(by_word), list.sort(kept), kept[0].text,
    )  # fmt: skip


ALL = [
    assignments, operators, displays, comprehensions, branches, patterns, exceptions, contexts, functions, generators, classes,
    imports, library, awaiting, sorting,
]  # fmt: skip
