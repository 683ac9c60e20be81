"""The modules of `wasm_programs`, as text."""

from __future__ import annotations

_GET = '(import "lockstep" "get" (func $get (param i32 i32 i32 i32) (result i32)))'
_SET = '(import "lockstep" "set" (func $set (param i32 i32 i32 i32)))'
_BY = "(i32.and (i32.load8_u (i32.const 16)) (i32.const 127))"
_GET_BY = "(drop (call $get (i32.const 0) (i32.const 4) (i32.const 16) (i32.const 1)))"
_SET_Y = "(call $set (i32.const 4) (i32.const 3) (i32.const 16) (i32.const 1))"
_DATA = '(data (i32.const 0) "\\02by\\00\\02y\\00\\02at\\00")'

#: Adds "by" to a global, and counts in its memory; says the sum, below 128, under "y".
ADDER = f"""(module {_GET} {_SET} (memory 1) {_DATA} (global $sum (mut i32) (i32.const 0))
  (func (export "run")
    {_GET_BY}
    (global.set $sum (i32.add (global.get $sum) {_BY}))
    (i32.store (i32.const 20000) (i32.add (i32.load (i32.const 20000)) (i32.const 1)))
    (i32.store8 (i32.const 16) (i32.or (i32.const 128) (i32.and (global.get $sum) (i32.const 127))))
    {_SET_Y}))"""

#: Fills a page, from "at"·4096 + 8192 on, with "by".
PAINTER = f"""(module {_GET} {_SET} (memory 1) {_DATA}
  (func (export "run")
    (local $at i32)
    (drop (call $get (i32.const 7) (i32.const 4) (i32.const 16) (i32.const 1)))
    (local.set $at (i32.add (i32.mul {_BY} (i32.const 4096)) (i32.const 8192)))
    {_GET_BY}
    (memory.fill (local.get $at) {_BY} (i32.const 4096))
    (i32.store8 (i32.const 16) (i32.const 0))))"""

#: Takes a while: "by" times a million turns.
BURNER = f"""(module {_GET} {_SET} (memory 1) {_DATA}
  (func (export "run")
    (local $n i32) (local $x i32)
    {_GET_BY}
    (local.set $n (i32.mul {_BY} (i32.const 1000000)))
    (loop $again
      (local.set $x (i32.add (i32.mul (local.get $x) (i32.const 1103515245)) (i32.const 12345)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (i32.store8 (i32.const 16) (i32.or (i32.const 128) (i32.and (local.get $x) (i32.const 127))))
    {_SET_Y}))"""
