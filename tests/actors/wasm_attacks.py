"""What a module may try, and how each attempt has to end: as one of the named errors, with its process at its snapshot.

Each is a heap's entries (the module under "module") and the class names of the errors of which one must come of it.
"""

from __future__ import annotations

from typing import Any, Final

from wasm_modules import IMPORTS, module, text
from wasmtime import wat2wasm

from actors.limits import WASM_FUNCTION_BYTES_MAX, WASM_MODULE_BYTES_MAX
from actors.values import encode
from actors.wire import varint

REFUSED: Final = frozenset({"ModuleRefused"})
ABI: Final = frozenset({"AbiRefused"})
GAS: Final = frozenset({"Exhausted"})
HEAD: Final = b"\0asm\1\0\0\0"


def section(kind: int, *parts: bytes) -> bytes:
    """Return a section that is a list of parts."""
    body = varint(len(parts)) + b"".join(parts)
    return bytes((kind,)) + varint(len(body)) + body


def binary(
    *sections: bytes, body: bytes = b"\x0b", locals_: bytes = b"\0", run_type: bytes = b"\x60\0\0", copies: int = 1
) -> bytes:
    """Return a module, put together by hand, whose functions have `body`; the first is `run`."""
    size = varint(len(locals_ + body))
    return b"".join(
        (
            HEAD,
            section(1, run_type),
            section(3, *[b"\0"] * copies),
            *[one for one in sections if one[0] in (4, 5, 6)],
            section(7, b"\3run\0\0"),
            *[one for one in sections if one[0] in (8, 9, 13)],
            section(10, *[size + locals_ + body] * copies),
            *[one for one in sections if one[0] in (0, 11)],
        )
    )  # fmt: skip


def wat(source: str) -> bytes:
    return bytes(wat2wasm(source))


def abi(body: str, data: bytes = b"") -> bytes:
    """Return a module that makes one call of an import, with some bytes at 0 in its one page of memory."""
    return module(body, f'(memory 1) (data (i32.const 0) "{text(data)}")')


def set_value(form: bytes) -> bytes:
    return abi(f"(call $set (i32.const 0) (i32.const 3) (i32.const 3) (i32.const {len(form)}))", b"\2x\0" + form)


def set_key(key: bytes) -> bytes:
    return abi(f"(call $set (i32.const 1) (i32.const {len(key)}) (i32.const 0) (i32.const 1))", b"\x81" + key)


def make_call(call: Any) -> bytes:
    form = call if type(call) is bytes else encode(call)
    return abi(f"(drop (call $call (i32.const 0) (i32.const {len(form)})))", form)


def fake_asyncify(start_unwind: str, run: str, *, stack: int = 256, start_rewind: str = "") -> bytes:
    """Return a module that pretends to have been made with asyncify; at 0 stands a call for RET."""
    call = encode(("status", "nobody"))
    return module(
        run.replace("CALL", f"(call $call (i32.const 0) (i32.const {len(call)}))"),
        f'(memory 1) (data (i32.const 0) "{text(call)}") (global (export "lockstep_stack") i32 (i32.const {stack}))',
        f"""(func (export "asyncify_start_unwind") (param i32) {start_unwind})
        (func (export "asyncify_stop_unwind"))
        (func (export "asyncify_start_rewind") (param i32) {start_rewind})
        (func (export "asyncify_stop_rewind"))""",
    )


_LOOP: Final = "(loop $again (br $again))"
_NESTED: Final = b"\7\1" * 70 + b"\0"

ATTACKS: Final[dict[str, tuple[bytes, frozenset[str]]]] = {
    # --- what never ends, or takes all there is ---
    "an endless loop": (module(_LOOP), GAS),
    "an endless loop in the start function": (
        wat(f'(module (func $s {_LOOP}) (start $s) (func (export "run")))'),
        GAS,
    ),
    "an endless loop in _initialize": (wat(f'(module (func (export "_initialize") {_LOOP}) (func (export "run")))'), GAS),
    "recursion without end": (
        wat('(module (func $f (export "run") (call $f) (call $f)))'),
        frozenset({"HostTrouble", "Exhausted"}),
    ),
    "recursion through a table, with large frames": (
        wat(
            '(module (table 1 funcref) (elem (i32.const 0) $f) (type $t (func (param i64) (result i64)))'
            "(func $f (type $t) (i64.add (local.get 0) (call_indirect (type $t) (i64.mul (local.get 0) (i64.const 3)) (i32.const 0))))"
            '(func (export "run") (drop (call $f (i64.const 1)))))'
        ),
        frozenset({"HostTrouble", "Exhausted"}),
    ),
    "branching recursion that is not deep": (
        wat(
            '(module (func $f (param i32) (if (local.get 0) (then (call $f (i32.sub (local.get 0) (i32.const 1)))'
            '(call $f (i32.sub (local.get 0) (i32.const 1)))))) (func (export "run") (call $f (i32.const 60))))'
        ),
        GAS,
    ),
    "a flood of calls of the host": (
        abi("(loop $again (drop (call $delete (i32.const 0) (i32.const 3))) (br $again))", b"\2x\0"),
        GAS,
    ),
    "a flood of log lines": (abi("(loop $again (call $log (i32.const 0) (i32.const 60000)) (br $again))"), GAS),
    "a flood of system calls that are put off": (
        abi("(loop $again (drop (call $call (i32.const 0) (i32.const 14))) (br $again))", encode(("drop", "abcd"))),
        frozenset({"LimitExceeded"}),
    ),
    "a flood of entries": (
        abi(
            "(local $n i32) (loop $again (i32.store (i32.const 8) (i32.or (i32.const 0x01010101) (local.tee $n (i32.add"
            " (local.get $n) (i32.const 1))))) (call $set (i32.const 7) (i32.const 6) (i32.const 0) (i32.const 1)) (br $again))",
            b"\0\0\0\0\0\0\0\1\7\7\7\7\0",
        ),
        frozenset({"Exhausted", "AbiRefused"}),
    ),
    "memory.fill of all memory, again and again": (
        module("(loop $again (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br $again))"),
        GAS,
    ),
    "memory that grows to its limit and is written": (
        module(
            "(local $at i32) (loop $again (drop (memory.grow (i32.const 1)))"
            "(i32.store (local.get $at) (i32.const 1)) (local.set $at (i32.add (local.get $at) (i32.const 4096))) (br $again))"
        ),
        frozenset({"Exhausted", "MemoryOutOfBounds"}),
    ),
    "a module that takes more to compile than there is gas": (
        binary(body=b"\3\x40\x20\0\x22\1\x0d\0\x0b" * 5_000 + b"\x0b", locals_=b"\1" + varint(400) + b"\x7f"),
        GAS,
    ),
    "more gas charged than there is": (abi("(call $charge (i64.const 9223372036854775807))"), GAS),
    # --- places and sizes ---
    "a key at the last address": (abi("(drop (call $get (i32.const -1) (i32.const 3) (i32.const 0) (i32.const 9)))"), ABI),
    "a key that wraps around": (abi("(drop (call $get (i32.const -2) (i32.const 4) (i32.const 0) (i32.const 9)))"), ABI),
    "a key of negative size": (abi("(drop (call $get (i32.const 0) (i32.const -1) (i32.const 0) (i32.const 9)))"), ABI),
    "room that is larger than the memory": (
        abi("(drop (call $get (i32.const 0) (i32.const 3) (i32.const 16) (i32.const -1)))", b"\2x\0"),
        frozenset({"AbiRefused", "nothing"}),
    ),
    "an answer beyond the memory": (abi("(drop (call $answer (i32.const 65536) (i32.const 1)))"), ABI),
    "an answer of negative place and size": (abi("(drop (call $answer (i32.const -1) (i32.const -1)))"), ABI),
    "a value that ends behind the memory": (
        abi("(call $set (i32.const 0) (i32.const 3) (i32.const 65535) (i32.const 2))", b"\2x\0"),
        ABI,
    ),
    "a log line of 4 GiB": (abi("(call $log (i32.const 0) (i32.const -1))"), ABI),
    "an abort from nowhere": (abi("(call $abort (i32.const -1) (i32.const -1))"), ABI),
    "a negative charge": (abi("(call $charge (i64.const -1))"), ABI),
    "calls of the host without a memory": (
        wat(f'(module {IMPORTS} (func (export "run") (call $log (i32.const 0) (i32.const 1))))'),
        ABI,
    ),
    # --- bytes that mean nothing ---
    "a value in a longer form than it has": (set_value(b"\6\x80\0"), ABI),
    "a NaN of another form": (set_value(b"\4\x7f\xf8\0\0\0\0\0\1"), ABI),
    "a value that is nested too deep": (set_value(_NESTED), ABI),
    "a value that announces 2**60 items": (set_value(b"\7" + varint(2**60)), ABI),
    "bytes behind a value": (set_value(b"\0\0"), ABI),
    "a map with a key twice": (set_value(b"\x09\2\x80\x80\x80\x80"), ABI),
    "an object of a class that nobody registered": (set_value(b"\x0b\3abc\0"), ABI),
    "no value at all": (set_value(b""), ABI),
    "a key that is not UTF-8": (set_key(b"\2\xff\0"), ABI),
    "a key without an end": (set_key(b"\2abc"), ABI),
    "a key with an escape that means nothing": (set_key(b"\2\1\7\0"), ABI),
    "the empty key": (set_key(b""), ABI),
    "the key of its module": (set_key(b"\2module\0"), ABI),
    "a page of its memory": (set_key(b"\2memory\0\x14"), ABI),
    "its own state": (set_key(b"\2wasm\0"), ABI),
    "a key of 10,000 bytes": (set_key(b"\2" + b"a" * 10_000 + b"\0"), frozenset({"LimitExceeded"})),
    "a key of 1,000 elements": (set_key(b"\x14" * 1_000), frozenset({"LimitExceeded"})),
    # --- system calls ---
    "a call that is no tuple": (make_call("ret"), ABI),
    "a call that there is not": (make_call(("snapshot", 1)), ABI),
    "a call with too little": (make_call(("get", "child")), ABI),
    "a call with too much": (make_call(("status", "child", 1)), ABI),
    "values that are no map": (make_call(("put", "child", (1, 2))), ABI),
    "RET in the middle, without asyncify": (make_call(("ret",)), ABI),
    "a merge of its own memory": (make_call(("merge", "child", "memory")), ABI),
    "a merge of all its heap": (make_call(("merge", "child", ())), ABI),
    "a call of bytes that are no value": (make_call(b"\xff" * 3 + b"\x07"), ABI),
    "a system call in the start function": (
        wat(
            f"""(module {IMPORTS} (memory 1) (data (i32.const 0) "{text(encode(("drop", "a")))}")
            (func $s (drop (call $call (i32.const 0) (i32.const {len(encode(("drop", "a")))})))) (start $s) (func (export "run")))"""
        ),
        ABI,
    ),
    # --- asyncify that is none ---
    "an unwinding that never ends": (fake_asyncify(_LOOP, "(drop CALL)"), GAS),
    "an unwinding that calls its host": (fake_asyncify("(call $log (i32.const 0) (i32.const 1))", "(drop CALL)"), ABI),
    "an unwinding that makes another system call": (
        fake_asyncify("(drop (call $call (i32.const 0) (i32.const 5)))", "(drop CALL)"),
        ABI,
    ),
    "a second call while it unwinds": (fake_asyncify("", "(drop CALL) (drop CALL)"), ABI),
    "a trap while it unwinds": (fake_asyncify("unreachable", "(drop CALL)"), frozenset({"Unreachable"})),
    "a stack behind the memory": (fake_asyncify("", "(drop CALL)", stack=65535), ABI),
    "a stack at the last address": (fake_asyncify("", "(drop CALL)", stack=-1), ABI),
    # --- modules ---
    "no module": (b"#!/bin/sh\n", REFUSED),
    "an empty one": (b"", REFUSED),
    "a component": (HEAD[:4] + b"\x0d\0\1\0", REFUSED),
    "a module of too many bytes": (HEAD + bytes(WASM_MODULE_BYTES_MAX), REFUSED),
    "a section of 4 GiB": (HEAD + b"\1\xff\xff\xff\xff\x0f", REFUSED),
    "a number without an end": (HEAD + b"\1" + b"\x80" * 50, REFUSED),
    "a vector of 2**32 types": (HEAD + b"\1\5\xff\xff\xff\xff\x0f", REFUSED),
    "a million functions": (HEAD + section(1, b"\x60\0\0") + section(3, *[b"\0"] * 1_000_000), REFUSED),
    "50,000 locals in each of many functions": (binary(locals_=b"\1" + varint(50_000) + b"\x7f", copies=1_000), REFUSED),
    "a function of many bytes": (binary(body=b"\1" * (WASM_FUNCTION_BYTES_MAX + 1) + b"\x0b"), REFUSED),
    "a function of many calls": (binary(body=b"\x10\0" * 120_000 + b"\x0b", copies=6), REFUSED),
    "locals that are changed in many loops": (
        binary(body=b"\3\x40\x20\0\x22\1\x0d\0\x0b" * 15_000 + b"\x0b", locals_=b"\1" + varint(10_000) + b"\x7f"),
        REFUSED,
    ),
    "loops within loops": (binary(body=b"\3\x40" * 5_000 + b"\x0b" * 5_001, locals_=b"\1\x64\x7f"), REFUSED),
    "a function without an end": (binary(body=b"\1\1"), REFUSED),
    "a function that goes on behind its end": (binary(body=b"\x0b\x0b"), REFUSED),
    "a branch table of 2**32 targets": (binary(body=b"\x0e\xff\xff\xff\xff\x0f\x0b"), REFUSED),
    "a type that is not there": (HEAD + section(1, b"\x60\0\0") + section(3, b"\7") + section(10, b"\2\0\x0b"), REFUSED),
    "sections in the wrong order": (HEAD + section(3, b"\0") + section(1, b"\x60\0\0"), REFUSED),
    "code that does not type": (binary(body=b"\x6a\x0b"), REFUSED),
    "a memory of 4 GiB": (wat('(module (memory 65536) (func (export "run")))'), REFUSED),
    "two memories": (binary(section(5, b"\0\1", b"\0\1")), REFUSED),
    "a memory of 64 bits": (binary(section(5, b"\4\1")), REFUSED),
    "a shared memory": (binary(section(5, b"\3\1\2")), REFUSED),
    "a table of 2**32 - 1 elements": (wat('(module (table 4294967295 funcref) (func (export "run")))'), REFUSED),
    "a hundred thousand tables": (binary(section(4, *[b"\x70\0\0"] * 100_000)), REFUSED),
    "a table that changes": (
        wat('(module (table 1 funcref) (func (export "run") (table.set (i32.const 0) (ref.null func))))'),
        REFUSED,
    ),
    "a table that grows": (
        wat('(module (table 1 funcref) (func (export "run") (drop (table.grow (ref.null func) (i32.const 9)))))'),
        REFUSED,
    ),
    "a table instruction in a longer form": (
        binary(section(4, b"\x70\0\1"), body=b"\xd0\x70\x41\1\xfc\x8f\x80\0\0\x1a\x0b"),
        REFUSED,
    ),
    "data that can be dropped": (
        wat('(module (memory 1) (data $d "abc") (func (export "run") (data.drop $d)))'),
        REFUSED,
    ),
    "elements that can be dropped": (
        wat('(module (func $f (export "run")) (elem $e funcref (ref.func $f)))'),
        REFUSED,
    ),
    "data outside of the memory": (wat('(module (memory 1) (data (i32.const 65535) "ab") (func (export "run")))'), REFUSED),
    "elements outside of the table": (
        wat('(module (table 1 funcref) (func $f (export "run")) (elem (i32.const 1) $f))'),
        REFUSED,
    ),
    "a global that may change and is a reference": (
        wat('(module (global (mut externref) (ref.null extern)) (func (export "run")))'),
        REFUSED,
    ),
    "ten thousand globals": (binary(section(6, *[b"\x7f\1\x41\0\x0b"] * 10_000)), REFUSED),
    "an import that is not there": (wat('(module (import "lockstep" "fork" (func)) (func (export "run")))'), REFUSED),
    "an import of another type": (wat('(module (import "lockstep" "get" (func)) (func (export "run")))'), REFUSED),
    "an import with vectors": (
        wat('(module (import "lockstep" "log" (func (param v128 v128))) (func (export "run")))'),
        REFUSED,
    ),
    "the clock of WASI": (
        wat(
            '(module (import "wasi_snapshot_preview1" "clock_time_get" (func (param i32 i64 i32) (result i32)))'
            '(func (export "run")))'
        ),
        REFUSED,
    ),
    "a memory from outside": (wat('(module (import "lockstep" "memory" (memory 1)) (func (export "run")))'), REFUSED),
    "a table from outside": (wat('(module (import "lockstep" "t" (table 1 funcref)) (func (export "run")))'), REFUSED),
    "a global from outside": (wat('(module (import "lockstep" "g" (global i32)) (func (export "run")))'), REFUSED),
    "no run": (wat("(module)"), REFUSED),
    "a run that takes something": (wat('(module (func (export "run") (param i32)))'), REFUSED),
    "a run that is a memory": (wat('(module (memory (export "run") 1))'), REFUSED),
    "a name that is taken": (wat('(module (memory (export "lockstep:memory") 1) (func (export "run")))'), REFUSED),
    "one name for two exports": (
        HEAD + section(1, b"\x60\0\0") + section(3, b"\0") + section(7, b"\3run\0\0", b"\3run\0\0") + section(10, b"\2\0\x0b"),
        REFUSED,
    ),
    "a start function that is not there": (
        HEAD + section(1, b"\x60\0\0") + section(3, b"\0") + section(7, b"\3run\0\0") + b"\x08\1\7" + section(10, b"\2\0\x0b"),
        REFUSED,
    ),
    "a start function that takes something": (
        HEAD
        + section(1, b"\x60\0\0", b"\x60\1\x7f\0")
        + section(3, b"\0", b"\1")
        + section(7, b"\3run\0\0")
        + b"\x08\1\1"
        + section(10, b"\2\0\x0b", b"\2\0\x0b"),
        REFUSED,
    ),
    "exceptions": (binary(section(13, b"\0\0")), REFUSED),
    "atomic instructions": (binary(body=b"\xfe\3\0\x0b"), REFUSED),
    "relaxed SIMD": (binary(body=b"\xfd\x80\2\x0b"), REFUSED),
    "a tail call": (binary(body=b"\x12\0\x0b"), REFUSED),
    "a struct type": (HEAD + section(1, b"\x5f\0"), REFUSED),
    "typed function references": (binary(body=b"\x14\0\x0b"), REFUSED),
    # --- odd, and allowed ---
    "an exported global that is a vector": (
        wat('(module (global (export "v") v128 (v128.const i64x2 1 2)) (func (export "run") unreachable))'),
        frozenset({"Unreachable"}),
    ),
    "an exported function of vectors": (
        wat('(module (func (export "v") (param v128) (result v128) (local.get 0)) (func (export "run") unreachable))'),
        frozenset({"Unreachable"}),
    ),
    "blocks that are nested 50,000 deep": (
        binary(body=b"\2\x40" * 50_000 + b"\x0b" * 50_000 + b"\0\x0b"),
        frozenset({"Unreachable", "ModuleRefused"}),
    ),
    "a custom section of garbage": (
        binary(b"\0" + varint(1005) + b"\4name" + b"\xff" * 1000, body=b"\0\x0b"),
        frozenset({"Unreachable"}),
    ),
}  # fmt: skip
