"""Engines: how modules are compiled, so that they do the same everywhere.

What could differ from machine to machine is switched off: threads, shared and 64-bit memories, relaxed SIMD; every NaN
that is computed is the canonical one. What no heap could keep is off as well: garbage collection, exceptions, more than
one memory. There are two engines: one that counts fuel, for metered processes, and one that does not, so that the others
pay nothing for it. Nothing that was compiled is ever read back from bytes.
"""

from __future__ import annotations

import ctypes
import threading
from collections import OrderedDict
from ctypes import CFUNCTYPE, c_void_p
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from actors.limits import WASM_MODULES_KEPT_MAX, WASM_STACK_BYTES
from actors.wasm.binary import IMPORTS, ModuleRefused, check
from actors.wasm.instance import Module, import_called
from actors.wasm.library import ffi, wasmtime

if TYPE_CHECKING:
    from collections.abc import Callable

#: What stands in the state for the engine that made it. Fuel and results of another release may differ.
ENGINE: Final = f"wasmtime {version('wasmtime').split('.')[0]}"


class _Engine:
    """wasmtime's engine, with or without fuel, and what was compiled for it."""

    def __init__(self, *, metered: bool) -> None:
        config = wasmtime.Config()
        config.consume_fuel = metered
        config.cranelift_nan_canonicalization = True
        # Nothing is async here; but wasmtime wants that stack to be the larger one.
        ffi.wasmtime_config_async_stack_size_set(config.ptr(), 2 * WASM_STACK_BYTES)
        config.max_wasm_stack = WASM_STACK_BYTES
        config.wasm_simd = config.wasm_bulk_memory = config.wasm_multi_value = config.wasm_reference_types = True
        config.wasm_threads = config.wasm_relaxed_simd = config.wasm_memory64 = config.wasm_multi_memory = False
        config.wasm_tail_call = config.wasm_gc = config.wasm_function_references = config.wasm_exceptions = False
        config.wasm_custom_page_sizes = config.wasm_wide_arithmetic = config.wasm_stack_switching = False
        config.wasm_component_model = config.shared_memory = False
        self.metered = metered
        self.engine = wasmtime.Engine(config)
        self.linker = wasmtime.Linker(self.engine)
        self.compiled: OrderedDict[bytes, Module] = OrderedDict()
        self.lock = threading.Lock()
        kinds = {"i": wasmtime.ValType.i32, "I": wasmtime.ValType.i64}
        for which, (name, type_text) in enumerate(IMPORTS.items(), 1):
            parameters, results = type_text.split("→")
            kind = wasmtime.FuncType([kinds[one]() for one in parameters], [kinds[one]() for one in results])
            found = ffi.wasmtime_linker_define_func_unchecked(
                self.linker.ptr(),
                ctypes.create_string_buffer(b"lockstep"),
                8,
                ctypes.create_string_buffer(name.encode()),
                len(name),
                kind.ptr(),
                ctypes.cast(import_called, ffi.wasmtime_func_unchecked_callback_t),
                c_void_p(which),
                ctypes.cast(0, CFUNCTYPE(None, c_void_p)),
            )
            assert not found

    def compile(self, code: bytes, digest: bytes, pay: Callable[[int], None]) -> Module:
        checked = check(code)
        pay(checked.weight)
        try:
            compiled = wasmtime.Module(self.engine, checked.code)
            linked = self.linker.instantiate_pre(compiled)
        except wasmtime.WasmtimeError as error:
            raise ModuleRefused(f"wasmtime refuses the module: {error}") from None
        return Module(digest, checked, linked, self.engine, self.metered)


_engines: Final[dict[bool, _Engine]] = {}
_engines_lock: Final = threading.Lock()


def _engine(*, metered: bool) -> _Engine:
    with _engines_lock:
        if metered not in _engines:
            _engines[metered] = _Engine(metered=metered)
        return _engines[metered]


def compiled(code: bytes, digest: bytes, pay: Callable[[int], None], *, metered: bool) -> Module:
    """Return a module, compiled; the last ones of each kind are kept at hand.

    Args:
        code: its bytes.
        digest: their `digest`.
        pay: called with what it weighs, before it is compiled; also where that was done already.
        metered: whether it is to use fuel.

    Raises:
        ModuleRefused: it cannot be a process.
    """
    engine = _engine(metered=metered)
    with engine.lock:
        module = engine.compiled.get(digest)
        if module is not None:
            engine.compiled.move_to_end(digest)
    if module is not None:
        pay(module.checked.weight)
        return module
    module = engine.compile(code, digest, pay)
    with engine.lock:
        engine.compiled[digest] = module
        if len(engine.compiled) > WASM_MODULES_KEPT_MAX:
            engine.compiled.popitem(last=False)
    return module


@lru_cache(maxsize=16)
def digest_of(code: bytes) -> bytes:
    """Return what stands for a module in a state."""
    return sha256(code).digest()


def from_text(text: str) -> bytes:
    """Return the module that WebAssembly text describes. Raises ModuleRefused."""
    try:
        return bytes(wasmtime.wat2wasm(text))
    except wasmtime.WasmtimeError as error:
        raise ModuleRefused(f"this text is no module: {error}") from None
