;; What makes a process of QuickJS (npm: quickjs-wasi). It is joined with it by wasm-merge: QuickJS imports the functions of
;; "env" and "wasi_snapshot_preview1" that are exported here, and this imports its memory and functions from "quickjs".
;; There is no clock, no randomness and no file: the clock stands at 0, what is drawn is zeros, files are not there.
;;
;; Scripts see one function, __lockstep(what, bytes, …), of which prelude.js makes what they use. A handle is an address.
(module
  (import "quickjs" "memory" (memory 1))
  (import "quickjs" "_initialize" (func $initialize))
  (import "quickjs" "wasm_malloc" (func $malloc (param i32) (result i32)))
  (import "quickjs" "wasm_free" (func $free (param i32)))
  (import "quickjs" "qjs_init" (func $init (result i32)))
  (import "quickjs" "qjs_set_max_stack_size" (func $set_max_stack (param i32)))
  (import "quickjs" "qjs_eval" (func $eval (param i32 i32 i32 i32) (result i32)))
  (import "quickjs" "qjs_is_exception" (func $is_exception (param i32) (result i32)))
  (import "quickjs" "qjs_get_exception" (func $get_exception (result i32)))
  (import "quickjs" "qjs_get_string_len" (func $get_string (param i32 i32) (result i32)))
  (import "quickjs" "qjs_free_value" (func $free_value (param i32)))
  (import "quickjs" "qjs_get_global" (func $get_global (result i32)))
  (import "quickjs" "qjs_set_prop_string" (func $set_prop (param i32 i32 i32) (result i32)))
  (import "quickjs" "qjs_new_host_function" (func $new_function (param i32 i32 i32) (result i32)))
  (import "quickjs" "qjs_get_undefined" (func $undefined (result i32)))
  (import "quickjs" "qjs_new_number" (func $new_number (param f64) (result i32)))
  (import "quickjs" "qjs_get_float64" (func $get_number (param i32) (result f64)))
  (import "quickjs" "qjs_new_array_buffer" (func $new_buffer (param i32 i32) (result i32)))
  (import "quickjs" "qjs_get_array_buffer" (func $get_buffer (param i32 i32) (result i32)))
  (import "quickjs" "qjs_is_job_pending" (func $is_job_pending (result i32)))
  (import "quickjs" "qjs_execute_pending_job" (func $execute_job (result i32)))
  (import "lockstep" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "lockstep" "set" (func $set (param i32 i32 i32 i32)))
  (import "lockstep" "delete" (func $delete (param i32 i32) (result i32)))
  (import "lockstep" "next" (func $next (param i32 i32 i32 i32) (result i32)))
  (import "lockstep" "call" (func $call (param i32 i32) (result i32)))
  (import "lockstep" "answer" (func $answer (param i32 i32) (result i32)))
  (import "lockstep" "charge" (func $charge (param i64)))
  (import "lockstep" "log" (func $log (param i32 i32)))
  (import "lockstep" "abort" (func $abort (param i32 i32)))

  ;; Some room: names, and where sizes are returned.
  (global $room (mut i32) (i32.const 0))
  (global $ready (mut i32) (i32.const 0))

  ;; Abort with the text of the exception that there is.
  (func $fail
    (local $text i32)
    (local.set $text (call $get_string (call $get_exception) (global.get $room)))
    (call $abort (local.get $text) (i32.load (global.get $room))))

  (func $run_source (param $source i32) (param $size i32)
    (local $result i32)
    ;; The name that stack traces show: "script".
    (i64.store (global.get $room) (i64.const 0x747069726373))
    (local.set $result (call $eval (local.get $source) (local.get $size) (global.get $room) (i32.const 0)))
    (if (call $is_exception (local.get $result)) (then (call $fail)))
    (call $free_value (local.get $result))
    (block $done
      (loop $jobs
        (br_if $done (i32.eqz (call $is_job_pending)))
        (if (i32.lt_s (call $execute_job) (i32.const 0)) (then (call $fail)))
        (br $jobs))))

  (func $begin
    (local $at i32)
    (call $initialize)
    (if (call $init) (then (unreachable)))
    (call $set_max_stack (i32.const SCRIPT_STACK_BYTES))
    (global.set $room (call $malloc (i32.const 64)))
    ;; "__lockstep"
    (i64.store (global.get $room) (i64.const 0x74736b636f6c5f5f))
    (i64.store offset=8 (global.get $room) (i64.const 0x7065))
    (drop (call $set_prop (call $get_global) (global.get $room)
      (call $new_function (global.get $room) (i32.const 10) (i32.const 0))))
    ;; qjs_eval wants a 0 behind the source; what is written comes eight bytes at a time.
    (local.set $at (call $malloc (i32.add (i32.const PRELUDE_SIZE) (i32.const 16))))
    (call $prelude (local.get $at))
    (call $run_source (local.get $at) (i32.const PRELUDE_SIZE))
    (global.set $ready (i32.const 1)))

  (func $prelude (param $at i32)
    ;;PRELUDE;;
    )

  (func (export "run")
    (local $source i32)
    (if (i32.eqz (global.get $ready)) (then (call $begin)))
    ;; "__main()": the prelude's, which runs what stands under "script".
    (local.set $source (call $malloc (i32.const 16)))
    (i64.store (local.get $source) (i64.const 0x29286e69616d5f5f))
    (i64.store offset=8 (local.get $source) (i64.const 0))
    (call $run_source (local.get $source) (i32.const 8))
    (call $free (local.get $source)))

  ;; --- what QuickJS imports ---

  ;; Copy a buffer's address and size out of a handle: the size to `room`.
  (func $bytes_of (param $argv i32) (param $which i32) (result i32)
    (call $get_buffer
      (i32.load (i32.add (local.get $argv) (i32.shl (local.get $which) (i32.const 2))))
      (global.get $room)))

  ;; Return a new buffer of what get (0), next (1) or answer (2) gives; undefined where it gives nothing.
  (func $given (param $what i32) (param $key i32) (param $key_size i32) (result i32)
    (local $into i32)
    (local $room i32)
    (local $size i32)
    (local $made i32)
    (local.set $room (i32.const 256))
    (loop $again
      (local.set $into (call $malloc (local.get $room)))
      (if (i32.eqz (local.get $into)) (then (unreachable)))
      (local.set $size
        (if (result i32) (i32.eqz (local.get $what))
          (then (call $get (local.get $key) (local.get $key_size) (local.get $into) (local.get $room)))
          (else (if (result i32) (i32.eq (local.get $what) (i32.const 1))
            (then (call $next (local.get $key) (local.get $key_size) (local.get $into) (local.get $room)))
            (else (call $answer (local.get $into) (local.get $room)))))))
      (if (i32.gt_s (local.get $size) (local.get $room))
        (then
          (call $free (local.get $into))
          (local.set $room (local.get $size))
          (br $again))))
    (local.set $made
      (if (result i32) (i32.lt_s (local.get $size) (i32.const 0))
        (then (call $undefined))
        (else (call $new_buffer (local.get $into) (local.get $size)))))
    (call $free (local.get $into))
    (local.get $made))

  (func (export "host_call") (param $name i32) (param $name_size i32) (param $this i32) (param $argc i32) (param $argv i32)
    (result i32)
    (local $what i32)
    (local $first i32)
    (local $size i32)
    (local $other i32)
    (local.set $what (i32.trunc_sat_f64_u (call $get_number (i32.load (local.get $argv)))))
    (if (i32.eq (local.get $what) (i32.const 2))
      (then (return (call $given (i32.const 2) (i32.const 0) (i32.const 0)))))
    (if (i32.eq (local.get $what) (i32.const 8))
      (then
        (call $charge (i64.trunc_sat_f64_s (call $get_number (i32.load offset=4 (local.get $argv)))))
        (return (call $undefined))))
    (local.set $first (call $bytes_of (local.get $argv) (i32.const 1)))
    (local.set $size (i32.load (global.get $room)))
    (if (i32.lt_u (local.get $what) (i32.const 2))
      (then (return (call $given (local.get $what) (local.get $first) (local.get $size)))))
    (if (i32.eq (local.get $what) (i32.const 3))
      (then
        (local.set $other (call $bytes_of (local.get $argv) (i32.const 2)))
        (call $set (local.get $first) (local.get $size) (local.get $other) (i32.load (global.get $room)))
        (return (call $undefined))))
    (if (i32.eq (local.get $what) (i32.const 4))
      (then (return (call $new_number (f64.convert_i32_s (call $delete (local.get $first) (local.get $size)))))))
    (if (i32.eq (local.get $what) (i32.const 5))
      (then (return (call $new_number (f64.convert_i32_s (call $call (local.get $first) (local.get $size)))))))
    (if (i32.eq (local.get $what) (i32.const 6))
      (then (call $log (local.get $first) (local.get $size)) (return (call $undefined))))
    (call $abort (local.get $first) (local.get $size))
    (unreachable))

  (func (export "host_interrupt") (result i32) (i32.const 0))
  (func (export "host_promise_rejection") (param i32 i32 i32)
    (call $free_value (local.get 0))
    (call $free_value (local.get 1)))
  (func (export "host_module_normalize") (param i32 i32) (result i32) (i32.const 0))
  (func (export "host_module_load") (param i32 i32) (result i32) (i32.const 0))
  (func (export "host_get_timezone_offset") (param i32 i32) (result i32) (i32.const 0))

  (func (export "clock_time_get") (param i32 i64 i32) (result i32)
    (i64.store (local.get 2) (i64.const 0))
    (i32.const 0))
  (func (export "random_get") (param i32 i32) (result i32)
    (memory.fill (local.get 0) (i32.const 0) (local.get 1))
    (i32.const 0))
  (func (export "fd_close") (param i32) (result i32) (i32.const 8))
  (func (export "fd_fdstat_get") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_seek") (param i32 i64 i32 i32) (result i32) (i32.const 8))
  (func (export "fd_write") (param i32 i32 i32 i32) (result i32) (i32.const 8)))
