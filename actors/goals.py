"""What a proof has to lead to, and the ways there: said once for those who make proofs and for those who check them.

A *goal* is a path (nibbles, see `actors.nodes`) in the state of the whole machine: that of each key a proof is about, and
that of the process itself. Goals are ascending; those that have come to a node together are a range of them, and are the
same up to where they are. To look for many in a tree costs a bisection at each fork, however many there are.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Final

from actors.errors import CodecError
from actors.keys import check_name, encode_key
from actors.limits import PROOF_BYTES_MAX
from actors.nodes import to_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from actors.keys import Path

# Where things stand in the state of a process; `runtime.state` has the whole list.
CONTROL: Final = b"p"
HEAP: Final = b"h"
CHILD: Final = b"c"

#: Stands for the value of a goal that must be met, and whose value is not told: no value is encoded as nothing.
UNTOLD: Final = b""


def process_key(path: Path) -> bytes:
    """Return what the keys of a process's state begin with in that of the whole machine.

    Raises:
        KeyRefused, LimitExceeded: a name in it is none.
    """
    for name in path:
        check_name(name)
    return b"".join([CHILD + encode_key(name) for name in path])


def goals_of(path: Path, forms: Sequence[bytes]) -> list[bytes]:
    """Return the goals of a proof: that of each key, given by its form, and last that of the process's control value.

    Args:
        path: the process.
        forms: those of the keys, ascending.

    Raises:
        CodecError: they are too long, all together.
    """
    process = process_key(path)
    if len(forms) * len(process) + sum(map(len, forms)) > PROOF_BYTES_MAX:
        raise CodecError(
            f"proof: its keys, each with the names of the process, are over the limit of {PROOF_BYTES_MAX} bytes; "
            "make several proofs"
        )
    heap = to_path(process + HEAP)
    return [*(heap + to_path(form) for form in forms), to_path(process + CONTROL)]


def within(goals: list[bytes], first: int, last: int, at: int, label: bytes) -> tuple[int, int]:
    """Return which of the goals `first` up to `last`, which are the same up to `at`, have a label there."""
    if last - first == 1:
        return (first, last) if goals[first].startswith(label, at) else (first, first)
    end = at + len(label)
    low = bisect_left(goals, label, first, last, key=lambda goal: goal[at:end])
    return low, bisect_right(goals, label, low, last, key=lambda goal: goal[at:end])


def ways(
    goals: list[bytes], first: int, last: int, at: int, bits: int, labels: Mapping[int, bytes]
) -> list[tuple[int, int, int, int]]:
    """Return which ways goals go from a branch: (nibble, first, last, where they are then), ascending.

    Args:
        goals: all of them.
        first: the first that has come here and does not end here.
        last: the one behind those that have come here.
        at: how many nibbles they are down their paths here.
        bits: which children there are; a goal that would go to another goes nowhere, nor does one that leaves a label.
        labels: those of the children, by nibble.
    """
    found = []
    while first < last:
        nibble = goals[first][at]
        end = first + 1
        if end < last:
            end = bisect_right(goals, nibble, end, last, key=lambda goal: goal[at])
        if bits >> nibble & 1:
            label = labels.get(nibble, b"")
            low, high = within(goals, first, end, at + 1, label) if label else (first, end)
            if low < high:
                found.append((nibble, low, high, at + 1 + len(label)))
        first = end
    return found
