;; A counter: adds what is under "by" to a global, and says under "total" what it has come to.
;; The global is its own memory of the sum; nothing of it is lost at a RET. Sums stay below 128, whose values are one byte.
(module
  (import "lockstep" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "lockstep" "set" (func $set (param i32 i32 i32 i32)))
  (import "lockstep" "abort" (func $abort (param i32 i32)))
  (memory 1)
  (data (i32.const 0) "\02by\00\02total\00the sum is over 127")
  (global $total (mut i32) (i32.const 0))
  (func (export "run")
    (local $by i32)
    ;; The value of the key "by": one byte, 80 + n.
    (if (i32.ne (call $get (i32.const 0) (i32.const 4) (i32.const 64) (i32.const 1)) (i32.const 1))
      (then (unreachable)))
    (local.set $by (i32.and (i32.load8_u (i32.const 64)) (i32.const 127)))
    (global.set $total (i32.add (global.get $total) (local.get $by)))
    (if (i32.gt_u (global.get $total) (i32.const 127))
      (then (call $abort (i32.const 11) (i32.const 19))))
    (i32.store8 (i32.const 64) (i32.or (global.get $total) (i32.const 128)))
    (call $set (i32.const 4) (i32.const 7) (i32.const 64) (i32.const 1))))
