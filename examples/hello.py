"""A durable counter. Run it, kill it as hard as you like, run it again: it goes on where it was."""

import asyncio

import runtime
from actors import Root


class Hello(Root):
    async def run(self):
        self.heap["count"] = self.heap.get("count", 0) + 1
        return f"hello, number {self.heap['count']}"


async def main():
    async with runtime.Runtime(Hello, store="hello.db") as rt:
        while True:
            print((await rt.advance()).data, flush=True)
            await asyncio.sleep(0.5)


if __name__ == "__main__":
    runtime.run(main)
