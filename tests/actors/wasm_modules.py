"""Small modules in text, and a way to run one activation of one by hand."""

from __future__ import annotations

from typing import Any

from wasmtime import wat2wasm

from actors import Heap
from actors.memory import Memory
from actors.meter import Meter
from actors.wasm import WasmProcess

IMPORTS = """
  (import "lockstep" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "lockstep" "set" (func $set (param i32 i32 i32 i32)))
  (import "lockstep" "delete" (func $delete (param i32 i32) (result i32)))
  (import "lockstep" "next" (func $next (param i32 i32 i32 i32) (result i32)))
  (import "lockstep" "call" (func $call (param i32 i32) (result i32)))
  (import "lockstep" "answer" (func $answer (param i32 i32) (result i32)))
  (import "lockstep" "charge" (func $charge (param i64)))
  (import "lockstep" "log" (func $log (param i32 i32)))
  (import "lockstep" "abort" (func $abort (param i32 i32)))
"""


def module(body: str, fields: str = "(memory 1)", more: str = "") -> bytes:
    """Return a module with all imports whose `run` is `body`."""
    return bytes(wat2wasm(f'(module {IMPORTS} {fields} {more} (func (export "run") {body}))'))


def text(data: bytes) -> str:
    """Return bytes as a string of WebAssembly text."""
    return "".join(f"\\{byte:02x}" for byte in data)


#: Adds "by", 0 to 127, to a global and to a word of the memory, and says both: the global under "y".
ADDER = module(
    """
    (drop (call $get (i32.const 0) (i32.const 4) (i32.const 16) (i32.const 1)))
    (global.set $sum (i32.add (global.get $sum) (i32.and (i32.load8_u (i32.const 16)) (i32.const 127))))
    (i32.store (i32.const 20000) (i32.add (i32.load (i32.const 20000)) (i32.const 1)))
    (i32.store8 (i32.const 16) (i32.or (i32.const 128) (i32.and (global.get $sum) (i32.const 127))))
    (call $set (i32.const 4) (i32.const 3) (i32.const 16) (i32.const 1))
    """,
    '(memory 1) (data (i32.const 0) "\\02by\\00\\02y\\00") (global $sum (mut i32) (i32.const 0))',
)

#: Loops as often as "by" says, 0 to 127, and says so under "y".
LOOPER = module(
    """
    (local $n i32)
    (drop (call $get (i32.const 0) (i32.const 4) (i32.const 16) (i32.const 1)))
    (local.set $n (i32.and (i32.load8_u (i32.const 16)) (i32.const 127)))
    (block $out
      (loop $again
        (br_if $out (i32.eqz (local.get $n)))
        (i32.store (i32.const 5000) (i32.add (i32.load (i32.const 5000)) (i32.const 3)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br $again)))
    (call $set (i32.const 4) (i32.const 3) (i32.const 16) (i32.const 1))
    """,
    '(memory 1) (data (i32.const 0) "\\02by\\00\\02y\\00")',
)


class Made:
    """A WebAssembly process without a machine around it, for modules that make no system calls."""

    def __init__(self, entries: dict[Any, Any], *, program: type[WasmProcess] = WasmProcess) -> None:
        self.program = program
        self.memory = Memory()
        self.heap = Heap(self.memory)
        for key, value in entries.items():
            self.heap[key] = value

    def run(self, gas: int | None = None, **entries: Any) -> int:
        """Run an activation; return what it used. What it raises takes it back, as the machine does."""
        for key, value in entries.items():
            self.heap[key] = value
        self.memory.take_snapshot()
        meter = None if gas is None else Meter(gas)
        process = self.program()
        process.machine_bind(self.memory, ("made",), meter)
        activation = process.run()
        try:
            activation.send(None)
        except StopIteration:
            return 0 if meter is None else meter.used
        except BaseException:
            self.memory.revert()
            raise
        activation.close()
        raise AssertionError("it made a system call")
