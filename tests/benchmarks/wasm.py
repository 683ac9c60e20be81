"""WebAssembly children: against Python, against the module called without us, a small exchange, and two on threads.

    python tests/benchmarks/wasm.py [--rounds N]

The algorithm is the same line by line: a sieve of Eratosthenes over a memory of 1 MiB; three times it is about 10 ms. The
Python child is not metered, which is in its favour; the WebAssembly child is bound to a meter, as a process with gas is.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import TYPE_CHECKING, Any

import wasmtime
from turns import in_turns, ratio, report

import runtime
from actors import Process, Root
from actors.memory import Memory
from actors.meter import Meter
from actors.wasm import WasmProcess
from actors.wasm.engine import from_text

if TYPE_CHECKING:
    from collections.abc import Callable

#: Sieves up to "n" (a value of 3 bytes: 03 02 and two of an int, times 32), and says how many primes there are, modulo 128.
SIEVE = """(module
  (import "lockstep" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "lockstep" "set" (func $set (param i32 i32 i32 i32)))
  (memory 16) (data (i32.const 0) "\\02n\\00\\02y\\00")
  (func (export "sieve") (param $n i32) (result i32)
    (local $i i32) (local $j i32) (local $count i32)
    (memory.fill (i32.const 64) (i32.const 1) (local.get $n))
    (local.set $i (i32.const 2))
    (loop $next
      (if (i32.load8_u offset=64 (local.get $i)) (then
        (local.set $count (i32.add (local.get $count) (i32.const 1)))
        (local.set $j (i32.mul (local.get $i) (i32.const 2)))
        (block $out (loop $strike
          (br_if $out (i32.ge_u (local.get $j) (local.get $n)))
          (i32.store8 offset=64 (local.get $j) (i32.const 0))
          (local.set $j (i32.add (local.get $j) (local.get $i)))
          (br $strike)))))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (local.get $count))
  (func (export "run")
    (drop (call $get (i32.const 0) (i32.const 3) (i32.const 8) (i32.const 16)))
    (i32.store8 (i32.const 8) (i32.or (i32.const 128) (i32.and (i32.const 127)
      (call 2 (i32.mul (i32.const 32) (i32.or (i32.shl (i32.load8_u (i32.const 10)) (i32.const 8)) (i32.load8_u (i32.const 11))))))))
    (call $set (i32.const 3) (i32.const 3) (i32.const 8) (i32.const 1))))"""

#: Writes one word of one page of a memory of 1 MiB.
TOUCH = """(module
  (import "lockstep" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "lockstep" "set" (func $set (param i32 i32 i32 i32)))
  (memory 16) (data (i32.const 0) "\\02x\\00\\02y\\00")
  (func $full (local $at i32)
    (loop $again (i32.store offset=4096 (local.get $at) (i32.add (local.get $at) (i32.const 77)))
      (br_if $again (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 512))) (i32.const 1000000)))))
  (start $full)
  (func (export "run")
    (drop (call $get (i32.const 0) (i32.const 3) (i32.const 500000) (i32.const 1)))
    (i32.store (i32.const 500004) (i32.add (i32.const 1) (i32.load (i32.const 500004))))
    (call $set (i32.const 3) (i32.const 3) (i32.const 500000) (i32.const 1))))"""

#: Takes about 100 ms: "n" times 4,096 turns, and says under "y" what came of it.
TURNS = """(module
  (import "lockstep" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "lockstep" "set" (func $set (param i32 i32 i32 i32)))
  (memory 1) (data (i32.const 0) "\\02n\\00\\02y\\00")
  (func (export "run")
    (local $n i32) (local $x i32)
    (drop (call $get (i32.const 0) (i32.const 3) (i32.const 8) (i32.const 16)))
    (local.set $n (i32.shl (i32.or (i32.shl (i32.load8_u (i32.const 10)) (i32.const 8)) (i32.load8_u (i32.const 11)))
      (i32.const 12)))
    (loop $again
      (local.set $x (i32.add (i32.mul (local.get $x) (i32.const 1103515245)) (i32.const 12345)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.store8 (i32.const 8) (i32.or (i32.const 128) (i32.and (i32.const 127) (local.get $x))))
    (call $set (i32.const 3) (i32.const 3) (i32.const 8) (i32.const 1))))"""

N_LARGE = 1_000_000 // 32
#: Three times this is about 10 ms.
N_TEN_MS = 1_020_000 // 32
EXCHANGES = 500


class WasmSieve(WasmProcess):
    module = SIEVE


class TenMs(WasmProcess):
    """The sieve three times."""

    module = SIEVE.replace(
        '(func (export "run")', '(func (export "run")' + 2 * f"(drop (call 2 (i32.const {32 * N_TEN_MS})))"
    )


class Turns(WasmProcess):
    module = TURNS
    placement = "worker"


class Touch(WasmProcess):
    module = TOUCH


class PythonSieve(Process):
    async def run(self) -> None:
        n = self.heap["n"] * 32
        sieve = bytearray(b"\1") * n
        count = 0
        i = 2
        while i < n:
            if sieve[i]:
                count += 1
                j = i * 2
                while j < n:
                    sieve[j] = 0
                    j += i
            i += 1
        self.heap["y"] = count % 128


measured: list[float] = []


class OneChild(Root):
    """Times the PUT, start, RET and GET of a child."""

    program: type[Process]
    n: int

    async def run(self) -> Any:
        await self.put("child", program=self.program)
        # The first time it is compiled and made.
        for _ in range(2):
            await self.put("child", {"n": self.n}, start=True)
            await self.get("child", "y")
        begin = time.perf_counter()
        await self.put("child", {"n": self.n}, start=True)
        assert await self.get("child", "y") == 78_498 % 128
        # A clock inside a program: what it says must not go into the state, so it goes out by the side.
        measured.append(time.perf_counter() - begin)


class PythonChild(OneChild):
    program = PythonSieve
    n = N_LARGE


class WasmChild(OneChild):
    program = WasmSieve
    n = N_LARGE


class Exchange(Root):
    async def run(self) -> Any:
        await self.put("child", {"x": 1}, program=Touch, start=True)
        await self.get("child", "y")
        times = []
        for i in range(EXCHANGES):
            begin = time.perf_counter()
            await self.put("child", {"x": i % 128}, start=True)
            assert await self.get("child", "y") == i % 128
            times.append(time.perf_counter() - begin)
        measured.append(median(times))


class Threads(Root):
    """Starts so many children at once as the block says; each does the same."""

    async def run(self) -> Any:
        count, n = self.heap["block", "count"], self.heap["block", "n"]
        begin = time.perf_counter()
        for name in range(count):
            # No two of them do the same: what was done once on a worker is remembered.
            await self.put(name, {"n": n + name}, program=Turns, start=True)
        for name in range(count):
            await self.get(name, "y")
        measured.append(time.perf_counter() - begin)


def least(measure: Callable[[], float]) -> Callable[[], float]:
    """Return what measures five times, and returns the least: what is compared takes as long as a time slice."""
    return lambda: min(measure() for _ in range(5))


def under_runtime(root: type[Root]) -> float:
    async def main() -> None:
        async with runtime.Runtime(root, workers=0) as rt:
            await rt.advance()

    asyncio.run(main())
    return measured.pop()


def activations(metered: bool) -> Any:
    """Return what times one activation of about 10 ms, its instance at hand."""
    memory = Memory()

    def measure() -> float:
        process = TenMs()
        process.machine_bind(memory, ("a",), Meter(10**12) if metered else None)
        process.heap["n"] = N_TEN_MS
        memory.take_snapshot()
        begin = time.perf_counter()
        try:
            process.run().send(None)
        except StopIteration:
            return time.perf_counter() - begin
        raise AssertionError

    measure()
    return measure


def direct(metered: bool) -> Any:
    """Return what times the function alone, in an instance of wasmtime's own, of the same configuration."""
    config = wasmtime.Config()
    config.consume_fuel = metered
    config.cranelift_nan_canonicalization = True
    engine = wasmtime.Engine(config)
    store = wasmtime.Store(engine)
    if metered:
        store.set_fuel(2**62)
    module = wasmtime.Module(engine, from_text(SIEVE))
    four = wasmtime.FuncType([wasmtime.ValType.i32()] * 4, [wasmtime.ValType.i32()])
    none = wasmtime.FuncType([wasmtime.ValType.i32()] * 4, [])
    imports = [wasmtime.Func(store, four, lambda *_: -1), wasmtime.Func(store, none, lambda *_: None)]
    sieve = wasmtime.Instance(store, module, imports).exports(store)["sieve"]
    assert isinstance(sieve, wasmtime.Func)

    def measure() -> float:
        begin = time.perf_counter()
        for _ in range(3):
            sieve(store, N_TEN_MS * 32)
        return time.perf_counter() - begin

    return measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds

    print("one activation, a sieve up to 1,000,000: in Python, and in WebAssembly")
    figures = in_turns(
        {"Python child": lambda: under_runtime(PythonChild), "wasm child": lambda: under_runtime(WasmChild)}, 5
    )
    report(figures, "ms", 1e3)
    ratio(figures, "Python child", "wasm child", "at least 20")

    print("one activation of about 10 ms, and the function called without us")
    contestants = {
        "metered activation": least(activations(True)),
        "direct with fuel": least(direct(True)),
        "activation": least(activations(False)),
        "direct": least(direct(False)),
    }
    figures = in_turns(contestants, 3 * rounds)
    report(figures, "ms", 1e3)
    ratio(figures, "metered activation", "direct with fuel", "at most 1.1")
    ratio(figures, "activation", "direct", "at most 1.1")
    figures = in_turns({"three, metered": activations(True), "Python child": lambda: under_runtime(PythonChild)}, 5)
    ratio(figures, "Python child", "three, metered", "at least 20 / 3")

    print("PUT + start + RET + GET, a memory of 1 MiB of which one page changes")
    figures = in_turns({"exchange": lambda: under_runtime(Exchange)}, rounds)
    report(figures, "µs", 1e6)
    print("  bar: at most 300 µs")

    print("two on threads, and one after the other")
    with ThreadPoolExecutor(2) as threads:
        asyncio.run(on_threads(threads, rounds // 2))


async def on_threads(threads: ThreadPoolExecutor, rounds: int) -> None:
    figures: dict[str, list[float]] = {"one": [], "two": []}
    async with runtime.Runtime(Threads, workers=2, executor=threads) as rt:
        n = 30_000
        for turn in range(rounds + 1):
            for name, count in (("one", 1), ("two", 2)):
                times = []
                for _ in range(3):
                    n += 5
                    await rt.advance({"count": count, "n": n})
                    times.append(measured.pop() / count)
                if turn:
                    figures[name].append(min(times))
    report(figures, "ms each", 1e3)
    ratio(figures, "one", "two", "at least 1.7")


if __name__ == "__main__":
    main()
