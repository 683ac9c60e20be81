"""Chameneos: 100 creatures meet in pairs at a mall, 200,000 times, and change their colours there."""

from actors import Actor, PostOffice, Root

COLOURS = ("blue", "red", "yellow")


def complement(one, other):
    return one if one == other else next(colour for colour in COLOURS if colour not in (one, other))


class Mall(Actor):
    async def receive(self, colour, sender):
        left, waits = self.heap["left"], self.heap.get("waits")
        if not left:
            self.tell(sender, ("closed", None, None))
        elif waits is None:
            self.heap["waits"] = (sender, colour)
        else:
            self.tell(waits[0], ("meet", sender, colour))
            self.heap["waits"], self.heap["left"] = None, left - 1


class Creature(Actor):
    async def receive(self, message, sender):
        what, other, colour = message
        if what == "closed":
            self.tell(self.office, self.heap["meetings"])
            self.stop()
            return
        if what != "begin":
            mine = self.heap["colour"] = complement(self.heap["colour"], colour)
            self.heap["meetings"] += 1
            if what == "meet":
                self.tell(other, ("met", None, mine))
        self.tell(self.heap["mall"], self.heap["colour"])


class Chameneos(PostOffice, Root):
    hosts = (Mall, Creature)

    async def run(self):
        mall = self.spawn(Mall, left=self.heap["block", "meetings"])
        for i in range(self.heap["block", "creatures"]):
            creature = self.spawn(Creature, colour=COLOURS[i % 3], mall=mall, meetings=0)
            self.post(creature, ("begin", None, None))
        done = await self.deliver()
        meetings = [meetings for meetings, _ in done.mail]
        return {
            "result": (len(meetings), sum(meetings)),
            "messages": done.messages,
            "dead": len([*self.dead_letters()]),
        }


def parameters(scale):
    return {"creatures": 100, "meetings": max(1, round(200_000 * scale))}


def expected(creatures, meetings):
    # To begin, to be told that the mall is closed, and to ask it before; two there and two back for a meeting.
    return (creatures, 2 * meetings), 3 * creatures + 4 * meetings
