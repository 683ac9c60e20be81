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
    """Run one benchmark; return its block, how many messages were delivered, and the seconds that it took.

    Raises:
        WrongResult: it came to something else, in another number of messages, or a message was not handled.
    """
    module, office = SUITE[name]
    parameters = module.parameters(scale)
    async with runtime.Runtime(office, workers=workers, **how) as rt:
        begin = time.perf_counter()
        block = await rt.advance(parameters)
        seconds = time.perf_counter() - begin
    result, messages = module.expected(**parameters)
    data = block.data
    if (data["result"], data["messages"], data["dead"]) != (result, messages, 0):
        told = f"{data['result']!r} after {data['messages']} messages, with {data['dead']} dead letters"
        raise WrongResult(f"{name} with {parameters} gave {told}; it is {result!r} after {messages}, with none")
    return block, messages, seconds
