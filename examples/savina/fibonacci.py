"""Fibonacci: an actor for every call of the naive recursion up to the 25th number; each stops once it has answered."""

from actors import Actor, PostOffice, Root


class Fib(Actor):
    async def receive(self, message, sender):
        what, n = message
        if what == "compute":
            if n <= 2:
                self.answer(sender, 1)
                return
            self.heap["parent"] = sender
            for smaller in (n - 1, n - 2):
                self.tell(self.spawn(Fib), ("compute", smaller))
        elif "half" in self.heap:
            self.answer(self.heap["parent"], self.heap["half"] + n)
        else:
            self.heap["half"] = n

    def answer(self, parent, number):
        self.tell(parent, ("computed", number))
        self.stop()


class Fibonacci(PostOffice, Root):
    hosts = (Fib,)

    async def run(self):
        self.post(self.spawn(Fib), ("compute", self.heap["block", "n"]))
        done = await self.deliver()
        numbers = tuple(number for (_, number), _ in done.mail)
        return {"result": numbers, "messages": done.messages, "dead": len([*self.dead_letters()])}


def calls(n):
    return 1 if n <= 2 else 1 + calls(n - 1) + calls(n - 2)


def parameters(scale):
    return {"n": max(n for n in range(1, 26) if n == 1 or calls(n) <= calls(25) * scale)}


def expected(n):
    last, number = 0, 1
    for _ in range(n - 1):
        last, number = number, last + number
    # A message to every call, and one back from every call but the first, which goes to the office.
    return (number,), 2 * calls(n) - 1
