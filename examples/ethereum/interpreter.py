"""What replaces the slowest parts of a fork's interpreter, beside its state.

The package writes each rule down as plainly as it can, in its own number types and enumerations, with a hook
for tracers at every step. Once the state is no longer copied, most of the time goes into that plainness
around the opcodes, not into the opcodes. Four things are replaced, in the private copies only (see forks.py),
each with the same outcome for every input:

    the scan for jump destinations  done at every call of a code; here once for a code in a process
    the loop over the opcodes       looks each one up in an enumeration, hashes it, tells the tracer twice
    charge_gas                      builds an event for the tracer, and two numbers
    PUSH1 to PUSH32                 a quarter of all opcodes

All twenty forks of the package have the same text for these, which `install` checks as far as it depends on
it. Tracers see nothing of what runs here.
"""

import ast
import importlib
import inspect
import re
from collections.abc import Callable
from functools import lru_cache
from types import ModuleType
from typing import Any, Final

from ethereum_types.numeric import U256, Uint

__all__ = ["install_gas", "install_loop", "jump_destinations"]

#: Codes whose jump destinations are kept; mainnet's blocks call some hundred different codes each.
CODES_MAX: Final = 4096
STACK_MAX: Final = 1024

JUMPDEST: Final = 0x5B
PUSH1: Final = 0x60
PUSH32: Final = 0x7F

#: An implementation of an opcode.
Step = Callable[[Any], None]

#: JUMPDEST, or a PUSH with as much of its data as the code still has.
_DESTINATION_OR_PUSH: Final = re.compile(
    b"|".join(
        [re.escape(bytes([JUMPDEST]))]
        + [re.escape(bytes([push])) + b".{0,%d}" % (push - PUSH1 + 1) for push in range(PUSH1, PUSH32 + 1)]
    ),
    re.DOTALL,
)


@lru_cache(CODES_MAX)
def jump_destinations(code: bytes) -> frozenset[Uint]:
    """The offsets to which `code` may jump: every JUMPDEST that is not data behind a PUSH.

    The same in every fork: opcodes that a fork does not know are stepped over like those that it knows.
    """
    return frozenset(
        Uint(found.start()) for found in _DESTINATION_OR_PUSH.finditer(code) if code[found.start()] == JUMPDEST
    )


def install_gas(gas: Any) -> None:
    """Replace `charge_gas` in a fork's copy of `vm.gas`; before its instructions import it by name."""
    out_of_gas = gas.OutOfGasError
    new = Uint.__new__

    def charge_gas(evm: Any, amount: Any) -> None:
        left = evm.gas_left._number - amount._number
        if left < 0:
            raise out_of_gas
        # Not through Uint's constructor: it would check again that the number is one and not negative.
        evm.gas_left = gas_left = new(Uint)
        gas_left._number = left  # type: ignore[misc]  # a number is final once it has been made

    gas.charge_gas = charge_gas


def install_loop(interpreter: ModuleType, instructions: Any, gas: Any) -> None:
    """Replace the loop and the scan in a copy of `vm.interpreter`; before anything imports from it by name.

    The loop sits in the middle of `process_message`, which differs from fork to fork around it. So the
    module's own source is run again with that one statement replaced.
    """
    tree = ast.parse(inspect.getsource(interpreter))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "process_message"]
    loops = [node for function in functions for node in ast.walk(function) if isinstance(node, ast.While)]
    if len(loops) != 1 or ast.unparse(loops[0].test) != "evm.running and evm.pc < ulen(evm.code)":
        raise ImportError(
            f"{interpreter.__file__} is not the interpreter that this example knows; install ethereum-execution==2.20.0"
        )
    tree = ast.fix_missing_locations(_Replace(loops[0]).visit(tree))
    names = interpreter.__dict__
    names["run_opcodes"] = _loop(_steps(instructions, gas), names["InvalidOpcode"])
    exec(compile(tree, interpreter.__file__ or "<interpreter>", "exec"), names)
    names["get_valid_jump_destinations"] = jump_destinations


class _Replace(ast.NodeTransformer):
    """Puts `run_opcodes(evm)` where a loop was."""

    def __init__(self, loop: ast.While) -> None:
        self._loop = loop

    def visit_While(self, node: ast.While) -> ast.AST:
        if node is not self._loop:
            return node
        return ast.copy_location(ast.parse("run_opcodes(evm)").body[0], node)


def _loop(steps: list[Step | None], invalid: type[Exception]) -> Step:
    def run_opcodes(evm: Any) -> None:
        code = evm.code
        end = len(code)
        while evm.running:
            at = evm.pc._number
            if at >= end:
                return
            step = steps[code[at]]
            if step is None:
                raise invalid(code[at])
            step(evm)

    return run_opcodes


def _steps(instructions: Any, gas: Any) -> list[Step | None]:
    """The implementation of each opcode by its byte; None where the fork has none."""
    steps: list[Step | None] = [None] * 256
    for opcode, implementation in instructions.op_implementation.items():
        steps[opcode.value] = implementation
    for byte in range(PUSH1, PUSH32 + 1):
        steps[byte] = _push(byte - PUSH1 + 1, gas)
    return steps


def _push(size: int, gas: Any) -> Step:
    cost = gas.GAS_VERY_LOW
    charge_gas = gas.charge_gas
    overflow = importlib.import_module(f"{gas.__package__}.exceptions").StackOverflowError
    length = 1 + size

    def push(evm: Any) -> None:
        charge_gas(evm, cost)
        at = evm.pc._number
        stack = evm.stack
        if len(stack) == STACK_MAX:
            raise overflow
        # Behind the end of the code stand zeros.
        stack.append(U256(int.from_bytes(evm.code[at + 1 : at + length].ljust(size, b"\0"), "big")))
        evm.pc = Uint(at + length)

    return push
