"""A ledger in shards: accounts by key range, transfers in parallel, refusals, and a shard that fails and is retried.

The root's genesis has all accounts in one region. In its first block it cuts that region into ranges and mounts each,
by reference, in a child of its own: a shard. From then on a block is a list of transfers (from, to, amount):

1. Transfers within a shard: every shard gets its own, and all run side by side.
2. Transfers across shards: the shards of the senders pay out, side by side; what was paid is then paid in by the shards
   of the receivers, side by side.

A transfer that its sender cannot pay is refused, and the block says so. A transfer that makes no sense (an account that
nobody has) is a mistake of whoever sent the block, and `Shard` fails on it: all that the shard did is undone. The root
then runs that same shard, back at its snapshot, with `CarefulShard`, which refuses such transfers one by one.
"""

import random
import sys
from bisect import bisect_right

import runtime
from actors import ChildFailed, Process, Region, Root


class Shard(Process):
    """Pays what stands in "todo" from and to its own accounts; leaves the positions of refused transfers."""

    placement = "worker"

    async def run(self):
        refused = []
        for position, sender, receiver, amount in self.heap["todo"]:
            if not self.sound(sender, receiver, amount) or self.balance(sender) < amount:
                refused.append(position)
                continue
            if sender is not None:
                self.heap["accounts", sender] -= amount
            if receiver is not None:
                self.heap["accounts", receiver] += amount
        self.heap["refused"] = refused

    def sound(self, sender, receiver, amount):
        return True  # an account that is not here fails the whole shard, at the first use

    def balance(self, name):
        return self.heap["accounts", name] if name is not None else float("inf")


class CarefulShard(Shard):
    """The same, but it looks first."""

    def sound(self, sender, receiver, amount):
        known = all(name is None or ("accounts", name) in self.heap for name in (sender, receiver))
        return known and type(amount) is int and amount > 0


class Ledger(Root):
    async def run(self):
        if "bounds" not in self.heap:
            await self.cut_into_shards(self.heap.get("shards", 4))
        bounds = self.heap["bounds"]
        within, across = {}, {}
        for position, (sender, receiver, amount) in enumerate(self.heap.get(("block", "transfers"), ())):
            home, away = bisect_right(bounds, sender), bisect_right(bounds, receiver)
            if home == away:
                within.setdefault(home, []).append((position, sender, receiver, amount))
            else:
                across[position] = (home, away, sender, receiver, amount)
        retried = []
        refused = await self.settle(within, retried)

        out, into = {}, {}
        for position, (home, _, sender, _, amount) in across.items():
            out.setdefault(home, []).append((position, sender, None, amount))
        unpaid = await self.settle(out, retried)
        for position, (_, away, _, receiver, amount) in across.items():
            if position not in unpaid:
                into.setdefault(away, []).append((position, None, receiver, amount))
        returned = await self.settle(into, retried)
        back = {}
        for position in sorted(returned):  # paid out, but to nobody: it goes back to where it came from
            home, _, sender, _, amount = across[position]
            back.setdefault(home, []).append((position, None, sender, amount))
        await self.settle(back, retried)
        return {"refused": sorted(refused | unpaid | returned), "retried": retried}

    async def cut_into_shards(self, count):
        names = list(self.heap.keys("accounts"))
        bounds = [names[i * len(names) // count] for i in range(1, count)]
        edges = [None, *bounds, None]
        for shard in range(count):
            accounts = self.heap.region("accounts", edges[shard], edges[shard + 1])
            await self.put(shard, {"accounts": accounts})
        self.heap.clear("accounts")
        self.heap["bounds"] = bounds

    async def settle(self, todo, retried):
        """Let every shard pay its part, all side by side; return the positions of what was refused."""
        for shard in sorted(todo):
            await self.put(shard, {"todo": todo[shard]}, program=Shard, start=True)
        refused = set()
        for shard in sorted(todo):
            try:
                refused.update(await self.get(shard, "refused"))
            except ChildFailed as failure:
                retried.append((shard, failure.error))
                await self.put(shard, program=CarefulShard, start=True)
                refused.update(await self.get(shard, "refused"))
        return refused


def transfers(names, count, seed):
    """Make up a block: mostly sound transfers, some that cannot be paid, now and then one to nobody."""
    draw = random.Random(seed)
    made = [(draw.choice(names), draw.choice(names), draw.randrange(1, 300)) for _ in range(count)]
    if seed % 3 == 0:
        made[count // 2] = (made[count // 2][0], "zz-nobody", 1)
    return made


async def main(blocks=6, accounts=1_000, store=None):
    names = [f"account-{i:04}" for i in range(accounts)]
    genesis = {("accounts", name): 1_000 for name in names}
    async with runtime.Runtime(Ledger, store=store, genesis=genesis) as rt:
        for number in range(rt.head.number + 1, rt.head.number + 1 + blocks):
            block = await rt.advance({"transfers": transfers(names, 500, number)})
            shards = rt.state().children.values()
            total = sum(balance for shard in shards for balance in shard.heap.values(Region("accounts")))
            assert total == 1_000 * accounts, "money was made or lost"
            print(
                f"block {block.number}: {len(block.data['refused'])} of 500 refused, retried {list(block.data['retried'])}, "
                f"total {total}, root {block.state_root.hex()[:16]}"
            )


if __name__ == "__main__":
    runtime.run(lambda: main(store=sys.argv[1] if len(sys.argv) > 1 else None))
