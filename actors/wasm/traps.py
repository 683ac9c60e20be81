"""Traps: what ends a call into a module, and what becomes of it.

Most are the code's own, and the same everywhere: they fail its process, and the name of the error is what a parent sees.
That the native stack is full is not, for it depends on the compiler how much of it a call takes.
"""

from __future__ import annotations

from typing import Final

from actors.errors import HostTrouble, LockstepError
from actors.limits import WASM_STACK_BYTES
from actors.wasm.library import ffi


class WasmTrap(LockstepError):
    """Code that trapped. The name of its class is what a parent sees."""

    code = "wasm-trap"


class Unreachable(WasmTrap):
    """An `unreachable` instruction."""


class MemoryOutOfBounds(WasmTrap):
    """A load or store outside of the memory."""


class TableOutOfBounds(WasmTrap):
    """A call through a table, outside of it."""


class IndirectCallToNull(WasmTrap):
    """A call through a table where there is no function."""


class BadSignature(WasmTrap):
    """A call through a table to a function of another type."""


class IntegerOverflow(WasmTrap):
    """A division whose result has no place."""


class IntegerDivisionByZero(WasmTrap):
    """A division by zero."""


class BadConversionToInteger(WasmTrap):
    """A float that is no integer of that size."""


class OutOfFuel(Exception):
    """The fuel is used up. Whoever filled it makes an empty meter of that."""


_CODES: Final = ffi.wasmtime_trap_code_enum
_TRAPS: Final[dict[int, type[Exception]]] = {
    _CODES.WASMTIME_TRAP_CODE_UNREACHABLE_CODE_REACHED.value: Unreachable,
    _CODES.WASMTIME_TRAP_CODE_MEMORY_OUT_OF_BOUNDS.value: MemoryOutOfBounds,
    _CODES.WASMTIME_TRAP_CODE_TABLE_OUT_OF_BOUNDS.value: TableOutOfBounds,
    _CODES.WASMTIME_TRAP_CODE_INDIRECT_CALL_TO_NULL.value: IndirectCallToNull,
    _CODES.WASMTIME_TRAP_CODE_BAD_SIGNATURE.value: BadSignature,
    _CODES.WASMTIME_TRAP_CODE_INTEGER_OVERFLOW.value: IntegerOverflow,
    _CODES.WASMTIME_TRAP_CODE_INTEGER_DIVISION_BY_ZERO.value: IntegerDivisionByZero,
    _CODES.WASMTIME_TRAP_CODE_BAD_CONVERSION_TO_INTEGER.value: BadConversionToInteger,
    _CODES.WASMTIME_TRAP_CODE_OUT_OF_FUEL.value: OutOfFuel,
}
_STACK_OVERFLOW: Final = _CODES.WASMTIME_TRAP_CODE_STACK_OVERFLOW.value


def trap_error(number: int) -> BaseException:
    """Return the error of a trap of wasmtime's."""
    if number == _STACK_OVERFLOW:
        # How deep calls may go depends on the compiler, so that this is no result.
        return HostTrouble("StackOverflow", f"calls took more than {WASM_STACK_BYTES} bytes of native stack")
    cls = _TRAPS.get(number)
    if cls is None:
        return HostTrouble("WasmtimeFailed", f"a trap of an unknown kind, {number}")
    return cls()
