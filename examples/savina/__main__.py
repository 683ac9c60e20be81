"""Run the benchmarks; each checks its own result.

python -m examples.savina [--scale F] [--workers N] [NAME…]
"""

import argparse
import sys

import runtime
from examples.savina.suite import SUITE, WrongResult, run


async def main(names, scale, workers):
    for name in names:
        block, messages, seconds = await run(name, scale, workers)
        told = "" if messages is None else f", {messages} messages, {messages / seconds:,.0f} a second"
        print(f"{name:<22} {block.data['result']}: right{told}, {seconds:.2f} s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SUITE))
    parser.add_argument("--scale", type=float, default=0.01, help="the share of the published work; 0.01 if not given")
    parser.add_argument(
        "--workers", type=int, default=0, help="worker processes for sieve and n-queens; none if not given"
    )
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in SUITE]
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(SUITE)}")
    try:
        runtime.run(lambda: main(asked.names or SUITE, asked.scale, asked.workers))
    except WrongResult as error:
        sys.exit(str(error))
