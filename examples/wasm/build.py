r"""Makes the modules of these examples that are compiled: token.wasm, fan.wasm, javascript.wasm.

    pip install ziglang; npm install binaryen quickjs-wasi@3.6.2
    python examples/wasm/build.py --zig "python -m ziglang" --binaryen node_modules/binaryen/bin \
        --quickjs node_modules/quickjs-wasi/quickjs.wasm

The results stand beside this file, so that nobody needs these tools to run them. Made with ziglang 0.17.1, Binaryen 132
and quickjs-wasi 3.6.2.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
#: Only what LLVM's first WebAssembly had, and what QuickJS was compiled with.
FEATURES = [
    *("--enable-bulk-memory", "--enable-bulk-memory-opt", "--enable-nontrapping-float-to-int", "--enable-sign-ext"),
    *("--enable-mutable-globals", "--enable-multivalue", "--enable-reference-types", "--enable-simd"),
]
ASYNCIFY = ["--asyncify", "--pass-arg=asyncify-imports@lockstep.call", "--strip-debug", "--strip-producers"]
#: How much stack QuickJS may take for scripts, in bytes: it has to raise its own error before the native stack is full.
SCRIPT_STACK_BYTES = 65_536


def run(*command: str | Path) -> None:
    print(*command)
    subprocess.run([str(part) for part in command], check=True)


def c_module(name: str, zig: list[str], binaryen: Path, *, waits: bool) -> None:
    out = HERE / f"{name}.wasm"
    with tempfile.TemporaryDirectory() as place:
        plain = Path(place) / "plain.wasm"
        run(
            *zig, "cc", "-target", "wasm32-freestanding", "-mcpu=mvp+bulk_memory+bulk_memory_opt", "-Os", "-nostdlib", "-fno-sanitize=all",
            "-Wl,--no-entry", "-Wl,-z,stack-size=16384", "-Wl,--strip-all",
            *(["-Wl,--export=lockstep_stack"] if waits else []),
            "-o", plain, HERE / "c" / f"{name}.c",
        )  # fmt: skip
        run(binaryen / "wasm-opt", plain, "-Oz", *FEATURES, *(ASYNCIFY if waits else []), "-o", out)


def stores(text: bytes) -> str:
    """Return instructions that write bytes from the address in $at on: a module that shares a memory has no data in it."""
    padded = text + bytes(-len(text) % 8)
    words = [int.from_bytes(padded[i : i + 8], "little", signed=True) for i in range(0, len(padded), 8)]
    return "\n".join(f"(i64.store offset={8 * i} (local.get $at) (i64.const {word}))" for i, word in enumerate(words))


def javascript(binaryen: Path, quickjs: Path) -> None:
    """Join QuickJS with what makes it a process: glue.wat, which it imports, and which imports it."""
    prelude = (HERE / "javascript" / "prelude.js").read_bytes()
    glue = (HERE / "javascript" / "glue.wat").read_text()
    glue = glue.replace(";;PRELUDE;;", stores(prelude)).replace("PRELUDE_SIZE", str(len(prelude)))
    glue = glue.replace("SCRIPT_STACK_BYTES", str(SCRIPT_STACK_BYTES))
    with tempfile.TemporaryDirectory() as place:
        text, compiled, merged, small = (
            Path(place) / n for n in ("glue.wat", "glue.wasm", "merged.wasm", "small.wasm")
        )
        text.write_text(glue)
        run(binaryen / "wasm-as", text, *FEATURES, "-o", compiled)
        run(
            binaryen / "wasm-merge", quickjs, "quickjs", compiled, "env", compiled, "wasi_snapshot_preview1",
            "--rename-export-conflicts", *FEATURES, "-o", merged,
        )  # fmt: skip
        graph = Path(place) / "roots.json"
        graph.write_text('[{"name": "run", "root": true, "export": "run"}]')
        run(binaryen / "wasm-metadce", merged, "--graph-file", graph, *FEATURES, "-o", small)
        run(binaryen / "wasm-opt", small, "-Oz", *FEATURES, *ASYNCIFY, "-Oz", "-o", HERE / "javascript.wasm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zig", default="python -m ziglang")
    parser.add_argument("--binaryen", type=Path, required=True)
    parser.add_argument("--quickjs", type=Path, required=True)
    parser.add_argument("--only", choices=("c", "javascript"))
    told = parser.parse_args()
    if told.only != "javascript":
        c_module("token", shlex.split(told.zig), told.binaryen, waits=False)
        c_module("fan", shlex.split(told.zig), told.binaryen, waits=True)
    if told.only != "c":
        javascript(told.binaryen, told.quickjs)


if __name__ == "__main__":
    main()
