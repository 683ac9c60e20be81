"""`lockstep prove` and `lockstep check-proof`: from a store to a file or a pipe, and from there to whoever checks it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from test_cli import ENVIRONMENT, LOCKSTEP, Box

import runtime
from actors import Proof, Root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TYPED = """
    import dataclasses
    from actors import Root, codec

    @codec
    @dataclasses.dataclass(frozen=True)
    class ProvedCoin:
        worth: int

    class Purse(Root):
        async def run(self):
            self.heap["coin"] = ProvedCoin(5)
"""


class Count(Root):
    async def run(self) -> None:
        self.heap["n"] = self.heap.get("n", 0) + 1


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    path, modules = sys.path[:], set(sys.modules)
    box = Box(tmp_path)
    box.kept()
    yield box
    sys.path[:] = path
    for name in [name for name in sys.modules if name.startswith("program_") and name not in modules]:
        del sys.modules[name]


def root_of(box: Box, block: str = "head") -> str:
    return str(box.json("show", block)[0]["state_root"])


def proof_in(box: Box, *keys: str, block: str = "head", path: str = "/") -> str:
    file = str(box.directory / "a.proof")
    box.give("prove", block, path, *keys, "--store", box.store, "--output", file)
    return file


def test_a_proof_goes_into_a_file_and_is_checked_without_the_store(box: Box) -> None:
    file = str(box.directory / "total.proof")
    result = box.give("prove", "head", "/", "total", "nothing", '["seen", "last"]', "--store", box.store, "-o", file)
    assert not result.stdout
    root = root_of(box)
    assert f"to check them: lockstep check-proof {file} {root}" in result.stderr
    (box.directory / "run.db").unlink()
    assert box.give("check-proof", file, root).stdout.splitlines() == [
        '/  "nothing" is absent',
        '/  ["seen", "last"] = []',
        '/  "total" = 514',
    ]
    printed = box.give("check-proof", file, "0x" + root.upper(), "/", "total", "nothing", "--json").stdout
    assert [json.loads(line) for line in printed.splitlines()] == [
        {"path": "/", "key": "total", "value": 514},
        {"path": "/", "key": "nothing", "absent": True},
    ]


def test_a_proof_goes_through_a_pipe_in_hex_digits(box: Box) -> None:
    digits = box.give("prove", "1", "/2", "x", "y", "--store", box.store).stdout
    assert digits.count("\n") == 1
    for fed in (digits, digits.upper(), "\n".join(digits[at : at + 60] for at in range(0, len(digits), 60))):
        told = box.give("check-proof", "-", root_of(box, "1"), "/2", fed=fed).stdout
        assert told.splitlines() == ['/2  "x" = 3', '/2  "y" = 9']
    told = box.give("check-proof", "-", root_of(box, "1"), fed=bytes.fromhex(digits)).stdout
    assert told.splitlines() == ['/2  "x" = 3', '/2  "y" = 9']
    line = f"{' '.join(LOCKSTEP)} prove 2 /1 y --store {box.store} | {' '.join(LOCKSTEP)} check-proof - {root_of(box, '2')}"
    done = subprocess.run(line, shell=True, capture_output=True, text=True, env=ENVIRONMENT, check=True)
    assert done.stdout == '/1  "y" = 400\n'


def test_prove_with_json_tells_what_is_needed_to_check_it(box: Box) -> None:
    (told,) = box.json("prove", "head", "/1", "y", "7", "y")
    (block,) = box.json("show", "head")
    assert {name: told[name] for name in ("block", "hash", "state_root", "path", "keys")} == {
        "block": 3,
        "hash": block["hash"],
        "state_root": block["state_root"],
        "path": "/1",
        "keys": ["y", 7],
    }
    data = bytes.fromhex(told["proof"])
    assert len(data) == told["bytes"]
    assert Proof.from_bytes(data).verify(bytes.fromhex(told["state_root"]), "/1", "y") == {"y": 400}
    file = box.directory / "b.proof"
    (told,) = box.json("prove", "head", "/1", "y", "7", "-o", str(file))
    assert "proof" not in told
    assert file.read_bytes() == data


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("/",), "it is about /1, not about /"),
        (("/1", "z"), "it does not tell about the key 'z' of /1"),
    ],
)
def test_a_proof_of_something_else_ends_with_exit_code_1(box: Box, asked: tuple[str, ...], told: str) -> None:
    file = proof_in(box, "y", path="/1")
    assert told in box.give("check-proof", file, root_of(box), *asked, code=1).stderr


def test_a_proof_of_another_block_ends_with_exit_code_1(box: Box) -> None:
    file = proof_in(box, "y", path="/1")
    told = box.give("check-proof", file, root_of(box, "1"), code=1).stderr
    assert told.startswith("error: proof: it leads to the state root ")
    assert root_of(box)[:16] in told
    assert root_of(box, "1")[:16] in told


def test_a_damaged_proof_is_refused(box: Box) -> None:
    file = proof_in(box, "y", path="/1")
    with open(file, "rb") as stream:
        data = stream.read()
    for damaged in (
        data[:-1],
        data + b"\n",
        b"",
        b"no proof",
        data[:100] + b"\0" + data[101:],
        data.hex().encode()[:-2],
    ):
        with open(file, "wb") as stream:
            stream.write(damaged)
        assert "error: proof: " in box.give("check-proof", file, root_of(box), code=1).stderr


def test_what_is_asked_wrongly_is_told_with_the_mend(box: Box) -> None:
    file, root = proof_in(box, "y", path="/1"), root_of(box)

    def told(*arguments: str, code: int = 2) -> str:
        return str(box.give(*arguments, code=code).stderr)

    assert "it takes all 64 hex digits" in told("check-proof", file, root[:10])
    assert "cannot be read: no such file" in told("check-proof", "nothing.proof", root)
    assert "cannot be read: is a directory" in told("check-proof", str(box.directory), root)
    assert "a path begins with /" in told("check-proof", file, root, "1")
    assert "the key [1, is no JSON" in told("check-proof", file, root, "/1", "[1,")
    assert "KEY" in told("prove", "head", "/", "--store", box.store)
    assert "cannot be written: " in told("prove", "head", "/", "x", "--store", box.store, "-o", str(box.directory))
    assert "there is no process /9" in told("prove", "head", "/9", "x", "--store", box.store, code=1)
    assert "its children are 0, 1, 2" in told("prove", "head", "/9", "x", "--store", box.store, code=1)


def test_objects_of_registered_classes_are_proved_without_and_checked_with_their_module(box: Box) -> None:
    program = box.program(TYPED, "Purse")
    store = str(box.directory / "typed.db")
    with box.start("run", program, "--input", "-", "--store", store) as process:
        process.communicate("{}\n")
    (line,) = box.give("prove", "head", "/", "coin", "--store", store, "--json").stdout.splitlines()
    told: dict[str, Any] = json.loads(line)
    missing = box.give("check-proof", "-", told["state_root"], fed=told["proof"], code=1).stderr
    assert "has not registered" in missing
    assert "here: --load FILE imports it" in missing
    file = program.partition(":")[0]
    shown = box.give("check-proof", "-", told["state_root"], "--load", file, "--json", fed=told["proof"]).stdout
    assert json.loads(shown)["value"] == {"$value": {"codec": "ProvedCoin", "value": {"worth": 5}}}


def test_on_a_terminal_a_proof_is_not_cut(box: Box) -> None:
    seen, code = box.see(40, "prove", "head", "/", "total", "--store", box.store)
    assert code == 0
    root = bytes.fromhex(root_of(box))
    assert Proof.from_bytes(bytes.fromhex("".join(seen.split()))).verify(root, "/", "total") == {"total": 514}


async def test_a_runtime_and_the_command_make_the_same_proof(box: Box) -> None:
    store = box.directory / "same.db"
    async with runtime.Runtime(Count, store=store) as rt:
        await rt.advance()
        proof = rt.prove(1, "/", "n")
    assert box.give("prove", "1", "/", "n", "--store", str(store)).stdout == proof.to_bytes().hex() + "\n"
