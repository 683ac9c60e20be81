"""Real Ethereum blocks on Lockstep.

Without arguments it needs nothing but the package `ethereum-execution`:

1. mainnet's genesis, whose state root over all 8,893 accounts must be that of its header;
2. mainnet's block 1, whose state root must be that of its header;
3. blocks of transfers and contract calls that the example signs itself, each checked against the unmodified package:
   gas, receipts root, every account and slot, state root. Nobody has the keys of mainnet's accounts, so these stand on
   a second chain, whose genesis has the signers beside mainnet's accounts.

With --pack FILE it executes recorded mainnet blocks, each on the state that was recorded with it, and checks gas used,
transactions root, logs bloom, receipts root (from Byzantium on) and the digest of the state behind its transactions.

With --pack FILE --workers N it executes each of them twice: in order, in one process; and its transactions in groups,
which run on N workers and are merged. Both are checked; and it prints, by block, the seconds of both (everything warmed
up, the shortest of some turns, up to the durable commit), the share of transactions that had to be executed again, and
the speed-up that the block's own dependencies allow, on however many workers. Where it seems that nothing is to be won,
the block is executed in order, as one group.

Any difference ends the run with both values, and exit code 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import runtime
from actors import LockstepError

try:
    from .chain import STATE, Chain
    from .compare import Compared, compared, result_of
    from .evm import state_root
    from .genesis import block_one, block_one_header, genesis_entries, genesis_header, header_hash
    from .packs import Pack, PackError, mismatches, post_digest
    from .reference import Reference, reference
    from .signed import sender_entries, signed_blocks
    from .state import STATE_PREFIX
except ModuleNotFoundError as error:
    if error.name not in ("ethereum", "ethereum_rlp", "ethereum_types", "coincurve"):
        raise
    sys.exit(f"this example needs {error.name}, which is not installed: pip install 'lockstep-actors[ethereum]'")

if TYPE_CHECKING:
    from collections.abc import Iterable

SENDERS = 8


class Mismatch(Exception):
    """A value is not what it has to be."""


def expect(what: str, expected: Any, got: Any) -> None:
    """Raise Mismatch unless both are equal."""
    if expected != got:
        shown = [value.hex() if isinstance(value, bytes) else value for value in (expected, got)]
        raise Mismatch(f"{what}: expected {shown[0]}, got {shown[1]}")


def tell(number: int, transactions: int, data: Any, checks: str, seconds: float) -> None:
    """Print a block's line."""
    rate = f"{transactions / seconds:6.0f} tx/s" if transactions else " " * 11
    print(f"block {number:>9}  {transactions:4} transactions  {data['gas used']:>9} gas  {rate}  {checks}", flush=True)


async def mainnet() -> None:
    """Execute block 1 on mainnet's genesis."""
    async with runtime.Runtime(Chain, genesis=genesis_entries) as rt:
        heap = rt.state().heap
        root = state_root(heap)
        expect("hash of the genesis header", block_one_header()["parent_hash"], header_hash(genesis_header(root)))
        accounts = len(heap.region((*STATE_PREFIX, "account")))
        print(f"genesis: {accounts:,} accounts, state root {root.hex()}, as in its header")
        begin = time.perf_counter()
        block = await rt.advance(block_one())
        seconds = time.perf_counter() - begin
        root = state_root(rt.state().heap)
        expect("state root of block 1", block_one_header()["state_root"], root)
        tell(1, 0, block.data, f"state root {root.hex()[:16]}…, as in its header", seconds)


async def signed(blocks: int, transactions: int, store: str | None) -> None:
    """Execute blocks that the example signs, each beside the unmodified package."""

    def genesis() -> Iterable[Any]:
        yield from genesis_entries()
        yield from sender_entries(SENDERS)

    async with runtime.Runtime(Chain, store=store, genesis=genesis) as rt:
        if rt.head.number == 0:
            await rt.advance(block_one())
        # Headers are not made here, so there is no hash of block 1 on this chain: zeros stand for it.
        chain = signed_blocks(rt.head.number - 1 + blocks, transactions, sender_count=SENDERS)
        for number, block in enumerate(chain, 2):
            if number <= rt.head.number:
                continue
            before = dict(rt.state().heap.items())
            begin = time.perf_counter()
            made = await rt.advance(block)
            seconds = time.perf_counter() - begin
            theirs = reference({key: value for key, value in before.items() if key[0] == STATE_PREFIX[0]}, block)
            check_signed(made.data, rt.state().heap, theirs)
            tell(
                number,
                transactions,
                made.data,
                f"state root {theirs.state_root.hex()[:16]}…, as the package has it",
                seconds,
            )


def check_signed(data: Any, heap: Any, theirs: Reference) -> None:
    """Compare a block's result and state with the unmodified package's."""
    expect("gas used", theirs.result.gas_used, data["gas used"])
    expect("receipts root", theirs.result.receipts_root, data["receipts root"])
    expect("logs bloom", theirs.result.logs_bloom, data["logs bloom"])
    expected = theirs.entries()
    got = {(*STATE_PREFIX, *key): value for key, value in heap.items(STATE) if key[0] != "code"}
    for key in sorted({*got, *(key for key in expected if key[1] != "code")}):
        expect(f"state at {key[1]} {'/'.join(part.hex() for part in key[2:])}", expected.get(key), got.get(key))
    expect("state root", theirs.state_root, state_root(heap))


async def recorded(path: Path, numbers: list[int], store: str | None) -> None:
    """Execute recorded blocks."""
    pack = Pack(path)
    total, spent = 0, 0.0
    async with runtime.Runtime(Chain, store=store) as rt:
        for number in numbers or pack.numbers:
            record = pack.block(number)
            begin = time.perf_counter()
            block = await rt.advance({**record.block, "pre": record.entries})
            seconds = time.perf_counter() - begin
            data = block.data
            got = result_of(data)
            found = mismatches(record, got, post_digest(rt.state().heap))
            if found:
                raise Mismatch(f"block {number}: {'; '.join(found)}")
            count = len(record.block["transactions"])
            checks = "gas, transactions, bloom, state" + (", receipts" if got.receipts_root is not None else "")
            tell(number, count, data, f"{checks}: as in the record", seconds)
            total, spent = total + count, spent + seconds
    print(f"{len(numbers or pack.numbers)} blocks, {total:,} transactions, {total / spent:.0f} transactions a second")


async def in_groups(path: Path, numbers: list[int], workers: int, groups: int) -> None:
    """Execute recorded blocks in order and in groups, and compare."""
    pack = Pack(path)
    print("    block  transactions  groups  in order  in groups  ratio  again  dependencies allow")
    done: list[Compared] = []
    with tempfile.TemporaryDirectory() as folder:
        chosen = numbers or pack.numbers
        async for block in compared(pack, chosen, Path(folder), workers=workers, groups=groups):
            if block.found:
                raise Mismatch(f"block {block.number}: {'; '.join(block.found)}")
            done.append(block)
            share = block.again / block.transactions
            print(
                f"{block.number:>9} {block.transactions:>13} {block.groups:>7} {min(block.in_order):>9.3f} "
                f"{min(block.in_groups):>10.3f} {block.speed_up:>6.2f} {share:>6.1%} {block.allowed:>19.1f}",
                flush=True,
            )
    one, other = sum(min(block.in_order) for block in done), sum(min(block.in_groups) for block in done)
    again, transactions = sum(block.again for block in done), sum(block.transactions for block in done)
    print(
        f"{len(done)} blocks, {transactions:,} transactions: all as in the record; in order {one:.2f} s, "
        f"in groups {other:.2f} s, ratio {one / other:.2f}, executed again {again / transactions:.1%}"
    )


async def run(options: argparse.Namespace) -> None:
    """Run what the options ask for."""
    if options.pack is not None and options.workers is not None:
        await in_groups(options.pack, options.block, options.workers, options.groups)
        return
    if options.pack is not None:
        await recorded(options.pack, options.block, options.store)
        return
    await mainnet()
    await signed(options.blocks, options.transactions, options.store)


def main() -> int:
    """Run the example; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.ethereum", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pack", type=Path, metavar="FILE", help="a file of recorded blocks (.json or .json.xz)")
    parser.add_argument(
        "--block", type=int, action="append", default=[], metavar="N", help="only this block of the pack"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="with --pack: also in groups, on so many workers")
    parser.add_argument(
        "--groups", type=int, default=0, metavar="G", help="into how many groups; what seems best, if not given"
    )
    parser.add_argument("--blocks", type=int, default=5, help="how many blocks to sign (default 5)")
    parser.add_argument("--transactions", type=int, default=40, help="how many transactions in each (default 40)")
    parser.add_argument("--store", metavar="PATH", help="keep the blocks there; run again to go on")
    try:
        runtime.run(lambda: run(parser.parse_args()))
    except (Mismatch, PackError, LockstepError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
