"""Modules as bytes: what is refused before anything is compiled, and what is added so that a module's state can be kept.

What a module knows between two activations is its memory and the globals that may change; both are kept in the heap. All
other state that an instance could have is ruled out here, so that an instance that was made again from the heap cannot be
told from one that was kept: tables that change, and data and element segments that can be dropped, are refused. What
comes from outside is functions of "lockstep" alone, and sizes are bounded before a compiler sees them.

A module that passes is written anew with more exports, under names that no module may use itself:

    lockstep:memory     its memory
    lockstep:global N   the N-th global that may change, in order
    lockstep:start      its start function, which is no start function any more: it has to run once, and not each time
                        that an instance is made

The format is that of the core specification, 2.0 (https://webassembly.github.io/spec/core/binary/). It is read leniently
where wasmtime, which validates the result, is the stricter one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from actors.errors import ProgramError
from actors.limits import (
    WASM_FUNCTION_BYTES_MAX,
    WASM_FUNCTIONS_MAX,
    WASM_GLOBALS_MAX,
    WASM_LOCALS_MAX,
    WASM_MEMORY_BYTES_MAX,
    WASM_MODULE_BYTES_MAX,
    WASM_TABLE_ELEMENTS_MAX,
    WASM_WEIGHT_MAX,
)
from actors.wasm.opcodes import ImmediateError, walk
from actors.wire import varint

if TYPE_CHECKING:
    from collections.abc import Mapping

MEMORY: Final = "lockstep:memory"
START: Final = "lockstep:start"
GLOBAL: Final = "lockstep:global "
WASM_PAGE_BYTES: Final = 65_536

_HEAD: Final = b"\0asm\1\0\0\0"
_CUSTOM, _TYPE, _IMPORT, _FUNCTION, _TABLE, _MEMORY, _GLOBAL, _EXPORT, _START, _ELEMENT, _CODE, _DATA = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
)  # fmt: skip
#: The order in which sections stand: the count of data segments (12) comes before the code.
_ORDER: Final = (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11)
_NUMBERS: Final = {0x7F: "i", 0x7E: "I", 0x7D: "f", 0x7C: "F", 0x7B: "v"}
_REFERENCES: Final = {0x70: "r", 0x6F: "r"}
_LETTERS: Final = _NUMBERS | _REFERENCES

#: What a call weighs.
_CALL_WEIGHT: Final = 16

#: The functions of "lockstep" that a module may import, with their types.
IMPORTS: Final = {
    "get": "iiii→i",
    "set": "iiii→",
    "delete": "ii→i",
    "next": "iiii→i",
    "call": "ii→i",
    "answer": "ii→i",
    "charge": "I→",
    "log": "ii→",
    "abort": "ii→",
}


class ModuleRefused(ProgramError):
    """Bytes that are no WebAssembly module, or one that cannot be a process."""

    code = "module-refused"


class Checked(NamedTuple):
    """A module that may be compiled.

    Types are letters: i and I for the ints of 32 and 64 bits, f and F for the floats, v for a vector, r for a reference.
    """

    #: The module with the exports that are added.
    code: bytes
    #: The types of the functions that it exports, by name: "ii→i". (wasmtime's C interface ends the process where it is
    #: asked for types with vectors in them.)
    functions: Mapping[str, str]
    #: The globals of type i32 that it exports.
    words: frozenset[str]
    #: The types of the globals that may change, in order.
    globals: tuple[str, ...]
    has_memory: bool
    has_start: bool
    #: What it takes to compile it (`limits.WASM_WEIGHT_MAX`).
    weight: int


def check(code: bytes) -> Checked:
    """Check a module, and add what is needed to keep its state.

    Raises:
        ModuleRefused: it cannot be a process.
    """
    if len(code) > WASM_MODULE_BYTES_MAX:
        raise ModuleRefused(f"the module has {len(code)} bytes, over the limit of {WASM_MODULE_BYTES_MAX}")
    if code[:8] != _HEAD:
        what = "a component, or of another version" if code[:4] == _HEAD[:4] else "no WebAssembly"
        raise ModuleRefused(f"these bytes are {what}; a module is core WebAssembly 1, and begins with {_HEAD!r}")
    try:
        return _Module(code).checked()
    except (IndexError, ImmediateError) as error:
        raise ModuleRefused(f"the module is cut off or malformed: {error}") from None


class _Reader:
    """Reads a piece of a module. What runs past its end is an IndexError."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data = data
        self.at = at
        self.end = end

    def byte(self) -> int:
        if self.at >= self.end:
            raise IndexError(f"it ends at byte {self.end}")
        self.at += 1
        return self.data[self.at - 1]

    def number(self, bits: int = 32) -> int:
        number = shift = 0
        while True:
            byte = self.byte()
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number
            if shift >= bits:
                raise IndexError(f"a number at byte {self.at} is too long")

    def take(self, size: int) -> bytes:
        if size > self.end - self.at:
            raise IndexError(f"{size} bytes are announced at byte {self.at}, and it ends at {self.end}")
        self.at += size
        return self.data[self.at - size : self.at]

    def name(self) -> str:
        try:
            return self.take(self.number()).decode()
        except UnicodeDecodeError:
            raise IndexError(f"a name before byte {self.at} is not UTF-8") from None

    def constant(self) -> None:
        """Pass over a constant expression."""
        self.at = walk(self.data, self.at, self.end).end


class _Module:
    """A module while it is checked."""

    def __init__(self, code: bytes) -> None:
        self.sections: dict[int, bytes] = {}
        #: The types of the module, of its functions and of its globals; of those that may change, with their indexes.
        self.types: list[str] = []
        self.functions: list[str] = []
        self.globals: list[tuple[str, bool]] = []
        self.changing: list[tuple[int, str]] = []
        #: Locals of all functions; and what it takes to compile them all.
        self.locals = 0
        self.weight = 0
        reader = _Reader(code, len(_HEAD), len(code))
        before = -1
        while reader.at < reader.end:
            kind, size = reader.byte(), reader.number()
            body = reader.take(size)
            if kind == _CUSTOM:
                continue
            if kind not in _ORDER:
                raise ModuleRefused(f"a section of kind {kind}, which belongs to a feature that is not to be had here")
            place = _ORDER.index(kind)
            if place <= before:
                raise ModuleRefused(f"a section of kind {kind} is in the wrong place, or there twice")
            before = place
            self.sections[kind] = body

    def section(self, kind: int) -> tuple[_Reader, int]:
        """Return a reader behind the count of a section, and the count; 0 where there is none."""
        body = self.sections.get(kind, b"\0")
        reader = _Reader(body, 0, len(body))
        return reader, reader.number()

    def checked(self) -> Checked:
        self.read_types()
        self.check_imports()
        self.read_functions()
        self.check_tables()
        has_memory = self.check_memory()
        self.read_globals()
        self.check_elements()
        self.check_data()
        self.check_code()
        start = self.sections.pop(_START, None)
        functions, words = self.add_exports(has_memory, start)
        parts = [_HEAD]
        for kind in _ORDER:
            body = self.sections.get(kind)
            if body is not None:
                parts += [bytes((kind,)), varint(len(body)), body]
        kinds = tuple([kind for _, kind in self.changing])
        return Checked(b"".join(parts), functions, words, kinds, has_memory, start is not None, self.weight)

    def read_types(self) -> None:
        reader, count = self.section(_TYPE)
        if count > WASM_FUNCTIONS_MAX:
            _too_many("types", count, WASM_FUNCTIONS_MAX)
        for _ in range(count):
            if reader.byte() != 0x60:
                raise ModuleRefused(
                    "a type that is not a function's, which belongs to a feature that is not to be had here"
                )
            sides = ["".join([self.letter(reader) for _ in range(reader.number())]) for _ in range(2)]
            self.types.append("→".join(sides))

    def letter(self, reader: _Reader) -> str:
        kind = reader.byte()
        if kind not in _LETTERS:
            raise ModuleRefused(f"a type of kind {kind:#x}, which belongs to a feature that is not to be had here")
        return _LETTERS[kind]

    def check_imports(self) -> None:
        reader, count = self.section(_IMPORT)
        if count > WASM_FUNCTIONS_MAX:
            _too_many("imports", count, WASM_FUNCTIONS_MAX)
        for _ in range(count):
            module, name, kind = reader.name(), reader.name(), reader.byte()
            if module != "lockstep" or kind != 0:
                what = {0: "function", 1: "table", 2: "memory", 3: "global"}.get(kind, "thing")
                raise ModuleRefused(
                    f"it imports the {what} {module!r} {name!r}; a process imports functions of 'lockstep' alone "
                    "(actors.wasm lists them), no WASI and no JavaScript"
                )
            found = self.types[reader.number()]
            if IMPORTS.get(name) != found:
                known = f"has the type {IMPORTS[name]}, not {found}" if name in IMPORTS else "is not there"
                raise ModuleRefused(f"it imports the function {name!r} of 'lockstep', which {known}; see actors.wasm")
            self.functions.append(found)

    def read_functions(self) -> None:
        reader, count = self.section(_FUNCTION)
        if count > WASM_FUNCTIONS_MAX:
            _too_many("functions", count, WASM_FUNCTIONS_MAX)
        self.functions += [self.types[reader.number()] for _ in range(count)]

    def check_tables(self) -> None:
        reader, count = self.section(_TABLE)
        elements = 0
        for _ in range(count):
            if reader.byte() not in _REFERENCES:
                raise ModuleRefused("a table of a kind that is not to be had here")
            flags = reader.number()
            elements += reader.number(64)
            if flags & 1:
                reader.number(64)
            if elements > WASM_TABLE_ELEMENTS_MAX:
                _too_many("table elements", elements, WASM_TABLE_ELEMENTS_MAX)

    def check_memory(self) -> bool:
        reader, count = self.section(_MEMORY)
        if count > 1:
            raise ModuleRefused(f"it has {count} memories; a process has one")
        if count:
            flags = reader.byte()
            if flags > 1:
                raise ModuleRefused(
                    "its memory is shared, of 64 bits or has pages of its own size; that is not to be had"
                )
            size = reader.number() * WASM_PAGE_BYTES
            if size > WASM_MEMORY_BYTES_MAX:
                raise ModuleRefused(f"its memory begins with {size} bytes, over the limit of {WASM_MEMORY_BYTES_MAX}")
        return count == 1

    def read_globals(self) -> None:
        reader, count = self.section(_GLOBAL)
        for index in range(count):
            kind, changes = self.letter(reader), reader.byte()
            self.globals.append((kind, bool(changes)))
            if changes:
                if kind == "r":
                    raise ModuleRefused(f"global {index} may change and is a reference, which no heap can keep")
                self.changing.append((index, kind))
                if len(self.changing) > WASM_GLOBALS_MAX:
                    _too_many("globals that may change", len(self.changing), WASM_GLOBALS_MAX)
            reader.constant()

    def check_elements(self) -> None:
        reader, count = self.section(_ELEMENT)
        for _ in range(count):
            flags = reader.number()
            if flags & 3 == 1:
                raise ModuleRefused("an element segment that is passive: whether it was dropped would not be kept")
            if flags & 3 == 2:
                reader.number()
            if not flags & 1:
                reader.constant()
            if flags & 3:
                reader.byte()
            for _ in range(reader.number()):
                if flags & 4:
                    reader.constant()
                else:
                    reader.number()

    def check_data(self) -> None:
        reader, count = self.section(_DATA)
        for _ in range(count):
            flags = reader.number()
            if flags == 1:
                raise ModuleRefused("a data segment that is passive: whether it was dropped would not be kept")
            if flags == 2:
                reader.number()
            reader.constant()
            reader.take(reader.number())

    def check_code(self) -> None:
        reader, count = self.section(_CODE)
        imported = len(self.functions) - count
        if imported < 0:
            raise IndexError(f"it has code for {count} functions, and fewer functions")
        for function in range(count):
            size = reader.number()
            if size > WASM_FUNCTION_BYTES_MAX:
                _too_many(f"bytes in function {function}", size, WASM_FUNCTION_BYTES_MAX)
            body = _Reader(reader.data, reader.at, reader.at + size)
            reader.take(size)
            locals_ = self.functions[imported + function].index("→")
            for _ in range(body.number()):
                locals_ += body.number()
                body.byte()
            self.locals += locals_
            if self.locals > WASM_LOCALS_MAX:
                _too_many("locals", self.locals, WASM_LOCALS_MAX)
            walked = walk(body.data, body.at, body.end, whole=True)
            if walked.banned is not None:
                raise ModuleRefused(
                    f"function {function} has the instruction {walked.banned}: tables that change are not kept"
                )
            if walked.end != body.end:
                raise IndexError(f"function {function} goes on behind its end")
            self.weight += (1 + locals_) * (1 + walked.joints) + _CALL_WEIGHT * walked.calls
            if self.weight > WASM_WEIGHT_MAX:
                _too_many("weight (locals times branches, and calls)", self.weight, WASM_WEIGHT_MAX)

    def add_exports(self, has_memory: bool, start: bytes | None) -> tuple[dict[str, str], frozenset[str]]:
        """Add exports. Returns the types of the functions, and the names of the globals of type i32, that are exported."""
        reader, count = self.section(_EXPORT)
        kept = reader.data[reader.at :] if _EXPORT in self.sections else b""
        functions: dict[str, str] = {}
        words: set[str] = set()
        for _ in range(count):
            name = reader.name()
            if name.startswith("lockstep:"):
                raise ModuleRefused(f"it exports {name!r}; names that begin with 'lockstep:' are taken")
            kind, index = reader.byte(), reader.number()
            if kind == 0:
                functions[name] = self.functions[index]
            elif kind == 3 and self.globals[index][0] == "i":
                words.add(name)
        added = [_export(f"{GLOBAL}{i}", 3, varint(index)) for i, (index, _) in enumerate(self.changing)]
        if has_memory:
            added.append(_export(MEMORY, 2, b"\0"))
        if start is not None:
            index = _Reader(start, 0, len(start)).number()
            if self.functions[index] != "→":
                raise ModuleRefused("its start function takes or returns something")
            added.append(_export(START, 0, varint(index)))
        if count + len(added):
            self.sections[_EXPORT] = varint(count + len(added)) + kept + b"".join(added)
        if start is not None:
            functions[START] = "→"
        return functions, frozenset(words)


def _export(name: str, kind: int, index: bytes) -> bytes:
    form = name.encode()
    return varint(len(form)) + form + bytes((kind,)) + index


def _too_many(what: str, count: int, limit: int) -> NoReturn:
    raise ModuleRefused(f"the module has {count} {what}, over the limit of {limit}")
