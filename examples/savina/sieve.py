"""Sieve: the odd numbers up to 100,000 go down a chain of actors, each of which holds back the multiples of up to 1,000 primes.

The actors are processes that may run on workers. Numbers travel in packets, and there is a new one in every round, so that
all links of the chain have something to do at once.
"""

from bisect import bisect

from actors import Actor, PostOffice, Root

PACKET = 4_000


class Link(Actor):
    placement = "worker"

    async def receive(self, numbers, sender):
        heap = self.heap
        primes, most = list(heap.get("primes", ())), heap["most"]
        rest = []
        for number in numbers:
            if all(number % prime for prime in primes):
                if len(primes) < most:
                    primes.append(number)
                else:
                    rest.append(number)
        heap["primes"] = primes
        if rest:
            if "next" not in heap:
                heap["next"] = self.spawn(Link, most=most)
            self.tell(heap["next"], rest)
        self.tell(self.office, len(primes))


class Source(Actor):
    async def receive(self, message, sender):
        first, end, link = message
        last = min(first + 2 * PACKET, end)
        self.tell(link, tuple(range(first, last, 2)))
        if last < end:
            self.tell(self.path, (last, end, link))


class Sieve(PostOffice, Root):
    hosts = (Source,)
    actors = (Link,)

    async def run(self):
        end, most = self.heap["block", "numbers"], self.heap["block", "most"]
        link = self.spawn(Link, most=most)
        self.post(self.spawn(Source), (3, end, link))
        done = await self.deliver()
        # The last that each link said is how many primes it has; 2 is not among them.
        primes = 1 + sum({sender: count for count, sender in done.mail}.values())
        return {"result": (primes, len(done.mail)), "messages": done.messages, "dead": len([*self.dead_letters()])}


def parameters(scale):
    return {"numbers": max(10, round(100_000 * scale)), "most": 1_000}


def expected(numbers, most):
    composite = bytearray(numbers)
    for number in range(2, int(numbers**0.5) + 1):
        if not composite[number]:
            composite[number * number :: number] = b"\1" * len(range(number * number, numbers, number))
    primes = [number for number in range(3, numbers) if not composite[number]]
    # A packet comes to as many links as it takes to hold back its last prime, and each says how many it has.
    starts = range(3, numbers, 2 * PACKET)
    reports = sum(1 + max(0, bisect(primes, start + 2 * PACKET - 1) - 1) // most for start in starts)
    return (1 + len(primes), reports), len(starts) + reports
