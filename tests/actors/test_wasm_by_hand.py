"""WebAssembly processes by hand: what is kept of a module, what its imports do, and what it pays."""

from __future__ import annotations

import struct
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from wasm_modules import ADDER, IMPORTS, LOOPER, Made, module, text
from wasmtime import wat2wasm

from actors import ProgramError
from actors.errors import HostTrouble
from actors.meter import Exhausted
from actors.values import decode, encode
from actors.wasm import PAGE_BYTES, ModuleRefused, StateRefused, WasmProcess, forget_instances
from actors.wasm.gas import CALL_GAS, FUEL_PER_GAS
from actors.wasm.traps import IntegerDivisionByZero, MemoryOutOfBounds, Unreachable

if TYPE_CHECKING:
    from pathlib import Path

ENOUGH = 10_000_000


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    forget_instances()


# --- what is kept --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("forget", [False, True])
@pytest.mark.parametrize("gas", [None, ENOUGH])
def test_memory_and_globals_go_on(forget: bool, gas: int | None) -> None:
    made = Made({"module": ADDER})
    totals = []
    for by in (1, 2, 3, 4):
        made.run(gas, by=by)
        totals.append(made.heap["y"])
        if forget:
            forget_instances()
    assert totals == [1, 3, 6, 10]
    page = made.heap["memory", 20000 // PAGE_BYTES]
    assert struct.unpack_from("<I", page, 20000 % PAGE_BYTES) == (4,)


def test_a_kept_instance_and_one_made_again_cannot_be_told_apart() -> None:
    one, other = Made({"module": ADDER}), Made({"module": ADDER})
    for by in (1, 5, 0, 120, 7):
        used = one.run(ENOUGH, by=by)
        forget_instances()
        assert other.run(ENOUGH, by=by) == used
        forget_instances()
        assert one.heap.digest() == other.heap.digest()
    warm = Made({"module": ADDER})
    for by in (1, 5, 0, 120, 7):
        warm.run(ENOUGH, by=by)
    assert warm.heap.digest() == one.heap.digest()


def test_metered_or_not_the_state_is_the_same() -> None:
    one, other = Made({"module": ADDER}), Made({"module": ADDER})
    for by in (1, 2):
        one.run(None, by=by)
        other.run(ENOUGH, by=by)
    assert one.heap.digest() == other.heap.digest()


def test_only_pages_that_changed_are_written_and_pages_of_zeros_are_absent() -> None:
    store = "(i32.store8 (i32.const 70000) (i32.load8_u (i32.const 4)))"
    made = Made({"module": module(store, '(memory 4) (data (i32.const 0) "abcdE")')})
    made.run()
    assert sorted(made.heap.keys("memory")) == [0, 70000 // PAGE_BYTES]
    before = made.heap.region("memory").digest()
    made.run()
    assert made.heap.region("memory").digest() == before
    made.heap["memory", 0] = bytes(PAGE_BYTES)
    made.run()
    assert ("memory", 70000 // PAGE_BYTES) not in made.heap


def test_what_a_parent_puts_into_pages_is_what_the_module_finds() -> None:
    made = Made({"module": ADDER})
    made.run(by=1)
    page = bytearray(made.heap["memory", 4])
    struct.pack_into("<I", page, 20000 % PAGE_BYTES, 99)
    made.heap["memory", 4] = bytes(page)
    made.run(by=1)
    assert struct.unpack_from("<I", made.heap["memory", 4], 20000 % PAGE_BYTES) == (100,)
    del made.heap["memory", 4]
    made.run(by=1)
    assert struct.unpack_from("<I", made.heap["memory", 4], 20000 % PAGE_BYTES) == (1,)


def test_pages_may_be_put_before_the_first_start() -> None:
    made = Made({"module": ADDER, ("memory", 4): b"\7" + bytes(PAGE_BYTES - 1)})
    made.run(by=1)
    assert made.heap["memory", 4][0] == 7
    assert made.heap["y"] == 1


GLOBALS = """
    (global $a (mut i32) (i32.const 1)) (global $b (mut i64) (i64.const 2)) (global i32 (i32.const 7))
    (global $c (mut f32) (f32.const 0.5)) (global $d (mut f64) (f64.const 0.25)) (global $v (mut v128) (v128.const i64x2 3 4))
    (memory 1)
"""
CHANGED = """
    (global.set $a (i32.sub (global.get $a) (i32.const 3))) (global.set $b (i64.mul (global.get $b) (i64.const -5)))
    (global.set $c (f32.div (f32.const 0) (f32.const 0))) (global.set $d (f64.add (global.get $d) (f64.const 1)))
    (global.set $v (i64x2.add (global.get $v) (global.get $v)))
"""


def test_globals_of_every_number_type_are_kept() -> None:
    made = Made({"module": module(CHANGED, GLOBALS)})
    for _ in range(2):
        made.run()
        forget_instances()
    assert made.heap["wasm"][3] == (
        struct.pack("<i", -5),
        struct.pack("<q", 50),
        bytes.fromhex("0000c07f"),
        struct.pack("<d", 2.25),
        struct.pack("<qq", 12, 16),
    )


def test_memory_that_grew_is_as_large_again() -> None:
    grow = "(i32.store (i32.const 8) (memory.grow (i32.const 1))) (i32.store (i32.const 12) (memory.size))"
    made = Made({"module": module(grow)})
    for size in (2, 3, 4):
        made.run()
        forget_instances()
        assert struct.unpack_from("<II", made.heap["memory", 0], 8) == (size - 1, size)
        assert made.heap["wasm"][2] == size * 65536


class Small(WasmProcess):
    memory_bytes_max = 2 * 65536


def test_memory_does_not_grow_over_its_limit() -> None:
    grow = "(i32.store (i32.const 8) (memory.grow (i32.const 1)))"
    made = Made({"module": module(grow)}, program=Small)
    made.run()
    made.run()
    assert struct.unpack_from("<i", made.heap["memory", 0], 8) == (-1,)
    with pytest.raises(ModuleRefused, match="memory"):
        Made({"module": module("", "(memory 3)")}, program=Small).run()
    with pytest.raises(ProgramError, match="memory_bytes_max"):
        type("Odd", (WasmProcess,), {"memory_bytes_max": -1})


def test_a_start_function_runs_once() -> None:
    code = bytes(
        wat2wasm(
            """(module (memory 1)
            (func $once (i32.store8 (i32.const 0) (i32.add (i32.load8_u (i32.const 0)) (i32.const 1))))
            (func (export "_initialize") (i32.store8 (i32.const 1) (i32.add (i32.load8_u (i32.const 1)) (i32.const 1))))
            (start $once)
            (func (export "run") (i32.store8 (i32.const 2) (i32.add (i32.load8_u (i32.const 2)) (i32.const 1)))))"""
        )
    )
    made = Made({"module": code})
    for n in (1, 2, 3):
        made.run()
        forget_instances()
        assert made.heap["memory", 0][:3] == bytes((1, 1, n))


def test_a_module_without_memory_runs() -> None:
    made = Made({"module": bytes(wat2wasm('(module (func (export "run")))'))})
    made.run()
    made.run(ENOUGH)
    assert made.heap["wasm"][2:4] == (0, ())


# --- where a module comes from -------------------------------------------------------------------------------------


def test_a_class_has_its_module_as_bytes_text_or_path(tmp_path: Path) -> None:
    assert isinstance(ADDER, bytes)

    class ByBytes(WasmProcess):
        module = ADDER

    class ByText(WasmProcess):
        module = f'(module {IMPORTS} (memory 1) (func (export "run") (i32.store (i32.const 0) (i32.const 1))))'

    class ByPath(WasmProcess):
        module = "../../examples/wasm/counter.wat"

    class ByOther(ByPath):
        pass

    Made({"by": 1}, program=ByBytes).run()
    Made({}, program=ByText).run()
    for program in (ByPath, ByOther):
        made = Made({"by": 3}, program=program)
        made.run()
        assert made.heap["total"] == 3
    made = Made({"by": 1, "module": ADDER}, program=ByText)
    made.run()
    assert made.heap["y"] == 1


def test_a_class_without_a_readable_module_is_refused() -> None:
    with pytest.raises(ProgramError, match=r"absent\.wasm cannot be read"):
        type("Absent", (WasmProcess,), {"module": "absent.wasm", "__module__": __name__})
    with pytest.raises(ProgramError, match="path, bytes or text"):
        type("Odd", (WasmProcess,), {"module": 5})

    async def run(self: Any) -> None: ...

    with pytest.raises(ProgramError, match="run is the module's"):
        type("Odd", (WasmProcess,), {"run": run})


@pytest.mark.parametrize(("under", "told"), [(None, "NoneType"), ("text", "str"), (b"", "no WebAssembly")])
def test_what_is_no_module_is_refused(under: Any, told: str) -> None:
    with pytest.raises(ModuleRefused, match=told):
        Made({"module": under}).run()
    with pytest.raises(ModuleRefused, match="there is no module"):
        Made({}).run()


def test_another_module_does_not_get_the_memory_of_one() -> None:
    made = Made({"module": ADDER})
    made.run(by=1)
    with pytest.raises(StateRefused, match="go back to that, or delete"):
        made.run(module=LOOPER)
    made.heap.clear("memory")
    del made.heap["wasm"]
    made.run(module=LOOPER, by=2)
    assert made.heap["y"] == 2


def test_the_state_of_another_release_is_a_host_fault() -> None:
    made = Made({"module": ADDER})
    made.run(by=1)
    state = made.heap["wasm"]
    assert state[0] == "wasmtime 50"
    with pytest.raises(HostTrouble) as trouble:
        made.run(wasm=("wasmtime 7", *state[1:]))
    assert trouble.value.error == "EngineDiffers"


@pytest.mark.parametrize(
    "change",
    [
        lambda state: (*state, 1),
        lambda state: list(state),
        lambda state: (*state[:2], state[2] + 1, *state[3:]),
        lambda state: (*state[:2], -65536, *state[3:]),
        lambda state: (*state[:2], 2**31, *state[3:]),
        lambda state: (*state[:2], 0, *state[3:]),
        lambda state: (*state[:3], (), *state[4:]),
        lambda state: (*state[:3], (b"",), *state[4:]),
        lambda state: (*state[:3], (b"123456789",), *state[4:]),
        lambda state: (*state[:3], (1,), *state[4:]),
        lambda state: (*state[:4], 1, state[5]),
        lambda state: (*state[:5], -1),
        lambda state: (*state[:5], 2**40),
    ],
)
def test_a_forged_state_is_refused(change: Any) -> None:
    made = Made({"module": ADDER})
    made.run(by=1)
    with pytest.raises(StateRefused):
        made.run(wasm=change(made.heap["wasm"]))


def test_a_forged_suspension_of_a_module_that_cannot_wait_is_refused() -> None:
    made = Made({"module": ADDER})
    made.run(by=1)
    state = made.heap["wasm"]
    with pytest.raises(StateRefused, match="suspended"):
        made.run(wasm=(*state[:4], True, state[5]))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (-1, bytes(4096)),
        (16, bytes(4096)),
        (2**60, bytes(4096)),
        ("x", b""),
        ((0, 1), b""),
        (0, b"short"),
        (0, 5),
        (0, None),
    ],
)
def test_pages_that_are_none_are_refused(key: Any, value: Any) -> None:
    made = Made({"module": ADDER})
    made.run(by=1)
    made.heap[("memory", *key) if isinstance(key, tuple) else ("memory", key)] = value
    with pytest.raises(StateRefused):
        made.run()


def test_without_wasmtime_the_error_says_what_to_install() -> None:
    code = "import sys; sys.modules['wasmtime'] = None; import actors; import actors.wasm"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (
        done.stderr.splitlines()[-1] == "ImportError: actors.wasm needs wasmtime: pip install 'lockstep-actors[wasm]'"
    )


# --- imports -------------------------------------------------------------------------------------------------------


def answered(body: str, entries: dict[Any, Any], data: bytes = b"") -> tuple[int, bytes, Made]:
    """Run `body`, an expression of type i32; return its result, and what stands at 512 in the memory then."""
    made = Made(
        {"module": module(f"(i32.store (i32.const 508) {body})", f'(memory 1) (data (i32.const 0) "{text(data)}")')}
    )
    for key, value in entries.items():
        made.heap[key] = value
    made.run(ENOUGH)
    page = made.heap["memory", 0]
    return struct.unpack_from("<i", page, 508)[0], page[512:], made


@pytest.mark.parametrize("value", [None, True, -5, 1.5, "é", b"\0\1", (1, ("a",)), {"a": [1, {2}]}, 2**100])
def test_get_gives_a_value_in_its_canonical_form(value: Any) -> None:
    size, got, made = answered(
        "(call $get (i32.const 0) (i32.const 3) (i32.const 512) (i32.const 256))", {"x": value}, b"\2x\0"
    )
    assert decode(got[:size]) == made.heap["x"]
    assert got[:size] == encode(made.heap["x"])


def test_get_of_what_does_not_fit_gives_its_size_alone() -> None:
    size, got, _ = answered(
        "(call $get (i32.const 0) (i32.const 3) (i32.const 512) (i32.const 3))", {"x": "abcdef"}, b"\2x\0"
    )
    assert (size, got[:4]) == (8, bytes(4))
    size, _, _ = answered("(call $get (i32.const 0) (i32.const 3) (i32.const 512) (i32.const 3))", {}, b"\2x\0")
    assert size == -1


def test_set_and_delete() -> None:
    data = b"\2x\0" + encode((1, "two"))
    body = f"""(call $set (i32.const 0) (i32.const 3) (i32.const 3) (i32.const {len(data) - 3}))
        (i32.add (call $delete (i32.const 0) (i32.const 3)) (i32.shl (call $delete (i32.const 0) (i32.const 3)) (i32.const 4)))"""
    result, _, made = answered(f"(block (result i32) {body})", {}, data)
    assert result == 1
    assert "x" not in made.heap
    _, _, made = answered(
        f"(block (result i32) (call $set (i32.const 0) (i32.const 3) (i32.const 3) (i32.const {len(data) - 3})) (i32.const 0))",
        {},
        data,
    )
    assert made.heap["x"] == (1, "two")


def test_next_walks_over_the_module_s_own_keys_alone() -> None:
    made = Made(
        {
            "module": module(
                """
                (local $size i32) (local $at i32)
                (local.set $at (i32.const 512))
                (block $out (loop $more
                  (local.set $size (call $next (i32.const 256) (local.get $size) (i32.const 256) (i32.const 128)))
                  (br_if $out (i32.lt_s (local.get $size) (i32.const 0)))
                  (memory.copy (local.get $at) (i32.const 256) (local.get $size))
                  (local.set $at (i32.add (local.get $at) (local.get $size)))
                  (br $more)))
                """
            ),
        }
    )
    keys = [b"", b"a", ("a", 1), "a", ("l", 3), "memoirs", "memory\0", ("n", 4), "modul", "wasm2", -1, 0, 2**70, "zz"]
    for key in keys:
        made.heap[key] = 1
    made.run()
    made.run()
    from actors.keys import encode_key

    expected = b"".join(sorted(map(encode_key, keys)))
    assert made.heap["memory", 0][512 : 512 + len(expected) + 1] == expected + b"\0"


def test_abort_traps_with_what_it_says() -> None:
    with pytest.raises(Exception, match="no way") as raised:
        answered("(block (result i32) (call $abort (i32.const 0) (i32.const 6)) (i32.const 0))", {}, b"no way")
    assert type(raised.value).__name__ == "Aborted"


def test_log_goes_to_people_alone(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", "lockstep.wasm"):
        _, _, made = answered(
            "(block (result i32) (call $log (i32.const 0) (i32.const 5)) (i32.const 0))", {}, b"h\xffllo"
        )
    assert caplog.messages == ["h\ufffdllo"]
    assert set(made.heap.keys()) == {"module", ("memory", 0), "wasm"}


@pytest.mark.parametrize(
    ("body", "trap"),
    [
        ("unreachable", Unreachable),
        ("(i32.store (i32.const 65536) (i32.const 0))", MemoryOutOfBounds),
        ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", IntegerDivisionByZero),
    ],
)
def test_traps_have_their_names(body: str, trap: type[Exception]) -> None:
    for gas in (None, ENOUGH):
        with pytest.raises(trap):
            Made({"module": module(body)}).run(gas)


# --- gas -----------------------------------------------------------------------------------------------------------


def test_out_of_gas_at_every_gas_and_the_retry_is_as_if_nothing_had_been() -> None:
    undisturbed = Made({"module": LOOPER})
    first = undisturbed.run(ENOUGH, by=100)
    second = undisturbed.run(ENOUGH, by=101)
    assert len(LOOPER) < first < len(LOOPER) + 1000
    made = Made({"module": LOOPER})
    digest = None
    for gas in [*range(0, len(LOOPER), 97), *range(len(LOOPER), first)]:
        with pytest.raises(Exhausted):
            made.run(gas, by=100)
        assert digest in (None, made.heap.digest())
        digest = made.heap.digest()
    assert made.run(first, by=100) == first
    for gas in range(second):
        with pytest.raises(Exhausted):
            made.run(gas, by=101)
    assert made.run(second + 12345, by=101) == second
    assert made.heap.digest() == undisturbed.heap.digest()


def test_an_endless_loop_uses_all_its_gas() -> None:
    with pytest.raises(Exhausted):
        Made({"module": module("(loop $again (br $again))")}).run(100_000)


def test_bulk_copies_are_paid_by_the_byte() -> None:
    fill = "(memory.fill (i32.const 0) (i32.const 0) (i32.const {}))"
    one = Made({"module": module(fill.format(1_000))}).run(ENOUGH)
    other = Made({"module": module(fill.format(61_000))}).run(ENOUGH)
    assert other - one >= 60_000 // FUEL_PER_GAS


def test_calls_of_the_host_cost_gas_and_a_flood_of_them_ends() -> None:
    body = "(loop $again (drop (call $delete (i32.const 0) (i32.const 3))) (br $again))"
    with pytest.raises(Exhausted):
        Made({"module": module(body, '(memory 1) (data (i32.const 0) "\\02x\\00")')}).run(100 * CALL_GAS + 2000)


def test_charge_takes_gas() -> None:
    one = Made({"module": module("(call $charge (i64.const 200))")}).run(ENOUGH)
    assert Made({"module": module("(call $charge (i64.const 5000))")}).run(ENOUGH) == one + 4800
    with pytest.raises(Exhausted):
        Made({"module": module("(call $charge (i64.const 9223372036854775807))")}).run(ENOUGH)


def test_a_trap_has_used_what_it_ran() -> None:
    body = "(local $n i32) (loop $l (br_if $l (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 9000)))) unreachable"
    code = module(body)
    made = Made({"module": code})
    with pytest.raises(Unreachable):
        made.run(ENOUGH)
    needed = next(gas for gas in range(len(code), ENOUGH) if not _exhausts(code, gas))
    assert 9000 * 3 // FUEL_PER_GAS < needed - len(code) < 9000 * 12 // FUEL_PER_GAS


def _exhausts(code: bytes, gas: int) -> bool:
    try:
        Made({"module": code}).run(gas)
    except Exhausted:
        return True
    except Unreachable:
        return False
    raise AssertionError("it came to its end")


def test_the_largest_meter_is_no_trouble() -> None:
    assert Made({"module": LOOPER}).run(2**62, by=3) == Made({"module": LOOPER}).run(ENOUGH, by=3)
