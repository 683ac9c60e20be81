"""The benchmarks by name, and how one is run and checked."""

import time

import runtime
from examples.savina import (
    banking,
    big,
    chameneos,
    counting,
    fibonacci,
    fork_join_create,
    fork_join_throughput,
    n_queens,
    ping_pong,
    sieve,
    thread_ring,
)

SUITE = {
    "ping-pong": (ping_pong, ping_pong.PingPong),
    "counting": (counting, counting.Counting),
    "thread-ring": (thread_ring, thread_ring.ThreadRing),
    "fork-join-create": (fork_join_create, fork_join_create.ForkJoinCreate),
    "fork-join-throughput": (fork_join_throughput, fork_join_throughput.Throughput),
    "fibonacci": (fibonacci, fibonacci.Fibonacci),
    "chameneos": (chameneos, chameneos.Chameneos),
    "big": (big, big.Big),
    "banking": (banking, banking.Banking),
    "sieve": (sieve, sieve.Sieve),
    "n-queens": (n_queens, n_queens.NQueens),
}


class WrongResult(Exception):
    """A benchmark that came to something else than it has to."""


async def run(name, scale, workers=0, **how):
    """Run one benchmark; return its block, its messages (None where nobody counts them), and the seconds that it took."""
    module, office = SUITE[name]
    parameters = module.parameters(scale)
    async with runtime.Runtime(office, workers=workers, **how) as rt:
        begin = time.perf_counter()
        block = await rt.advance(parameters)
        seconds = time.perf_counter() - begin
    result, messages = module.expected(**parameters)
    if block.data["result"] != result or block.data["messages"] != messages:
        told = f"{block.data['result']!r} after {block.data['messages']} messages"
        raise WrongResult(f"{name} with {parameters} gave {told}; it is {result!r} after {messages}")
    return block, messages, seconds
