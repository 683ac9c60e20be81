"""N-queens: all ways to put 12 queens on a board of 12 by 12, by 20 actors that search, and one that hands out boards.

A board with fewer queens than the threshold of 4 comes back as the boards that follow from it, any other is searched to the
end. The actors that search are processes that may run on workers.
"""

from actors import Actor, PostOffice, Root

SOLUTIONS = (1, 0, 0, 2, 10, 4, 40, 92, 352, 724, 2_680, 14_200)


def following(size, columns, left, right):
    """Yield the boards with a queen more. A board is three sets of columns: taken, and taken by each diagonal."""
    free = ((1 << size) - 1) & ~(columns | left | right)
    while free:
        queen = free & -free
        free ^= queen
        yield columns | queen, (left | queen) << 1, (right | queen) >> 1


def solutions(size, columns, left, right):
    if columns == (1 << size) - 1:
        return 1
    return sum(solutions(size, *board) for board in following(size, columns, left, right))


class Searcher(Actor):
    placement = "worker"

    async def receive(self, message, sender):
        size, threshold, queens, board = message
        if queens < threshold:
            self.tell(sender, ("boards", queens + 1, tuple(following(size, *board))))
        else:
            self.tell(sender, ("found", queens, solutions(size, *board)))


class Master(Actor):
    async def receive(self, message, sender):
        what, queens, found = message
        if what == "found":
            self.heap["found"] += found
            return
        size, threshold, searchers = self.heap["size"], self.heap["threshold"], self.heap["searchers"]
        turn = self.heap["turn"]
        for board in found:
            self.tell(searchers[turn % len(searchers)], (size, threshold, queens, board))
            turn += 1
        self.heap["turn"] = turn


class NQueens(PostOffice, Root):
    hosts = (Master,)
    actors = (Searcher,)

    async def run(self):
        size, threshold, count = (self.heap["block", key] for key in ("size", "threshold", "searchers"))
        searchers = [self.spawn(Searcher) for _ in range(count)]
        master = self.spawn(Master, found=0, turn=0, size=size, threshold=threshold, searchers=searchers)
        self.post(master, ("boards", 0, ((0, 0, 0),)))
        done = await self.deliver()
        return {
            "result": await self.look(master, "found"),
            "messages": done.messages,
            "dead": len([*self.dead_letters()]),
        }


def parameters(scale):
    # The search grows about fivefold with each row.
    return {
        "size": next(size for size in range(12, 3, -1) if size == 4 or 5.0 ** (size - 12) <= scale),
        "threshold": 4,
        "searchers": 20,
    }


def expected(size, threshold, searchers):
    boards, searches = [(0, 0, 0)], 1
    for _ in range(threshold):
        boards = [after for board in boards for after in following(size, *board)]
        searches += len(boards)
    # Each board goes out and what was found of it comes back.
    return SOLUTIONS[size - 1], 1 + 2 * searches
