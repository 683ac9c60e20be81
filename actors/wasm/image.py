"""Images: what an instance's memory was when it and the heap were last in step, so that what changed since can be found.

A memory stands in the heap as pages of 4 KiB: ("memory", N) holds the bytes from N·4096 on; a page of zeros is absent. So
two states differ in the pages that differ, and no key says more than its page. wasmtime tells nobody which pages were
written; they are found by comparing, 64 KiB at a time and then page by page, with what memcmp takes for it.
"""

from __future__ import annotations

import ctypes
from ctypes import memmove, memset, string_at
from typing import TYPE_CHECKING, Final

from actors.errors import ProgramError
from actors.keys import encode_key, show_key
from actors.values import ABSENT
from actors.wasm.binary import WASM_PAGE_BYTES
from actors.wasm.library import differs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from actors.memory import Slot
    from actors.wasm.instance import Instance

PAGE_BYTES: Final = 4_096
MEMORY_REGION: Final = "memory"
_ZEROS: Final = bytes(PAGE_BYTES)


class StateRefused(ProgramError):
    """What stands in the heap for a WebAssembly memory cannot be one, or is another module's."""

    code = "state-refused"


class Image:
    """A copy of an instance's memory. It starts as zeros."""

    def __init__(self, size: int) -> None:
        self._bytes = bytearray()
        self.size = 0
        self._address = 0
        self._extend(size)

    def _extend(self, size: int) -> None:
        larger = bytearray(size)
        larger[: self.size] = self._bytes
        self._bytes, self.size = larger, size
        self._address = ctypes.addressof((ctypes.c_char * size).from_buffer(larger)) if size else 0

    def load(self, instance: Instance, pages: Iterable[tuple[Any, Any]]) -> None:
        """Set pages, here and in the memory.

        Raises:
            StateRefused: these are no pages of it.
        """
        size, address = instance.size, instance.address
        for number, data in pages:
            if type(number) is not int or not 0 <= number < size // PAGE_BYTES:
                key = show_key((MEMORY_REGION, *(number if type(number) is tuple else (number,))))
                raise StateRefused(f"the key {key} is no page of a memory of {size} bytes")
            if type(data) is not bytes or len(data) != PAGE_BYTES:
                raise StateRefused(f"what stands under {show_key((MEMORY_REGION, number))} is not {PAGE_BYTES} bytes")
            memmove(self._address + number * PAGE_BYTES, data, PAGE_BYTES)
            memmove(address + number * PAGE_BYTES, data, PAGE_BYTES)

    def clear(self, instance: Instance) -> None:
        """Set the memory to what this is while nothing was loaded: to zeros, which a module's data is not."""
        address = instance.address
        for begin in range(0, self.size, WASM_PAGE_BYTES):
            if differs(address + begin, self._address + begin, WASM_PAGE_BYTES):
                memset(address + begin, 0, WASM_PAGE_BYTES)

    def changed(self, instance: Instance) -> dict[bytes, Slot]:
        """Return what is to be written into a heap, by encoded key, and be in step again."""
        size = instance.size
        if size > self.size:
            self._extend(size)
        now, then = instance.address, self._address
        slots: dict[bytes, Slot] = {}
        for begin in range(0, size, WASM_PAGE_BYTES):
            if not differs(now + begin, then + begin, WASM_PAGE_BYTES):
                continue
            for at in range(begin, begin + WASM_PAGE_BYTES, PAGE_BYTES):
                if differs(now + at, then + at, PAGE_BYTES):
                    data = string_at(now + at, PAGE_BYTES)
                    memmove(then + at, data, PAGE_BYTES)
                    slots[encode_key((MEMORY_REGION, at // PAGE_BYTES))] = ABSENT if data == _ZEROS else data
        return slots
