"""Programs in a file of their own, for the linter's tests: what is wrong in them is meant."""

import time

from actors import Process


class Good(Process):
    async def run(self):
        self.heap["x"] = 1


class Bad(Process):
    async def run(self):
        self.heap["x"] = time.time()


class Worse(Process):
    async def run(self):
        self.heap["x"] = id(self)
