"""Thread ring: 100 actors in a ring pass one number on, 100,000 times, counting down."""

from actors import Actor, PostOffice, Root


class Node(Actor):
    async def receive(self, left, sender):
        if left:
            self.tell(self.heap["next"], left - 1)
        else:
            self.tell(self.office, self.path[-1])


class ThreadRing(PostOffice, Root):
    hosts = (Node,)

    async def run(self):
        nodes, passes = self.heap["block", "nodes"], self.heap["block", "passes"]
        ring = [(*self.path, f"node-{i}") for i in range(nodes)]
        for i in range(nodes):
            self.spawn(Node, f"node-{i}", next=ring[(i + 1) % nodes])
        self.post(ring[0], passes)
        done = await self.deliver()
        last = tuple(name for name, _ in done.mail)
        return {"result": last, "messages": done.messages, "dead": len([*self.dead_letters()])}


def parameters(scale):
    return {"nodes": 100, "passes": max(1, round(100_000 * scale))}


def expected(nodes, passes):
    return (f"node-{passes % nodes}",), passes + 1
