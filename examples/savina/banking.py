"""Banking: 50,000 transfers between 1,000 accounts; whoever pays asks whoever is paid, and waits for the answer.

The receiver of a transfer always comes after the sender, so that no two accounts can wait for each other.
"""

import random

from actors import Actor, PostOffice, Root


class Account(Actor):
    async def receive(self, message, sender):
        what, amount, receiver = message
        if what == "credit":
            self.heap["balance"] += amount
            return
        self.heap["balance"] -= amount
        await self.ask(receiver, ("credit", amount, None))
        self.tell(sender, "done")


class Teller(Actor):
    async def receive(self, message, sender):
        if message == "done":
            self.heap["done"] += 1
            return
        accounts, transfers = message
        draw = random.Random(transfers)
        for _ in range(transfers):
            source = draw.randrange(accounts * 8 // 10)
            target = draw.randrange(source + 1, accounts)
            amount = draw.randrange(1, 1_000)
            self.tell((*self.office, f"account-{source}"), ("debit", amount, (*self.office, f"account-{target}")))


class Banking(PostOffice, Root):
    hosts = (Teller, Account)

    async def run(self):
        accounts, transfers = self.heap["block", "accounts"], self.heap["block", "transfers"]
        addresses = [self.spawn(Account, f"account-{i}", balance=0) for i in range(accounts)]
        teller = self.spawn(Teller, done=0)
        self.post(teller, (accounts, transfers))
        done = await self.deliver()
        total = 0
        for address in addresses:
            total += await self.look(address, "balance")
        result = await self.look(teller, "done"), total
        return {"result": result, "messages": done.messages, "dead": len([*self.dead_letters()])}


def parameters(scale):
    return {"accounts": 1_000, "transfers": max(1, round(50_000 * scale))}


def expected(accounts, transfers):
    return (transfers, 0), 3 * transfers + 1
