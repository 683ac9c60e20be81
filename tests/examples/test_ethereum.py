"""examples/ethereum: its main job, its state against the package's own, and real recorded blocks where they are at hand."""

from __future__ import annotations

import json
import lzma
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ethereum", reason="pip install 'lockstep-actors[ethereum]'")

from ethereum.crypto.hash import keccak256
from ethereum_types.bytes import Bytes20, Bytes32
from ethereum_types.numeric import U256
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recorded import DATA, needs

from actors import BlockFailed, ChildFailed, Heap
from actors.memory import Memory
from examples.ethereum import reference
from examples.ethereum.chain import Chain
from examples.ethereum.evm import BlockRejected, heap_fork
from examples.ethereum.fork_state import account_maker
from examples.ethereum.forks import installed_fork
from examples.ethereum.signed import sender_entries, signed_blocks
from examples.ethereum.state import EMPTY_CODE_HASH, HeapState
from runtime import Runtime

ROOT = Path(__file__).parents[2]
PACK = DATA / "mainnet_dev.json.xz"
needs_pack = needs(PACK.name)


def example(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "examples.ethereum", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=900
    )


@pytest.mark.long
def test_the_main_job_checks_genesis_block_one_and_signed_blocks() -> None:
    done = example("--blocks", "2", "--transactions", "12")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith(
        "genesis: 8,893 accounts, state root d7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544"
    )
    assert "state root d67e4d4503430464" in lines[1]
    assert [line.endswith("as the package has it") for line in lines[2:]] == [True, True]


@pytest.mark.long
def test_a_store_is_gone_on_with(tmp_path: Path) -> None:
    whole = example("--blocks", "2", "--transactions", "9").stdout.splitlines()[2:]
    store = str(tmp_path / "chain.db")
    parts = [
        example("--blocks", "1", "--transactions", "9", "--store", store).stdout.splitlines()[2:] for _ in range(2)
    ]
    roots = [[line.split("state root")[1] for line in lines] for lines in (whole, [*parts[0], *parts[1]])]
    assert roots[0] == roots[1]


@needs_pack
def test_recorded_blocks_match_their_headers() -> None:
    done = example(
        "--pack",
        str(PACK),
        *["--block", "46147", "--block", "116525", "--block", "4370000", "--block", "12243999", "--block", "19426587"],
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("5 blocks, 423 transactions")


@needs_pack
@pytest.mark.long
def test_all_recorded_blocks_match_their_headers() -> None:
    done = example("--pack", str(PACK))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("24 blocks, 6,539 transactions")


@needs_pack
@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda block: block["block"].update(gasUsed="0x5209"), "gas used: expected 21001, got 21000"),
        (lambda block: block["block"].update(transactionsRoot="0x" + "00" * 32), "transactions root: expected 0000"),
        (lambda block: block["block"].update(logsBloom="0x01" + "00" * 255), "logs bloom: expected 01"),
        (lambda block: block.update(post_digest="ff" * 32), "state after the transactions: expected ffff"),
    ],
)
def test_a_difference_fails_the_run_with_both_values(change: Any, what: str, tmp_path: Path) -> None:
    pack = json.loads(lzma.decompress(PACK.read_bytes()))
    block = pack["blocks"]["46147"]
    change(block)
    file = tmp_path / "changed.json"
    file.write_text(json.dumps({"blocks": {"46147": block}, "codes": {}, "block_hashes": pack["block_hashes"]}))
    done = example("--pack", str(file))
    assert done.returncode == 1
    assert what in done.stderr
    assert "got" in done.stderr


def test_a_pack_that_is_not_there_is_named_with_the_mend() -> None:
    done = example("--pack", "nowhere.json.xz")
    assert done.returncode == 1
    assert "nowhere.json.xz" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_transaction_that_may_not_be_in_a_block_fails_it_and_the_head_stays() -> None:
    first, second = signed_blocks(2, 4)
    async with Runtime(Chain, genesis=lambda: sender_entries(8), workers=0) as rt:
        made = await rt.advance(first)
        root = rt.state().heap.digest()
        with pytest.raises(BlockFailed) as caught:
            await rt.advance({**second, "transactions": first["transactions"]})
        child = caught.value.__cause__
        assert isinstance(child, ChildFailed)
        assert child.error == "BlockRejected"
        assert isinstance(child.__cause__, BlockRejected)
        assert rt.head == made
        assert rt.state().heap.digest() == root
        await rt.advance(second)
        assert await rt.verify() == 2


# --- the state against the package's own ---

ADDRESSES = [Bytes20(bytes([i]) * 20) for i in range(4)]
SLOTS = [Bytes32(bytes([i]) * 32) for i in range(3)]
CODES = [b"", b"\x60\x00", b"\x5b" * 40]
address, slot = st.sampled_from(ADDRESSES), st.sampled_from(SLOTS)
operation = st.one_of(
    st.just(("begin",)),
    st.just(("commit",)),
    st.just(("rollback",)),
    st.just(("flush",)),
    st.tuples(st.just("slot"), address, slot, st.integers(0, 3)),
    st.tuples(st.just("balance"), address, st.integers(0, 3)),
    st.tuples(st.just("nonce"), address),
    st.tuples(st.just("code"), address, st.sampled_from(CODES)),
    st.tuples(st.just("destroy"), address),
    st.tuples(st.just("drop storage"), address),
    st.tuples(st.just("transient"), address, slot, st.integers(0, 2)),
)


class Both:
    """The same operations on the heap's state and on the package's."""

    def __init__(self, name: str) -> None:
        self.forks = heap_fork(name), installed_fork(name)
        code = CODES[1]
        entries: dict[tuple[Any, ...], Any] = {
            ("state", "code", bytes(keccak256(code))): code,
            ("state", "account", bytes(ADDRESSES[0])): (1, 5, EMPTY_CODE_HASH),
            ("state", "account", bytes(ADDRESSES[1])): (0, 2, bytes(keccak256(code))),
            ("state", "account", bytes(ADDRESSES[2])): (0, 0, EMPTY_CODE_HASH),
            ("state", "storage", bytes(ADDRESSES[0]), bytes(SLOTS[0])): 7,
            ("state", "storage", bytes(ADDRESSES[1]), bytes(SLOTS[0])): 8,
        }
        self.heap = Heap(Memory())
        self.heap.update(entries)
        self.states = (
            HeapState(self.heap, account_maker(self.forks[0].types)),
            reference.load(self.forks[1], entries),
        )
        self.transient = self.forks[0].since("cancun")
        self.extras = tuple((fork.state.TransientStorage(),) if self.transient else () for fork in self.forks)
        self.depth = 0

    def call(self, function: str, *arguments: Any) -> list[Any]:
        return [
            getattr(fork.state, function)(state, *arguments)
            for fork, state in zip(self.forks, self.states, strict=True)
        ]

    def frame(self, function: str) -> None:
        for fork, state, extra in zip(self.forks, self.states, self.extras, strict=True):
            getattr(fork.state, f"{function}_transaction")(state, *extra)

    def do(self, what: str, *arguments: Any) -> None:
        if what == "begin":
            self.frame("begin")
            self.depth += 1
        elif what in ("commit", "rollback"):
            if self.depth:
                self.frame(what)
                self.depth -= 1
        elif what == "flush":
            if not self.depth:
                self.states[0].flush()
        elif what == "slot":
            # As in the interpreter: within a frame alone, and of accounts that there are.
            if self.depth and self.call("account_exists", arguments[0])[1]:
                self.call("set_storage", arguments[0], arguments[1], U256(arguments[2]))
        elif what == "balance":
            self.call("set_account_balance", arguments[0], U256(arguments[1]))
        elif what == "nonce":
            self.call("increment_nonce", arguments[0])
        elif what == "code":
            self.call("set_code", *arguments)
        elif what == "destroy":
            self.call("destroy_account", arguments[0])
        elif what == "drop storage":
            self.call("destroy_storage", arguments[0])
        elif self.transient:
            for fork, extra in zip(self.forks, self.extras, strict=True):
                fork.state.set_transient_storage(*extra, arguments[0], arguments[1], U256(arguments[2]))

    def check(self) -> None:
        for one in ADDRESSES:
            ours, theirs = self.call("get_account_optional", one)
            assert (ours is None) == (theirs is None)
            assert ours is None or (ours.nonce, ours.balance, ours.code) == (theirs.nonce, theirs.balance, theirs.code)
            for key in SLOTS:
                ours, theirs = self.call("get_storage", one, key)
                assert ours == theirs
                if self.depth and self.forks[0].since("istanbul"):
                    ours, theirs = self.call("get_storage_original", one, key)
                    assert ours == theirs
                if self.transient:
                    got = [
                        fork.state.get_transient_storage(*extra, one, key)
                        for fork, extra in zip(self.forks, self.extras, strict=True)
                    ]
                    assert got[0] == got[1]


@pytest.mark.parametrize("name", ["frontier", "spurious_dragon", "istanbul", "paris", "cancun"])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(operations=st.lists(operation, max_size=40))
def test_the_state_in_the_heap_answers_as_the_package_s_does(name: str, operations: list[tuple[Any, ...]]) -> None:
    both = Both(name)
    for what, *arguments in operations:
        both.do(what, *arguments)
        both.check()
    while both.depth:
        both.do("commit")
    both.states[0].flush()
    again = HeapState(both.heap, account_maker(both.forks[0].types))
    both.states = (again, both.states[1])
    both.check()
