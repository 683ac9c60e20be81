"""A ledger: a block is a list of transfers, done as if one after the other, and mostly side by side; some are refused.

All accounts are in one region of the root's heap. A transfer asks no more than whether its two accounts are there and
whether the sender has enough, and adds to two balances. So transfers get in each other's way only where what one sender has
left is just about enough; `transact` sees to that, and the blocks are the same however many workers there are.

A transfer that makes no sense (an account that nobody has), or that its sender cannot pay, is refused: the block has its
position and the reason, and nothing of it is done.
"""

import random
import sys

import runtime
from actors import Refusal, Region, Root, Transaction


class NoSuchAccount(Exception):
    pass


class NotEnough(Exception):
    pass


class Transfer(Transaction):
    """(from, to, amount)"""

    placement = "auto"  # they are short: where it is not worth the way, they stay on the loop

    def apply(self, heap, transaction):
        sender, receiver, amount = transaction
        if sender not in heap or receiver not in heap:
            raise NoSuchAccount
        if not heap.at_least(sender, amount):
            raise NotEnough
        heap.add(sender, -amount)
        heap.add(receiver, amount)

    def touches(self, transaction):
        return ()  # additions need no order

    def adds_to(self, transaction):
        return transaction[:2]


class Ledger(Root):
    async def run(self):
        results = await self.transact(Transfer, self.heap.get(("block", "transfers"), ()), region="accounts")
        return {"refused": [(at, one.error) for at, one in enumerate(results) if isinstance(one, Refusal)]}


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
            total = sum(rt.state().heap.values(Region("accounts")))
            assert total == 1_000 * accounts, "money was made or lost"
            reasons = sorted({reason for _, reason in block.data["refused"]})
            print(
                f"block {block.number}: {len(block.data['refused'])} of 500 refused {reasons}, "
                f"total {total}, root {block.state_root.hex()[:16]}"
            )


if __name__ == "__main__":
    runtime.run(lambda: main(store=sys.argv[1] if len(sys.argv) > 1 else None))
