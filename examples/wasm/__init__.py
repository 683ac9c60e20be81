"""WebAssembly processes: a module by hand, one in C, one that has children, and an interpreter made by others.

    counter.wat       by hand; its sum is a global, which is kept
    c/token.c         balances, and transfers that are refused where they are not covered
    c/fan.c           a parent in C, made with asyncify: it makes children, waits for them, and stops in the middle
    javascript/       QuickJS: a script is a process, and `ret()` in the middle of it a RET

`python -m examples.wasm` runs them; build.py says how the modules were made. javascript.wasm is QuickJS-NG as the npm
package quickjs-wasi has it (MIT licence, Copyright (c) 2026 Vercel, Inc., and of QuickJS: Copyright (c) 2017-2024 Fabrice
Bellard, Charlie Gordon and contributors), joined with javascript/glue.wat.
"""
