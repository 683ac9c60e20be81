"""Run the benchmarks; each checks its own result.

python -m examples.savina [--scale F] [--workers N] [NAME…]
"""

import argparse
import sys
from math import inf

import runtime
from examples.savina.suite import SUITE, WrongResult, run


async def main(names, scale, workers):
    for name in names:
        block, messages, seconds = await run(name, scale, workers)
        told = f"{messages} messages, {messages / seconds:,.0f} a second, {seconds:.2f} s"
        print(f"{name:<22} {block.data['result']}: right, {told}", flush=True)


def share(text):
    scale = float(text)
    if not 0 < scale < inf:
        raise ValueError
    return scale


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SUITE))
    parser.add_argument(
        "--scale", type=share, default=0.01, help="the share of the published work, above 0; 0.01 if not given"
    )
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
