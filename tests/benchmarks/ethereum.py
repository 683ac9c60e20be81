"""Recorded Ethereum blocks in groups on workers, against the same blocks in order in one process.

    python tests/benchmarks/ethereum.py [--pack FILE] [--workers N] [--groups G] [--rounds N] [--block N …]

Both ways in turns, warmed up, from `advance` to the durable commit; ratios by round. All recorded checks are made on
the way. The bars are those for two workers: blocks whose dependencies allow 3 times and more, each at least 1.5; all
together at least 1.25; none below 0.9. Without the file there is nothing to measure.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from turns import spread

# This file has the name of a package that the example needs: its folder must not be where that is looked for.
sys.path[0] = str(Path(__file__).parents[1])

from recorded import DATA  # noqa: E402

from examples.ethereum.compare import Compared, compared  # noqa: E402
from examples.ethereum.packs import Pack  # noqa: E402

#: From this speed-up on, by its dependencies, a block has the higher bar.
ALLOWED_MIN = 3.0
BARS = {"free": 1.5, "all": 1.25, "any": 0.9}


def ratios(block: Compared) -> list[float]:
    return [one / other for one, other in zip(block.in_order, block.in_groups, strict=True)]


def line(name: str, values: list[float], bar: float, more: str) -> None:
    low, middle, high = spread(values)
    print(f"  {name:<10} {middle:5.2f}  ({low:.2f} – {high:.2f})   bar: {bar:<4}  {more}", flush=True)


async def measure(options: argparse.Namespace) -> None:
    pack = Pack(options.pack)
    done: list[Compared] = []
    with tempfile.TemporaryDirectory() as folder:
        blocks = compared(
            pack,
            options.block or pack.numbers,
            Path(folder),
            workers=options.workers,
            groups=options.groups,
            rounds=options.rounds,
        )
        async for block in blocks:
            assert not block.found, block.found
            done.append(block)
            bar = BARS["free" if block.allowed >= ALLOWED_MIN else "any"]
            more = f"{block.transactions:5} transactions, {sum(block.in_order) / len(block.in_order):.3f} s in order"
            more += f", {block.groups:2} groups, {block.again / block.transactions:5.1%} again"
            line(str(block.number), ratios(block), bar, f"{more}, dependencies allow {block.allowed:.1f}")
    turns = range(options.rounds)
    whole = [
        sum(block.in_order[turn] for block in done) / sum(block.in_groups[turn] for block in done) for turn in turns
    ]
    line(
        "together",
        whole,
        BARS["all"],
        f"{len(done)} blocks, {sum(block.transactions for block in done):,} transactions",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, default=DATA / "mainnet_dev.json.xz")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--groups", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--block", type=int, action="append", default=[])
    options = parser.parse_args()
    if not options.pack.exists():
        print(f"nothing recorded at {options.pack}; set LOCKSTEP_DATA to the folder of it")
        return
    with asyncio.Runner() as runner:
        runner.run(measure(options))


if __name__ == "__main__":
    main()
