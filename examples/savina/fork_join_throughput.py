"""Fork-join, throughput: one actor sends 10,000 messages to each of 60 others, one after the other."""

from math import sin

from actors import Actor, PostOffice, Root


class Worker(Actor):
    async def receive(self, theta, sender):
        assert sin(theta) ** 2 > 0
        left = self.heap["left"] = self.heap["left"] - 1
        if not left:
            self.tell(self.office, "done")
            self.stop()


class Sender(Actor):
    async def receive(self, message, sender):
        workers, count = message
        for _ in range(count):
            for worker in workers:
                self.tell(worker, 37.2)


class Throughput(PostOffice, Root):
    hosts = (Sender, Worker)

    async def run(self):
        workers, messages = self.heap["block", "workers"], self.heap["block", "messages"]
        addresses = [self.spawn(Worker, left=messages) for _ in range(workers)]
        self.post(self.spawn(Sender), (addresses, messages))
        done = await self.deliver()
        return {"result": len(done.mail), "messages": done.messages, "dead": len([*self.dead_letters()])}


def parameters(scale):
    return {"workers": 60, "messages": max(1, round(10_000 * scale))}


def expected(workers, messages):
    return workers, workers * messages + 1
