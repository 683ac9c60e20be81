"""Prints, as JSON, what the measured programs and those of the corpus use: the same on every Python and hash seed.

python metered_gas.py
"""

from __future__ import annotations

import ast
import json
from hashlib import sha256
from pathlib import Path

import metered_syntax
from metered_programs import PROGRAMS, program_of
from metered_run import run

import actors
import runtime
from runtime.metering.costs import COMPREHENSIONS, FUNCTIONS, LOOPS, Scale


def weights() -> str:
    """Return a digest of what every block of Lockstep's own source weighs."""
    found = sha256()
    for package in (actors, runtime):
        for path in sorted(Path(str(package.__file__)).parent.rglob("*.py")):
            scale = Scale()
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, (*FUNCTIONS, *LOOPS, ast.ClassDef)):
                    found.update(str(scale.block(node.body)).encode())
                elif isinstance(node, COMPREHENSIONS):
                    found.update(str([scale.turn(node, turn) for turn in range(len(node.generators))]).encode())
    return found.hexdigest()


def used() -> dict[str, int]:
    """Return the gas of every program, with a small n."""
    programs = {name: run(program, heap={"n": min(n, 50)}).used for name, (program, n) in PROGRAMS.items()}
    return programs | {one.__name__: run(program_of(one)).used for one in metered_syntax.ALL}


if __name__ == "__main__":
    print(json.dumps({"used": used(), "weights": weights()}))
