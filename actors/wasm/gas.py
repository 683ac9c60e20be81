"""Fuel is gas: how what wasmtime counts is taken out of a process's meter.

    1 gas = 100 fuel, and wasmtime counts about one for an instruction, and one for a byte that memory.copy or .fill moves

Fuel is kept exactly: what is charged is all that was used, in gas, rounded up once, so that it makes no difference into
how many calls it falls. The store is filled with one more than there is. wasmtime looks only at calls and loops whether
there is any left, and may use a little more than it has; where that one is used up, this has happened, and the meter is
empty, although the code came to its end.

Beside fuel, what the host does costs gas: a fixed amount for a call, and for what it moves by the byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from actors.wasm.traps import OutOfFuel

if TYPE_CHECKING:
    from actors.meter import Meter
    from actors.wasm.instance import Instance

FUEL_PER_GAS: Final = 100
#: A call of an imported function.
CALL_GAS: Final = 20
#: So many bytes that a call moves, or that are written into the heap at a RET, are one gas.
BYTES_PER_GAS: Final = 64
#: A byte of a module that is new to a process; beside these it pays for what the module weighs: it has to be compiled.
MODULE_BYTE_GAS: Final = 1
_FUEL_MAX: Final = 2**62


class Gauge:
    """What one activation of an instance uses.

    Args:
        instance: the instance.
        meter: what pays for it; None: nothing is counted.
    """

    def __init__(self, instance: Instance, meter: Meter | None) -> None:
        self._instance = instance
        self._meter = meter
        #: Fuel that was used, and the gas that was charged for it.
        self._used = 0
        self._charged = 0
        #: What the store had when it was last looked at.
        self._seen = 0

    def refill(self) -> None:
        """Let the instance have as much fuel as there is gas."""
        meter = self._meter
        if meter is not None:
            fuel = min((meter.left + self._charged) * FUEL_PER_GAS - self._used + 1, _FUEL_MAX)
            if fuel != self._seen:
                self._instance.fill(fuel)
                self._seen = fuel

    def settle(self) -> None:
        """Charge what was used since the last time. Raises Exhausted."""
        meter = self._meter
        if meter is None:
            return
        left = self._instance.fuel
        if not left:
            self.exhaust()
        self._used += self._seen - left
        self._seen = left
        due = -(-self._used // FUEL_PER_GAS) - self._charged
        self._charged += due
        meter.charge(due)

    def exhaust(self) -> None:
        """Empty the meter. Raises Exhausted."""
        if self._meter is None:
            raise OutOfFuel
        self._meter.charge(self._meter.left + 1)

    def charge(self, gas: int) -> None:
        """Charge gas beside fuel. Raises Exhausted."""
        if self._meter is not None:
            self._meter.charge(gas)

    def charge_bytes(self, size: int) -> None:
        """Charge for bytes that are moved. Raises Exhausted."""
        self.charge(-(-size // BYTES_PER_GAS))
