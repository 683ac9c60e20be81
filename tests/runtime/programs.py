"""Programs as data, an interpreter for them on the real machine, and a generator of random ones.

A program is a nested tuple of instructions; a parent puts it into a child's heap under "code", and a block's input
brings the root's. `Interpreter` and `Top` run it with real system calls, `model.Model` runs the same tuple in plain
dicts. Whatever a program sees (values, changes, traps, errors) goes into its log, and its log into its heap: so what
one process sees differently shows in a heap, and in a root.

The generator asks `pick` for one of a few options again and again, simplest options first. With hypothesis behind
`pick` its choices are searched and shrunk, with `random.Random(seed).choice` they are a seed's.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from model import (
    RESOLVED,
    RESOLVERS,
    brief,
    code_of,
    region_of,
    told,
    told_value,
)

import runtime
from actors import BlockFailed, Process, Root

T = TypeVar("T")
Code = tuple[Any, ...]
Pick = Callable[[Sequence[Any]], Any]


# --- the interpreter -----------------------------------------------------------------------------------------------


class Interpreter(Process):
    """Runs the program in its heap, under "code"."""

    allowed_modules = ("asyncio", "builtins")

    async def run(self) -> None:
        self.log: list[Any] = []
        await self.execute(self.heap.get("code", ()))
        self.heap["log"] = tuple(self.log)

    async def execute(self, code: Code) -> None:
        for op, *arguments in code:
            await getattr(self, f"do_{op}")(*arguments)

    # what needs no call

    async def do_write(self, key, value):
        self.heap[key] = value

    async def do_del(self, key):
        del self.heap[key]

    async def do_clear(self, region):
        self.heap.clear(region_of(region))

    async def do_copy(self, region, key):
        self.heap[key] = self.heap.region(region_of(region))

    async def do_read(self, key):
        self.log.append(("read", brief(self.heap.get(key, "absent"))))

    async def do_count(self):
        self.log.append(("count", len(self.heap)))

    async def do_items(self, region):
        self.log.append(("items", brief(tuple(self.heap.items(region_of(region))))))

    async def do_if(self, key, code):
        if key in self.heap:
            await self.execute(code)

    async def do_try(self, code):
        try:
            await self.execute(code)
        except Exception as error:
            self.log.append(("caught", *told(error)))

    async def do_raise(self, name):
        raise asyncio.CancelledError if name == "CancelledError" else getattr(builtins, name)("as told")

    async def do_foreign(self):
        await asyncio.sleep(0)

    # calls

    async def do_ret(self):
        self.heap["log"] = tuple(self.log)
        changes = await self.ret()
        self.log.append(("ret", brief(told_all(changes))))

    async def do_snapshot(self, data, region):
        self.heap["log"] = tuple(self.log)
        await self.snapshot(data, region=region)

    async def do_put(self, name, values, program, delete, start, gas):
        copied = {key: one if what == "value" else self.heap.region(region_of(one)) for key, (what, one) in values}
        await self.put(
            name,
            copied or None,
            program=PROGRAMS[program],
            delete=[one if what == "key" else region_of(one) for what, one in delete],
            start=start,
            # Never too little: each level has 4,096 times what the one below it has.
            gas=gas and gas >> 12 * len(self.path),
        )

    async def do_fork(self, name, region):
        await self.put(name, self.heap.region(region_of(region)))
        await self.put(name, {"code": ()})  # a fork that ran its parent's program would fork for ever

    async def do_get(self, name, wanted):
        got = await self.get(name, *[one if what == "key" else region_of(one) for what, one in wanted])
        one_by_one = (got,) if len(wanted) == 1 else got
        seen = [
            value if what == "key" else tuple(value.items())
            for (what, _), value in zip(wanted, one_by_one, strict=True)
        ]
        self.log.append(("got", brief(seen[0] if len(seen) == 1 else tuple(seen))))

    async def do_take(self, name, region, key):
        self.heap[key] = await self.get(name, region_of(region))

    async def do_changes(self, name, region):
        changes = await self.get(name)
        self.log.append(("changes", brief(told_all(changes.within(region_of(region))))))

    async def do_merge(self, name, region, resolve):
        if resolve == "map":
            chosen = {region_of(one): settle for one, settle in RESOLVED.items()}
        else:
            chosen = resolve and (lambda key, base, ours, theirs: RESOLVERS[resolve](base, ours, theirs))
        changes = await self.merge(name, region=region_of(region), resolve=chosen)
        self.log.append(("merged", brief(told_all(changes))))

    async def do_status(self, name):
        trap = await self.status(name)
        self.log.append(("status", trap.kind.name, trap.error, trap.middle))

    async def do_drop(self, name):
        await self.drop(name)


class Twice(Interpreter):
    """Another program: runs what is in its heap twice over."""

    async def execute(self, code: Code) -> None:
        top = not hasattr(self, "begun")
        self.begun = True
        await super().execute(code + code if top else code)


class Top(Interpreter, Root):
    """The root: runs what the block's input has; where it closes a block in the middle, the next one's comes first."""

    async def run(self) -> Any:
        self.log = []
        await self.execute(self.heap.get(("block", "code"), self.heap.get("block", ())))
        self.heap["log"] = tuple(self.log)
        return brief(tuple(self.log))

    async def do_snapshot(self, data, region):
        self.heap["log"] = tuple(self.log)
        inputs = await self.snapshot(data, region=region)
        self.log.append(("input", "bare" if isinstance(inputs, tuple) else inputs["n"]))
        await self.execute(code_of(inputs))


PROGRAMS: dict[str | None, type[Process] | None] = {None: None, "Interpreter": Interpreter, "Twice": Twice}


def told_all(changes) -> tuple[Any, ...]:
    return tuple((change.key, told_value(change.old), told_value(change.new)) for change in changes)


# --- the generator -------------------------------------------------------------------------------------------------

KEYS = ("a", "b", ("r", 1), ("r", 2), ("r", "x"), ("r", 1, "y"), b"z", -1, "n")
VALUES = (0, 1, 5, -7, True, None, "text", b"\0", (1, ("two",)), 1.0, "long " * 80)
REGIONS = (
    ("r", None, None),
    ((), None, None),
    (("r", 1), None, None),
    ("r", 1, 3),
    ("r", None, 2),
    ((), "a", "c"),
    ((), "s", 0),
    ("q", None, None),
)
#: Never the whole heap: its "code" would be the parent's, which starts children, and so on for ever.
MOUNTED = tuple(region for region in REGIONS if region[0] != ())
#: What a fork takes of its parent's heap.
FORKED = (((), "a", "c"), ((), "n", 0), ("r", None, None), ((), None, None))
PLACES = ("r", "q", "a", ("r", 1), ("r", 3))
NAMES = ("a", 1, "1")
RAISED = ("ValueError", "KeyError", "SystemExit", "CancelledError")
GAS = 2**60


def some(pick: Pick, most: int, one: Callable[[], T], often: int = 3) -> tuple[T, ...]:
    """Return up to `most` of something: asked before each, so that a shrinker can leave any of them out."""
    made: list[T] = []
    while len(made) < most and pick((False,) + (True,) * often):
        made.append(one())
    return tuple(made)


class Author:
    """Writes the program of one process, and of those below it.

    Args:
        pick: chooses.
        depth: how deep processes may stand below this one.
        root: whether it is the root's program.
    """

    def __init__(self, pick: Pick, depth: int, root: bool = False) -> None:
        self.pick = pick
        self.depth = depth
        self.root = root
        #: The children that this process has started so far, if nothing went wrong.
        self.started: list[Any] = []

    def code(self) -> Code:
        """Return a program."""
        return some(self.pick, 10 if self.root else 6, self.instruction, 12 if self.root else 5)

    def instruction(self) -> Code:
        kinds = ("local", "local", "call", "call", "call", "call", "stop") if self.depth else ("local", "local", "stop")
        kind = self.pick((*kinds, "call", "call") if self.root else kinds)
        if kind == "local":
            return self.local()
        return self.stop() if kind == "stop" else self.tried(self.call())

    def tried(self, made: Code) -> Code:
        """Return an instruction whose errors are mostly caught, the root's more often."""
        return made if self.pick((True, *(False,) * (9 if self.root else 3))) else ("try", (made,))

    def stop(self) -> Code:
        refused = self.pick((False,) * 8 + (True,))
        if self.root is refused:
            return ("try", (("ret",),)) if refused else ("ret",)
        made = ("snapshot", self.pick(VALUES), self.pick((None, "in", ("block", "deep"))))
        return ("try", (made,)) if refused else made

    def local(self) -> Code:
        pick = self.pick
        often = ("write", "write", "write", "write", "read", "del", "clear", "count", "items", "copy")
        op = pick((*often, "if", "try", "raise", "raise", "foreign"))
        if op == "write":
            return op, pick(KEYS), pick(VALUES)
        if op == "read":
            return op, pick(KEYS)
        if op == "del":
            key = pick(KEYS)
            return "if", key, ((op, key),)
        if op == "clear":
            return op, pick(MOUNTED)
        if op == "items":
            return op, pick(REGIONS)
        if op == "copy":
            return op, pick(MOUNTED), pick(PLACES)
        if op == "if":
            return op, pick(KEYS), some(pick, 2, self.instruction)
        if op == "try":
            return op, some(pick, 3, self.instruction)
        if op == "raise":
            failing = ("if", pick(("n", "n", "b")), ((op, pick(RAISED)),))
            return ("try", (failing,)) if self.root and pick((True, True, False)) else failing
        return self.tried((op,))

    # calls

    def call(self) -> Code:
        """Return a call; some are two instructions, in a `try` of their own."""
        pick = self.pick
        if not self.started or pick((False, False, False, True)):
            return self.spawn()
        op = pick(
            (
                *("again", "again", "again", "again", "put", "get", "get", "take", "changes", "changes"),
                *("merge", "merge", "status", "status", "drop", "fork"),
            )
        )
        name = pick((*self.started, *self.started, *NAMES))
        if op == "again":
            return "put", name, self.values(), None, self.deleted(), True, self.gas()
        if op == "put":
            return "put", name, self.values(), pick((None, None, "Interpreter", "Twice")), self.deleted(), False, None
        if op == "get":
            return op, name, (self.wanted(), *some(pick, 2, self.wanted, 1))
        if op == "take":
            return op, name, pick(MOUNTED), pick(PLACES)
        if op == "changes":
            return op, name, pick(REGIONS)
        if op == "merge":
            return op, name, pick(REGIONS), pick((None, "add", "ours", "gone", "map"))
        return (op, name, pick(FORKED)) if op == "fork" else (op, name)

    def spawn(self) -> Code:
        pick = self.pick
        name = pick(NAMES)
        if name not in self.started:
            self.started.append(name)
        values = (("code", ("value", Author(pick, self.depth - 1).code())), *self.values())
        program = pick(("Interpreter", "Interpreter", "Interpreter", "Twice"))
        put = ("put", name, values, program, self.deleted(), True, self.gas())
        return put if pick((True, True, False)) else ("try", (("fork", name, pick(FORKED)), put))

    def values(self) -> Code:
        pick = self.pick
        made = some(pick, 3, lambda: (pick((*KEYS, "n", "n", "n", "n")), ("value", pick(VALUES))), 1)
        return made if pick((True, True, False)) else (*made, (pick(PLACES), ("region", pick(MOUNTED))))

    def deleted(self) -> Code:
        return some(self.pick, 2, lambda: ("key", "n") if self.pick((True, True, False)) else self.wanted(), 1)

    def wanted(self) -> Any:
        return ("key", self.pick((*KEYS, "log"))) if self.pick((True, False)) else ("region", self.pick(MOUNTED))

    def gas(self) -> int | None:
        return self.pick((None, None, None, GAS))


def chain(pick: Pick, blocks: int = 4) -> tuple[Any, ...]:
    """Return one to so many blocks, as `inputs_of` takes them."""
    author = Author(pick, 3, root=True)
    more = lambda: (pick(("map", "map", "map", "bare")), pick((1, 2)), author.code())  # noqa: E731
    return (more(), *some(pick, blocks - 1, more, 6))


def inputs_of(block: tuple[Any, ...]) -> Any:
    """Return what is handed to `advance`."""
    kind, n, program = block
    return program if kind == "bare" else {"code": program, "n": n}


# --- running a list of them in a fresh interpreter -----------------------------------------------------------------


async def roots(blocks: tuple[Any, ...]) -> list[str]:
    """Return the hash of each block of a chain, or the error in its place."""
    made = []
    async with runtime.Runtime(Top) as rt:
        for block in blocks:
            try:
                made.append((await rt.advance(inputs_of(block))).hash.hex())
            except BlockFailed as error:
                made.append(error.error)
    return made


def main() -> None:
    """Read chains from the standard input, one on a line, and print their blocks' hashes."""

    async def every() -> None:
        for line in sys.stdin:
            print(*await roots(ast.literal_eval(line)))

    asyncio.run(every())


if __name__ == "__main__":
    main()
