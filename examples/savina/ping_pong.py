"""Ping-pong: two actors and one message between them, 40,000 times there and back. What the delivery of a message costs."""

from actors import Actor, PostOffice, Root


class Pong(Actor):
    async def receive(self, message, sender):
        self.tell(sender, "pong")


class Ping(Actor):
    async def receive(self, message, sender):
        left = self.heap["left"]
        if left:
            self.heap["left"] = left - 1
            self.tell(self.heap["pong"], "ping")
        else:
            self.tell(self.office, "done")


class PingPong(PostOffice, Root):
    hosts = (Ping, Pong)

    async def run(self):
        pong = self.spawn(Pong)
        ping = self.spawn(Ping, left=self.heap["block", "pings"], pong=pong)
        self.post(ping, "start")
        done = await self.deliver()
        said = tuple(message for message, _ in done.mail)
        return {"result": said, "messages": done.messages, "dead": len([*self.dead_letters()])}


def parameters(scale):
    return {"pings": max(1, round(40_000 * scale))}


def expected(pings):
    return ("done",), 2 * pings + 1
