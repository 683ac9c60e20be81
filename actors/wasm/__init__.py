r"""WebAssembly processes: children whose code may be anybody's. This page is their contract.

    from actors.wasm import WasmProcess

    class Counter(WasmProcess):
        module = "counter.wasm"              # beside this file, or a .wat; or bytes; or text: "(module …)"

    await self.put("counter", {"by": 2}, program=Counter, start=True, gas=10_000)
    await self.put("guest", {"module": code}, program=WasmProcess, start=True, gas=10_000)    # a stranger's module

It is a process like any other, for its parent and for the machine. What stands in its heap under "module" is its module,
else what its class says. An activation calls the exported function `run`, which takes nothing and returns nothing; when
that returns, it is RET. A trap is a failure with the trap's name: `Unreachable`, `MemoryOutOfBounds`, `Aborted`, …

Memory      The linear memory goes on from one activation to the next, and so do the globals that may change. It stands in
            the heap, as pages of 4 KiB under ("memory", N), those of zeros left out; at a RET those are written that
            changed. So GET of the changes, a fork and a merge work by pages, as they do by keys. Tables are the module's
            own at every start: a module that changes them is refused, and one with passive segments as well.
First start A start function, and an exported `_initialize`, run once, before the first `run`; they make no system calls.
Gas         100 fuel are one gas, and whatever the host does for it costs gas too (`actors.wasm.gas`). It cannot see it.
Limits      `memory_bytes_max` of the class; at it, memory.grow gives -1. `actors.limits` has those for modules.
The same    Same module and heap, same result and gas, on every machine, for one major release of wasmtime, the name of
everywhere  which is in the state. NaNs are canonical; there are no threads, no relaxed SIMD, no clock, no randomness and
            no WASI. State of another release ends its process with the host fault `EngineDiffers`. Calls that nest too
            deep for the native stack (4 MiB) are the host fault `StackOverflow`: how deep that is depends on the compiler.

Imports are functions of the module "lockstep". All numbers are i32 but where it says i64. A place and a size that are not
within the memory, bytes that are no key or no value, and whatever else means nothing, trap as `AbiRefused`.

A *key* crosses as in `actors.keys`; of one string it is 02, its UTF-8, 00: in C, "\2name" with the 0 that ends it. A
*value* crosses in the canonical encoding of `actors.values`: an int below 128 is one byte, 80 + n; bytes are 06, their
count, and they. What is given goes to `into`, which has `room` bytes, if it fits there; its size is returned in any case.

    get(key, size, into, room) → size      the value of a key of the heap; -1: there is none
    set(key, size, value, size)            set a key
    delete(key, size) → 0 or 1             delete a key; whether it was there
    next(key, size, into, room) → size     the first key behind this one, in key order; -1: there is none
    call(call, size) → size                make a system call; the size of its answer; -1: it was refused
    answer(into, room) → size              the answer of the last call
    charge(gas: i64)                       use gas
    log(text, size)                        tell people (the logger "lockstep.wasm"); no process sees it
    abort(text, size)                      trap as `Aborted`

The keys "memory", "module" and "wasm" are the process's: no function gives them, and none changes what is below them.

A *call* is a value, a tuple. Children run modules, which are put into their heaps under "module":

    ("make", child, values, delete, start, gas)     PUT, with the child set to the top of a module
    ("put", child, values, delete, start, gas)      PUT; what is left out behind the child: {}, (), False, None
    ("get", child, key, …)                          → the value; of several, a tuple
    ("changes", child)                              → ((key, new value), …); (key,) where it was deleted
    ("merge", child, region)                        fold the child's changes below a key into this heap
    ("status", child)                               → (kind of trap, error, gas, False)
    ("drop", child)
    ("ret",)                                        RET in the middle

The answer of a call that is refused is a tuple as well: (code of the error, what there is to say, gas).

With asyncify   A module that was passed through Binaryen's `wasm-opt --asyncify --pass-arg=asyncify-imports@lockstep.call`
                waits in `call`, as Python waits at an await: it is unwound into its own memory, and goes on there when the
                answer is known; after a RET, at the next start. So it is suspended in the heap, and nothing is ever run
                again to restore it. Its stack is kept where the exported global `lockstep_stack` says: an address of two
                words, the begin and the end of some room; without it two pages are added to the memory at the first wait,
                which a module must not do that takes all of its memory for its own (Emscripten's malloc).
Without         `call` returns 0 at once. The calls are performed in order when `run` has returned, and behind each the
                exported `go_on` is called, if there is one, to look at the answer and, it may be, to call again.

The example modules are in examples/wasm: by hand, in C, and an interpreter of JavaScript.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from actors.errors import ProgramError
from actors.heap import Heap
from actors.limits import WASM_MEMORY_BYTES_MAX
from actors.process import Process
from actors.values import ABSENT, encode
from actors.wasm.binary import ModuleRefused
from actors.wasm.box import Aborted, Box
from actors.wasm.calls import AbiRefused, perform
from actors.wasm.engine import from_text
from actors.wasm.gas import FUEL_PER_GAS
from actors.wasm.idle import forget_instances
from actors.wasm.image import PAGE_BYTES, StateRefused
from actors.wasm.traps import WasmTrap

__all__ = [
    "FUEL_PER_GAS",
    "PAGE_BYTES",
    "AbiRefused",
    "Aborted",
    "ModuleRefused",
    "StateRefused",
    "WasmProcess",
    "WasmTrap",
    "forget_instances",
]

_NONE = encode(None)


class WasmProcess(Process):
    """A program that is a WebAssembly module: that under "module" in its heap, or else that of its class."""

    #: The path of a module, from the file of the class; or its bytes; or its text. What is in the heap goes first.
    module: ClassVar[str | bytes | None] = None
    #: How large its memory may become.
    memory_bytes_max: ClassVar[int] = 64 * 1024 * 1024
    meters_itself: ClassVar[bool] = True
    host_may_fail: ClassVar[bool] = True
    #: It never stops in the middle of `run`: where the module does, that is in its memory.
    journal: ClassVar[bool] = False
    #: The module of the class, read when the class is made.
    _code: ClassVar[str | bytes | None] = None

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if type(cls.memory_bytes_max) is not int or not 0 <= cls.memory_bytes_max <= WASM_MEMORY_BYTES_MAX:
            raise ProgramError(
                f"{cls.__qualname__}: memory_bytes_max is {cls.memory_bytes_max!r}; it is an int, 0 to {WASM_MEMORY_BYTES_MAX}"
            )
        if "run" in cls.__dict__:
            raise ProgramError(f"{cls.__qualname__}: run is the module's; write what Python is to do into the parent")
        if "module" in cls.__dict__:
            cls._code = _read(cls)

    async def run(self) -> None:
        """Run one activation of the module."""
        box = Box(self, self._module(), self.memory_bytes_max)
        try:
            await self._drive(box)
            box.store()
            box.keep()
        except BaseException:
            box.discard()
            raise

    async def _drive(self, box: Box) -> None:
        """Call into the module, and make its system calls, until it returns or makes a RET."""
        if box.fresh:
            box.begin()
        if box.suspended:
            box.resume(True, _NONE)
        else:
            box.run()
        while box.pending:
            call = box.pending.pop(0)
            if call[0] == "ret":
                box.suspended = True
                return
            done, answer = await perform(self, WasmProcess, call)
            if box.waits:
                box.resume(done, answer)
            else:
                box.go_on(done, answer)

    def _module(self) -> bytes:
        given = Heap(self.heap.machine_memory, self.path).get("module", ABSENT)
        if given is not ABSENT:
            if type(given) is not bytes:
                raise ModuleRefused(f"what stands under 'module' is a {type(given).__name__}; it is a module's bytes")
            return given
        code = self._code
        if code is None:
            raise ModuleRefused("there is no module: put its bytes under 'module', or name it in the class")
        return code if isinstance(code, bytes) else _from_text(code)


_from_text = lru_cache(maxsize=64)(from_text)


def _read(cls: type[WasmProcess]) -> str | bytes | None:
    """Return the module of a class: its bytes, or its text."""
    module = cls.module
    if module is None or type(module) is bytes:
        return module
    if type(module) is not str:
        raise ProgramError(f"{cls.__qualname__}: module is a {type(module).__name__}; it is a path, bytes or text")
    if "\n" in module or module.lstrip().startswith(("(", ";")):
        return module
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    path = (Path() if file is None else Path(file).parent) / module
    try:
        return path.read_text() if path.suffix == ".wat" else path.read_bytes()
    except (OSError, UnicodeDecodeError) as error:
        raise ProgramError(f"{cls.__qualname__}: the module {path} cannot be read: {error}") from error
