"""Traps: why a process stopped. What a parent learns from `status`."""

from __future__ import annotations

import dataclasses
import enum


class TrapKind(enum.Enum):
    """Why a process stopped. The numbers are part of the format of roots."""

    #: It was created, or given a program, and not started since.
    NEW = 0
    #: It made a RET, at the end of `run` or in the middle.
    RETURNED = 1
    #: An exception left `run`, or a limit was broken. It is back at its snapshot.
    FAILED = 2
    #: Its meter was empty. It is back at its snapshot.
    OUT_OF_GAS = 3
    #: The machine under it failed it: the workers that ran it died, say. It is back at its snapshot. Not a matter of the
    #: inputs alone, so the block in which the parent learns of it has it beside its inputs.
    HOST_FAULT = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Trap:
    """Why a process stopped, and with what.

    Args:
        kind: the kind of trap.
        error: the class name of the exception that ended it, where one did.
        gas: what the last activation used.
        middle: whether it stopped in the middle of `run`, and goes on from there at its next start.
    """

    kind: TrapKind
    error: str | None = None
    gas: int = 0
    middle: bool = False

    @property
    def failed(self) -> bool:
        """Whether a GET would raise."""
        return self.kind.value >= TrapKind.FAILED.value
