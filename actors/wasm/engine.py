"""The door to wasmtime: how modules are compiled, so that they do the same everywhere, and how they are called.

What could differ from machine to machine is switched off: threads, shared and 64-bit memories, relaxed SIMD; every NaN
that is computed is the canonical one. What no heap could keep is off as well: garbage collection, exceptions, more than
one memory. There are two engines: one that counts fuel, for metered processes, and one that does not, so that the others
pay nothing for it. Nothing that was compiled is ever read back from bytes.

The package wasmtime keeps the exception of a host function in one variable for all threads (its `_func.py`), and so two
threads may get each other's. Here its C functions are called instead. Those that are over at once keep hold of the GIL:
to let go of it and to get it back costs more than they take, and much more where another thread wants it.
"""

from __future__ import annotations

import ctypes
import itertools
import sys
import threading
from collections import OrderedDict
from ctypes import CFUNCTYPE, POINTER, PYFUNCTYPE, byref, c_bool, c_int, c_int64, c_size_t, c_uint64, c_void_p, memmove
from hashlib import sha256
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

try:
    import wasmtime
    from wasmtime import _ffi as ffi
except ImportError as error:
    raise ImportError("actors.wasm needs wasmtime: pip install 'lockstep-actors[wasm]'") from error

from actors.errors import HostTrouble, LockstepError
from actors.limits import WASM_MODULES_KEPT_MAX, WASM_STACK_BYTES, WASM_TABLE_ELEMENTS_MAX
from actors.wasm.binary import GLOBAL, MEMORY, Checked, ModuleRefused, check

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What stands in the state for the engine that made it. Fuel and results of another release may differ.
ENGINE: Final = f"wasmtime {version('wasmtime').split('.')[0]}"

#: The functions of "lockstep" that a module may import: (name, parameters, results).
IMPORTS: Final = (
    ("get", "iiii", "i"),
    ("set", "iiii", ""),
    ("delete", "ii", "i"),
    ("next", "iiii", "i"),
    ("call", "ii", "i"),
    ("answer", "ii", "i"),
    ("charge", "I", ""),
    ("log", "ii", ""),
    ("abort", "ii", ""),
)


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

# --- wasmtime's C functions ---

_get_fuel: Final = PYFUNCTYPE(c_void_p, c_void_p, POINTER(c_uint64))(("wasmtime_context_get_fuel", ffi.dll))
_set_fuel: Final = PYFUNCTYPE(c_void_p, c_void_p, c_uint64)(("wasmtime_context_set_fuel", ffi.dll))
_set_data: Final = PYFUNCTYPE(None, c_void_p, c_void_p)(("wasmtime_context_set_data", ffi.dll))
_get_data: Final = PYFUNCTYPE(c_void_p, c_void_p)(("wasmtime_context_get_data", ffi.dll))
_caller_context: Final = PYFUNCTYPE(c_void_p, c_void_p)(("wasmtime_caller_context", ffi.dll))
_memory_data: Final = PYFUNCTYPE(c_void_p, c_void_p, c_void_p)(("wasmtime_memory_data", ffi.dll))
_memory_size: Final = PYFUNCTYPE(c_size_t, c_void_p, c_void_p)(("wasmtime_memory_data_size", ffi.dll))
_memory_grow: Final = PYFUNCTYPE(c_void_p, c_void_p, c_void_p, c_uint64, POINTER(c_uint64))(
    ("wasmtime_memory_grow", ffi.dll)
)
_global_get: Final = PYFUNCTYPE(None, c_void_p, c_void_p, c_void_p)(("wasmtime_global_get", ffi.dll))
_global_set: Final = PYFUNCTYPE(c_void_p, c_void_p, c_void_p, c_void_p)(("wasmtime_global_set", ffi.dll))
_export_get: Final = PYFUNCTYPE(c_bool, c_void_p, c_void_p, ctypes.c_char_p, c_size_t, c_void_p)(
    ("wasmtime_instance_export_get", ffi.dll)
)
_trap_code: Final = PYFUNCTYPE(c_bool, c_void_p, POINTER(ctypes.c_uint8))(("wasmtime_trap_code", ffi.dll))
_trap_delete: Final = PYFUNCTYPE(None, c_void_p)(("wasm_trap_delete", ffi.dll))
_trap_new: Final = PYFUNCTYPE(c_void_p, ctypes.c_char_p, c_size_t)(("wasmtime_trap_new", ffi.dll))
_error_delete: Final = PYFUNCTYPE(None, c_void_p)(("wasmtime_error_delete", ffi.dll))
_instantiate: Final = PYFUNCTYPE(c_void_p, c_void_p, c_void_p, c_void_p, POINTER(c_void_p))(
    ("wasmtime_instance_pre_instantiate", ffi.dll)
)
#: The one that runs code, and lets go of the GIL.
_call: Final = CFUNCTYPE(c_void_p, c_void_p, c_void_p, c_void_p, c_size_t, POINTER(c_void_p))(
    ("wasmtime_func_call_unchecked", ffi.dll)
)
_libc: Final = ctypes.PyDLL("msvcrt" if sys.platform == "win32" else None)
#: Tells whether bytes at two addresses differ.
differs: Final = PYFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t)(("memcmp", _libc))


class Host(Protocol):
    """Who answers an instance's calls of imported functions."""

    def host_call(self, name: str, arguments: list[int]) -> int | None:
        """Perform one, and return its result. What it raises ends the call into the module, and is raised there."""
        ...


#: The types of globals that a heap can keep, with their sizes in bytes.
SIZES: Final = {"i32": 4, "i64": 8, "f32": 4, "f64": 8, "v128": 16}
_KINDS: Final = {"i32": 0, "i64": 1, "f32": 2, "f64": 3, "v128": 4}

_numbers: Final = itertools.count(1)
#: The instances that may call, by the number that their store carries.
_instances: Final[dict[int, Instance]] = {}


@CFUNCTYPE(c_size_t, c_void_p, c_void_p, POINTER(ffi.wasmtime_val_raw_t), c_size_t)  # type: ignore[misc, untyped-decorator]
def _import_called(which: int, caller: int, values: Any, count: int) -> int:
    """Answer a call of an imported function; its parameters stand where its result is to stand."""
    instance = _instances[_get_data(_caller_context(caller))]
    name, parameters, results = IMPORTS[which - 1]
    try:
        arguments = [
            values[i].i64 if kind == "I" else values[i].i32 & 0xFFFF_FFFF for i, kind in enumerate(parameters)
        ]
        assert instance.host is not None
        answer = instance.host.host_call(name, arguments)
        if results:
            values[0].i32 = answer
    except BaseException as error:
        instance.raised = error
        trap: int = _trap_new(b"host", 4)
        return trap
    return 0


class Module(NamedTuple):
    """A module that was compiled."""

    digest: bytes
    checked: Checked
    #: Exported functions by name, as parameters and results: "ii→i".
    functions: Mapping[str, str]
    #: Exported globals of type i32, by name.
    words: frozenset[str]
    #: Linked with what it imports, ready to make instances of.
    linked: Any
    metered: bool


class _Engine:
    """wasmtime's engine, with or without fuel, and what was compiled for it."""

    def __init__(self, *, metered: bool) -> None:
        config = wasmtime.Config()
        config.consume_fuel = metered
        config.cranelift_nan_canonicalization = True
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
        for which, (name, parameters, results) in enumerate(IMPORTS, 1):
            kind = wasmtime.FuncType([kinds[one]() for one in parameters], [kinds[one]() for one in results])
            found = ffi.wasmtime_linker_define_func_unchecked(
                self.linker.ptr(),
                ctypes.create_string_buffer(b"lockstep"),
                8,
                ctypes.create_string_buffer(name.encode()),
                len(name),
                kind.ptr(),
                ctypes.cast(_import_called, ffi.wasmtime_func_unchecked_callback_t),
                c_void_p(which),
                ctypes.cast(0, CFUNCTYPE(None, c_void_p)),
            )
            assert not found

    def compile(self, code: bytes, digest: bytes) -> Module:
        checked = check(code)
        try:
            compiled = wasmtime.Module(self.engine, checked.code)
            linked = self.linker.instantiate_pre(compiled)
        except wasmtime.WasmtimeError as error:
            raise ModuleRefused(f"wasmtime refuses the module: {error}") from None
        functions, words = {}, set()
        for export in compiled.exports:
            if isinstance(export.type, wasmtime.FuncType):
                functions[export.name] = "→".join(
                    " ".join(str(one) for one in side) for side in (export.type.params, export.type.results)
                )
            elif isinstance(export.type, wasmtime.GlobalType) and str(export.type.content) == "i32":
                words.add(export.name)
        return Module(digest, checked, functions, frozenset(words), linked, self.metered)


_engines: Final[dict[bool, _Engine]] = {}
_engines_lock: Final = threading.Lock()


def _engine(*, metered: bool) -> _Engine:
    with _engines_lock:
        if metered not in _engines:
            _engines[metered] = _Engine(metered=metered)
        return _engines[metered]


def compiled(code: bytes, digest: bytes, *, metered: bool) -> Module:
    """Return a module, compiled; the last ones of each kind are kept at hand.

    Args:
        code: its bytes.
        digest: their `digest`.
        metered: whether it is to use fuel.

    Raises:
        ModuleRefused: it cannot be a process.
    """
    engine = _engine(metered=metered)
    with engine.lock:
        module = engine.compiled.get(digest)
        if module is not None:
            engine.compiled.move_to_end(digest)
            return module
    module = engine.compile(code, digest)
    with engine.lock:
        engine.compiled[digest] = module
        if len(engine.compiled) > WASM_MODULES_KEPT_MAX:
            engine.compiled.popitem(last=False)
    return module


def digest_of(code: bytes) -> bytes:
    """Return what stands for a module in a state."""
    return sha256(code).digest()


def from_text(text: str) -> bytes:
    """Return the module that WebAssembly text describes. Raises ModuleRefused."""
    try:
        return bytes(wasmtime.wat2wasm(text))
    except wasmtime.WasmtimeError as error:
        raise ModuleRefused(f"this text is no module: {error}") from None


class Instance:
    """An instance of a module, with its memory and its globals.

    Args:
        module: of what.
        memory_bytes_max: how large its memory may become.

    Raises:
        ModuleRefused: it cannot be made, whatever machine this is.
    """

    def __init__(self, module: Module, memory_bytes_max: int) -> None:
        self.module = module
        #: Who answers it; None while it is idle.
        self.host: Host | None = None
        #: What its host raised in the call that is going on.
        self.raised: BaseException | None = None
        store = wasmtime.Store(_engine(metered=module.metered).engine)
        store.set_limits(memory_bytes_max, WASM_TABLE_ELEMENTS_MAX, 1, 8, 1)
        self._store = store
        self._context: int = ctypes.cast(store._context(), c_void_p).value  # type: ignore[assignment]
        if module.metered:
            # Active segments cost none.
            self.fill(1)
        self._instance = ffi.wasmtime_instance_t()
        trap = c_void_p()
        error = _instantiate(
            ctypes.cast(module.linked.ptr(), c_void_p), self._context, byref(self._instance), byref(trap)
        )
        if error:
            told = str(wasmtime.WasmtimeError._from_ptr(ctypes.cast(error, POINTER(ffi.wasmtime_error_t))))
            if "mmap" in told or "allocate" in told:
                raise HostTrouble("NoMemory", told)
            raise ModuleRefused(f"no instance can be made of the module: {told}")
        if trap:
            _trap_delete(trap)
            raise ModuleRefused("no instance can be made of the module: a segment lies outside of its memory or table")
        self._found: dict[str, Any] = {}
        self._memory = self._export(MEMORY).memory if module.checked.has_memory else None
        self._number = next(_numbers)
        _set_data(self._context, self._number)
        _instances[self._number] = self

    def close(self) -> None:
        """Be done with it."""
        _instances.pop(self._number, None)
        self._store.close()

    def _export(self, name: str) -> Any:
        found = self._found.get(name)
        if found is None:
            extern = ffi.wasmtime_extern_t()
            form = name.encode()
            there = _export_get(self._context, byref(self._instance), form, len(form), byref(extern))
            assert there, name
            self._found[name] = found = extern.of
        return found

    # --- calls ---

    def call(self, name: str, *arguments: int) -> int | None:
        """Call an exported function that takes i32s and returns one, or nothing; its type has been looked at.

        Raises:
            WasmTrap: it trapped.
            OutOfFuel: there was not enough.
            HostTrouble: it took more native stack than there is.
            BaseException: what the host raised in a call that it made.
        """
        values = (ffi.wasmtime_val_raw_t * max(1, len(arguments)))()
        for i, argument in enumerate(arguments):
            values[i].i32 = argument
        trap = c_void_p()
        error = _call(self._context, byref(self._export(name).func), values, len(values), byref(trap))
        raised, self.raised = self.raised, None
        if trap:
            number = ctypes.c_uint8()
            known = _trap_code(trap, byref(number))
            _trap_delete(trap)
            if raised is not None:
                raise raised
            raise _trap_error(number.value if known else -1)
        if error:
            _error_delete(error)
            if raised is not None:
                raise raised
            raise HostTrouble("WasmtimeFailed", f"a call of {name} could not be made")
        return int(values[0].i32) if self.module.functions[name].endswith("i32") else None

    # --- fuel ---

    @property
    def fuel(self) -> int:
        """What is left. Where it is 0, more may have been used than there was."""
        left = c_uint64()
        _get_fuel(self._context, byref(left))
        return left.value

    def fill(self, fuel: int) -> None:
        """Set what is left."""
        _set_fuel(self._context, fuel)

    # --- memory and globals ---

    @property
    def size(self) -> int:
        """The size of its memory, in bytes."""
        return 0 if self._memory is None else int(_memory_size(self._context, byref(self._memory)))

    @property
    def address(self) -> int:
        """Where its memory is."""
        return 0 if self._memory is None else int(_memory_data(self._context, byref(self._memory)) or 0)

    def grow(self, pages: int) -> bool:
        """Let its memory grow by so many pages of WebAssembly. False: it may not."""
        before = c_uint64()
        error = _memory_grow(self._context, byref(self._memory), pages, byref(before))
        if error:
            _error_delete(error)
        return not error

    def read(self, at: int, size: int) -> bytes:
        """Return bytes of its memory; the place was checked."""
        return ctypes.string_at(self.address + at, size)

    def write(self, at: int, data: bytes) -> None:
        """Set bytes of its memory; the place was checked."""
        memmove(self.address + at, data, len(data))

    def word(self, name: str) -> int:
        """Return the value of an exported global of type i32."""
        value = ffi.wasmtime_val_t()
        _global_get(self._context, byref(self._export(name).global_), byref(value))
        return int(value.of.i32) & 0xFFFF_FFFF

    def get_global(self, which: int) -> bytes:
        """Return the bits of the global of that place among those that may change."""
        value = ffi.wasmtime_val_t()
        _global_get(self._context, byref(self._export(f"{GLOBAL}{which}").global_), byref(value))
        size = SIZES[self.module.checked.globals[which]]
        return ctypes.string_at(ctypes.addressof(value.of), size)

    def set_global(self, which: int, bits: bytes) -> None:
        """Set it."""
        value = ffi.wasmtime_val_t()
        kind = self.module.checked.globals[which]
        value.kind = _KINDS[kind]
        memmove(ctypes.addressof(value.of), bits, SIZES[kind])
        error = _global_set(self._context, byref(self._export(f"{GLOBAL}{which}").global_), byref(value))
        assert not error


def _trap_error(number: int) -> BaseException:
    """Return the error of a trap of wasmtime's."""
    if number == _STACK_OVERFLOW:
        # How deep calls may go depends on the compiler, so that this is no result.
        return HostTrouble("StackOverflow", f"calls took more than {WASM_STACK_BYTES} bytes of native stack")
    cls = _TRAPS.get(number)
    if cls is None:
        return HostTrouble("WasmtimeFailed", f"a trap of an unknown kind, {number}")
    return cls()
