"""Counting: one actor sends 1,000,000 messages to another, which counts them. What a message costs that comes with many."""

from actors import Actor, PostOffice, Root


class Counter(Actor):
    async def receive(self, message, sender):
        if message == "increment":
            self.heap["count"] += 1
        else:
            self.tell(sender, self.heap["count"])


class Producer(Actor):
    async def receive(self, message, sender):
        if sender != self.office:
            self.tell(self.office, message)
            return
        counter = self.heap["counter"]
        for _ in range(message):
            self.tell(counter, "increment")
        self.tell(counter, "retrieve")


class Counting(PostOffice, Root):
    hosts = (Producer, Counter)

    async def run(self):
        counter = self.spawn(Counter, count=0)
        self.post(self.spawn(Producer, counter=counter), self.heap["block", "increments"])
        done = await self.deliver()
        counts = tuple(count for count, _ in done.mail)
        return {"result": counts, "messages": done.messages, "dead": len([*self.dead_letters()])}


def parameters(scale):
    return {"increments": max(1, round(1_000_000 * scale))}


def expected(increments):
    return (increments,), increments + 3
