"""The kernel: the rules of the contract as a state machine. `core` has it, and its theory."""

from runtime.kernel.core import Kernel
from runtime.kernel.puts import perform
from runtime.kernel.stops import RAISED

__all__ = ["RAISED", "Kernel", "perform"]
