"""Big: 120 actors, each sends a ping to one of the others at random, waits for the pong, and does it again, 20,000 times."""

from actors import Actor, PostOffice, Root


class Peer(Actor):
    async def receive(self, message, sender):
        if message == "ping":
            self.tell(sender, "pong")
            return
        left = self.heap["left"]
        if not left:
            self.tell(self.office, "done")
            return
        self.heap["left"] = left - 1
        # A generator of its own: the random module's is not a process's to use.
        drawn = self.heap["seed"] = (self.heap["seed"] * 1_103_515_245 + 12_345) % 2**31
        self.tell((*self.office, f"peer-{(drawn >> 8) % self.heap['peers']}"), "ping")


class Big(PostOffice, Root):
    hosts = (Peer,)

    async def run(self):
        peers, pings = self.heap["block", "peers"], self.heap["block", "pings"]
        for i in range(peers):
            self.post(self.spawn(Peer, f"peer-{i}", seed=i, left=pings, peers=peers), "start")
        done = await self.deliver()
        return {"result": len(done.mail), "messages": done.messages, "dead": len([*self.dead_letters()])}


def parameters(scale):
    return {"peers": 120, "pings": max(1, round(20_000 * scale))}


def expected(peers, pings):
    return peers, peers * (2 * pings + 1)
