"""Instances: a module with its memory and globals, which can be called, and which calls its host.

Whatever a call of an imported function raises in the host ends the call into the module, as a trap does, and is raised
there again. It is kept beside the instance, so that nothing passes from one thread to another.
"""

from __future__ import annotations

import ctypes
import itertools
from ctypes import CFUNCTYPE, POINTER, byref, c_size_t, c_uint64, c_void_p, memmove
from typing import Any, Final, NamedTuple, Protocol

from actors.errors import HostTrouble
from actors.limits import WASM_TABLE_ELEMENTS_MAX
from actors.wasm.binary import GLOBAL, IMPORTS, MEMORY, Checked, ModuleRefused
from actors.wasm.library import (
    call_function,
    caller_context,
    error_delete,
    export_get,
    ffi,
    get_data,
    get_fuel,
    global_get,
    global_set,
    instantiate,
    memory_data,
    memory_grow,
    memory_size,
    set_data,
    set_fuel,
    trap_code,
    trap_delete,
    trap_new,
    wasmtime,
)
from actors.wasm.traps import trap_error


class Module(NamedTuple):
    """A module that was compiled."""

    digest: bytes
    checked: Checked
    #: Linked with what it imports, ready to make instances of.
    linked: Any
    engine: wasmtime.Engine
    #: Whether it uses fuel.
    metered: bool


class Host(Protocol):
    """Who answers an instance's calls of imported functions."""

    def host_call(self, name: str, arguments: list[int]) -> int | None:
        """Perform one, and return its result. What it raises ends the call into the module, and is raised there."""
        ...


#: The types of globals that a heap can keep, with their sizes in bytes.
SIZES: Final = {"i": 4, "I": 8, "f": 4, "F": 8, "v": 16}
_KINDS: Final = {"i": 0, "I": 1, "f": 2, "F": 3, "v": 4}
_IMPORTS: Final = [(name, *kind.split("→")) for name, kind in IMPORTS.items()]

_numbers: Final = itertools.count(1)
#: The instances that may call, by the number that their store carries.
_instances: Final[dict[int, Instance]] = {}


@CFUNCTYPE(c_size_t, c_void_p, c_void_p, POINTER(ffi.wasmtime_val_raw_t), c_size_t)  # type: ignore[untyped-decorator]
def import_called(which: int, caller: int, values: Any, count: int) -> int:
    """Answer a call of an imported function; its parameters stand where its result is to stand."""
    instance = _instances[get_data(caller_context(caller))]
    name, parameters, results = _IMPORTS[which - 1]
    try:
        arguments = [values[i].i64 if kind == "I" else values[i].i32 & 0xFFFF_FFFF for i, kind in enumerate(parameters)]
        assert instance.host is not None
        answer = instance.host.host_call(name, arguments)
        if results:
            values[0].i32 = answer
    except BaseException as error:
        instance.raised = error
        trap: int = trap_new(b"host", 4)
        return trap
    return 0


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
        store = wasmtime.Store(module.engine)
        store.set_limits(memory_bytes_max, WASM_TABLE_ELEMENTS_MAX, 1, 8, 1)
        self._store = store
        self._context: int = ctypes.cast(store._context(), c_void_p).value  # type: ignore[assignment]
        if module.metered:
            # Active segments cost none.
            self.fill(1)
        self._instance = ffi.wasmtime_instance_t()
        trap = c_void_p()
        error = instantiate(
            ctypes.cast(module.linked.ptr(), c_void_p), self._context, byref(self._instance), byref(trap)
        )
        if error:
            told = str(wasmtime.WasmtimeError._from_ptr(ctypes.cast(error, POINTER(ffi.wasmtime_error_t))))
            if "mmap" in told or "allocate" in told:
                raise HostTrouble("NoMemory", told)
            raise ModuleRefused(f"no instance can be made of the module: {told}")
        if trap:
            trap_delete(trap)
            raise ModuleRefused("no instance can be made of the module: a segment lies outside of its memory or table")
        self._found: dict[str, Any] = {}
        self._memory = self._export(MEMORY).memory if module.checked.has_memory else None
        self._number = next(_numbers)
        set_data(self._context, self._number)
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
            there = export_get(self._context, byref(self._instance), form, len(form), byref(extern))
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
        error = call_function(self._context, byref(self._export(name).func), values, len(values), byref(trap))
        raised, self.raised = self.raised, None
        if trap:
            number = ctypes.c_uint8()
            known = trap_code(trap, byref(number))
            trap_delete(trap)
            if raised is not None:
                raise raised
            raise trap_error(number.value if known else -1)
        if error:
            error_delete(error)
            if raised is not None:
                raise raised
            raise HostTrouble("WasmtimeFailed", f"a call of {name} could not be made")
        return int(values[0].i32) if self.module.checked.functions[name].endswith("→i") else None

    # --- fuel ---

    @property
    def fuel(self) -> int:
        """What is left. Where it is 0, more may have been used than there was."""
        left = c_uint64()
        get_fuel(self._context, byref(left))
        return left.value

    def fill(self, fuel: int) -> None:
        """Set what is left."""
        set_fuel(self._context, fuel)

    # --- memory and globals ---

    @property
    def size(self) -> int:
        """The size of its memory, in bytes."""
        return 0 if self._memory is None else int(memory_size(self._context, byref(self._memory)))

    @property
    def address(self) -> int:
        """Where its memory is."""
        return 0 if self._memory is None else int(memory_data(self._context, byref(self._memory)) or 0)

    def grow(self, pages: int) -> bool:
        """Let its memory grow by so many pages of WebAssembly. False: it may not."""
        if self._memory is None:
            return False
        before = c_uint64()
        error = memory_grow(self._context, byref(self._memory), pages, byref(before))
        if error:
            error_delete(error)
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
        global_get(self._context, byref(self._export(name).global_), byref(value))
        return int(value.of.i32) & 0xFFFF_FFFF

    def get_global(self, which: int) -> bytes:
        """Return the bits of the global of that place among those that may change."""
        value = ffi.wasmtime_val_t()
        global_get(self._context, byref(self._export(f"{GLOBAL}{which}").global_), byref(value))
        size = SIZES[self.module.checked.globals[which]]
        return ctypes.string_at(ctypes.addressof(value.of), size)

    def set_global(self, which: int, bits: bytes) -> None:
        """Set it."""
        value = ffi.wasmtime_val_t()
        kind = self.module.checked.globals[which]
        value.kind = ctypes.c_uint8(_KINDS[kind])
        memmove(ctypes.addressof(value.of), bits, SIZES[kind])
        error = global_set(self._context, byref(self._export(f"{GLOBAL}{which}").global_), byref(value))
        assert not error
