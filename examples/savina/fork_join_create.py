"""Fork-join, create: 40,000 actors are made, handle one message each, and stop."""

from math import sin

from actors import Actor, PostOffice, Root


class Worker(Actor):
    async def receive(self, theta, sender):
        assert sin(theta) ** 2 > 0
        self.stop()


class Maker(Actor):
    async def receive(self, count, sender):
        for _ in range(count):
            self.tell(self.spawn(Worker), 37.2)


class ForkJoinCreate(PostOffice, Root):
    hosts = (Maker, Worker)

    async def run(self):
        self.post(self.spawn(Maker), self.heap["block", "workers"])
        done = await self.deliver()
        return {"result": done.rounds, "messages": done.messages, "dead": len([*self.dead_letters()])}


def parameters(scale):
    return {"workers": max(1, round(40_000 * scale))}


def expected(workers):
    # They are made in one round, and stop in the next.
    return 2, workers + 1
