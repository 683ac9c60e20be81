"""wasmtime's C functions, and the one of libc that compares memory.

The Python package wasmtime keeps the exception of a host function in one variable for all threads (its `_func.py`), so
that two threads may get each other's. So its C functions are called here instead, for all that is done while code runs.
Those that are over at once keep hold of the GIL: to let go of it and to get it back costs more than they take, and much
more where another thread wants it. The one that runs code lets go of it.
"""

from __future__ import annotations

import ctypes
import sys
from ctypes import CFUNCTYPE, POINTER, PYFUNCTYPE, c_bool, c_int, c_size_t, c_uint64, c_void_p
from typing import Final

try:
    import wasmtime
    from wasmtime import _ffi as ffi
except ImportError as error:
    raise ImportError("actors.wasm needs wasmtime: pip install 'lockstep-actors[wasm]'") from error

__all__ = ["ffi", "wasmtime"]

get_fuel: Final = PYFUNCTYPE(c_void_p, c_void_p, POINTER(c_uint64))(("wasmtime_context_get_fuel", ffi.dll))
set_fuel: Final = PYFUNCTYPE(c_void_p, c_void_p, c_uint64)(("wasmtime_context_set_fuel", ffi.dll))
set_data: Final = PYFUNCTYPE(None, c_void_p, c_void_p)(("wasmtime_context_set_data", ffi.dll))
get_data: Final = PYFUNCTYPE(c_void_p, c_void_p)(("wasmtime_context_get_data", ffi.dll))
caller_context: Final = PYFUNCTYPE(c_void_p, c_void_p)(("wasmtime_caller_context", ffi.dll))
memory_data: Final = PYFUNCTYPE(c_void_p, c_void_p, c_void_p)(("wasmtime_memory_data", ffi.dll))
memory_size: Final = PYFUNCTYPE(c_size_t, c_void_p, c_void_p)(("wasmtime_memory_data_size", ffi.dll))
memory_grow: Final = PYFUNCTYPE(c_void_p, c_void_p, c_void_p, c_uint64, POINTER(c_uint64))(
    ("wasmtime_memory_grow", ffi.dll)
)
global_get: Final = PYFUNCTYPE(None, c_void_p, c_void_p, c_void_p)(("wasmtime_global_get", ffi.dll))
global_set: Final = PYFUNCTYPE(c_void_p, c_void_p, c_void_p, c_void_p)(("wasmtime_global_set", ffi.dll))
export_get: Final = PYFUNCTYPE(c_bool, c_void_p, c_void_p, ctypes.c_char_p, c_size_t, c_void_p)(
    ("wasmtime_instance_export_get", ffi.dll)
)
trap_code: Final = PYFUNCTYPE(c_bool, c_void_p, POINTER(ctypes.c_uint8))(("wasmtime_trap_code", ffi.dll))
trap_delete: Final = PYFUNCTYPE(None, c_void_p)(("wasm_trap_delete", ffi.dll))
trap_new: Final = PYFUNCTYPE(c_void_p, ctypes.c_char_p, c_size_t)(("wasmtime_trap_new", ffi.dll))
error_delete: Final = PYFUNCTYPE(None, c_void_p)(("wasmtime_error_delete", ffi.dll))
instantiate: Final = PYFUNCTYPE(c_void_p, c_void_p, c_void_p, c_void_p, POINTER(c_void_p))(
    ("wasmtime_instance_pre_instantiate", ffi.dll)
)
#: The one that runs code, and lets go of the GIL.
call_function: Final = CFUNCTYPE(c_void_p, c_void_p, c_void_p, c_void_p, c_size_t, POINTER(c_void_p))(
    ("wasmtime_func_call_unchecked", ffi.dll)
)
_libc: Final = ctypes.PyDLL("msvcrt" if sys.platform == "win32" else None)
#: Tells whether bytes at two addresses differ.
differs: Final = PYFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t)(("memcmp", _libc))
