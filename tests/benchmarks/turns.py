"""Measuring in turns: every contestant once a round, in one process, so that a slow moment hits all of them.

What counts is the ratio within a round: its median, and its spread (10th to 90th percentile). Nothing here asserts a
time: machines are shared, and a benchmark is read, not passed.
"""

from __future__ import annotations

from statistics import median, quantiles
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def spread(values: list[float]) -> tuple[float, float, float]:
    """Return the 10th percentile, the median and the 90th percentile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    cuts = quantiles(values, n=10, method="inclusive")
    return cuts[0], median(values), cuts[-1]


def in_turns(contestants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Call every contestant once a round; each returns its own figure. The first round warms up and is not counted."""
    figures: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, contestant in contestants.items():
            figure = contestant()
            if turn:
                figures[name].append(figure)
    return figures


def report(figures: Mapping[str, list[float]], unit: str, scale: float = 1.0) -> None:
    """Print each contestant's median and spread."""
    width = max(map(len, figures))
    for name, values in figures.items():
        low, middle, high = spread([value * scale for value in values])
        print(f"  {name:<{width}}  {middle:10.2f} {unit}  ({low:.2f} – {high:.2f})")


def ratio(figures: Mapping[str, list[float]], one: str, other: str, bar: str) -> None:
    """Print one contestant's figure over another's, round by round."""
    low, middle, high = spread([a / b for a, b in zip(figures[one], figures[other], strict=True)])
    print(f"  {one} / {other}: {middle:.3f}  ({low:.3f} – {high:.3f})   bar: {bar}")
