"""`lockstep prune` and `lockstep run --keep`, and what the other commands say of blocks that were pruned."""

from __future__ import annotations

import json
import re
import signal
import time
from typing import TYPE_CHECKING

from test_cli import BOXES, LINES, Box, box, plain, sleeping

import runtime.prune
from runtime.history import History
from runtime.store import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

__all__ = ["box"]

MORE = [f'{{"numbers": [{n}, 1, 2]}}' for n in range(1, 31)]


def test_prune_drops_all_but_the_last_blocks_and_says_what_it_did(box: Box) -> None:
    box.kept(lines=MORE)
    result = box.give("prune", "--keep", "10", "--store", box.store)
    told = r"21 blocks dropped, (\d+) records swept out; the chain is kept from block 21 on\n"
    match = re.fullmatch(told, result.stdout)
    assert match is not None
    assert int(match[1]) > 20
    assert not result.stderr
    assert [block["number"] for block in box.json("log")] == list(range(30, 20, -1))
    assert len(box.give("log", "--store", box.store, "-n", "3").stdout.splitlines()) == 3
    again = box.give("prune", "--keep", "10", "--store", box.store).stdout
    assert again == "no block to drop: the chain has 10 blocks, from 21 on; 0 records swept out\n"
    told = box.give("prune", "--keep", "9", "--store", box.store).stdout
    assert told.startswith("1 block dropped, ")


def test_prune_with_json_prints_one_object_for_scripts(box: Box) -> None:
    box.kept()
    (pruned,) = box.json("prune", "--keep", "1")
    assert pruned == {"first": 3, "blocks": 3, "nodes": pruned["nodes"]}
    assert box.json("prune", "--keep", "1") == [{"first": 3, "blocks": 0, "nodes": 0}]
    assert box.give("prune", "--keep", "5", "--store", box.store).stdout.startswith(
        "no block to drop: the chain has 1 "
    )


def test_what_was_pruned_is_named_by_every_command_with_where_the_chain_is_kept_from(box: Box) -> None:
    program = box.kept(lines=MORE)
    hashes = {block["number"]: block["hash"] for block in box.json("log")}
    box.give("prune", "--keep", "10", "--store", box.store)
    told = "error: block 5 was pruned: the chain is kept from block 21 on\n"
    for command in (["show"], ["tree"], ["revert"], ["get", "/", "total"], ["diff", "head"], ["diff", "25"]):
        name, *rest = command
        for block in ("5", "head~25"):
            arguments = [block, *rest] if name != "diff" else [*rest, block]
            assert box.give(name, *arguments, "--store", box.store, code=1).stderr == told
        digits = hashes[5][:12]
        arguments = [digits, *rest] if name != "diff" else [*rest, digits]
        answer = box.give(name, *arguments, "--store", box.store, code=1).stderr
        assert answer == f"error: no block's hash begins with {digits}; those before block 21 were pruned\n"
    assert "which goes from 21 to 30" in box.give("show", "31", "--store", box.store, code=1).stderr
    assert box.json("log")[0]["number"] == 30
    assert box.json("verify", program) == [{"verified": 9, "first": 22, "last": 30}]
    assert box.json("verify", program, "--last", "25") == [{"verified": 4, "first": 22, "last": 25}]
    for arguments in (["--first", "21"], ["--first", "3", "--last", "25"], ["--last", "21"]):
        answer = box.give("verify", program, *arguments, "--store", box.store, code=1).stderr
        assert "cannot be verified: the state before it was pruned; the chain is kept from block 21 on" in answer
        assert "the first that can be is 22" in answer
    for more, said in (
        (["--first", "31"], "but the head is block"),
        (["--first", "29", "--last", "28"], "the first comes first"),
    ):
        assert said in box.give("verify", program, *more, "--store", box.store, code=2).stderr
    box.give("prune", "--keep", "1", "--store", box.store)
    answer = box.give("verify", program, "--store", box.store).stdout
    assert answer == "nothing to verify: there is only block 30, the state before it was pruned\n"


def test_a_branch_whose_fork_was_pruned_is_named_by_its_hash_and_reverted_to(box: Box) -> None:
    program = box.kept(lines=MORE[:8])
    box.give("revert", "3", "--store", box.store)
    box.give("run", program, "--input", box.lines(MORE[20:25]), "--append", "--store", box.store)
    side = box.json("show", "head")[0]
    assert side["number"] == 8
    left = next(block["hash"] for block in box.json("log", "--branches") if not block["on_chain"])
    (pruned,) = box.json("prune", "--keep", "3")
    assert (pruned["first"], pruned["blocks"]) == (6, 6 + 2)
    found = [(block["number"], block["on_chain"]) for block in box.json("log", "--branches")]
    assert found == [(8, True), (8, False), (7, True), (7, False), (6, True), (6, False)]
    assert box.json("show", f"{left[:12]}~2")[0]["number"] == 6
    answer = box.give("show", f"{left[:12]}~3", "--store", box.store, code=1).stderr
    assert f"{left[:12]}~3: block 5 was pruned: blocks are kept from number 6 on" in answer
    assert "before the genesis" in box.give("show", f"{left[:12]}~9", "--store", box.store, code=1).stderr
    assert box.json("revert", left)[0]["number"] == 8
    assert [block["number"] for block in box.json("log")] == [8, 7, 6]
    box.give("run", program, "--input", box.lines(MORE[8:10]), "--append", "--store", box.store)
    assert box.json("verify", program)[0]["verified"] == 4
    assert box.json("diff", left, side["hash"])


def test_a_store_that_a_run_has_open_is_not_pruned_and_the_run_is_told_of(box: Box) -> None:
    with box.start("run", box.program(), "--input", "-", "--store", box.store, "--json") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(LINES[0] + "\n")
        process.stdin.flush()
        process.stdout.readline()
        told = box.give("prune", "--keep", "1", "--store", box.store, code=1).stderr
        assert "is open in another process" in told
        assert "a run can prune as it goes: lockstep run --keep N" in told
        process.communicate()
    assert [block["number"] for block in box.json("log")] == [1, 0]


def test_prune_asked_wrongly_says_what_to_give(box: Box) -> None:
    assert "Missing option '--keep'" in box.give("prune", "--store", box.store, code=2).stderr
    assert "Invalid value for '--keep'" in box.give("prune", "--keep", "0", "--store", box.store, code=2).stderr
    assert "Invalid value for '--keep'" in box.give("prune", "--keep", "all", "--store", box.store, code=2).stderr
    assert "there is no store" in box.give("prune", "--keep", "1", "--store", box.store, code=1).stderr
    assert not (box.directory / "run.db").exists()
    lines = box.lines()
    assert "Invalid value for '--keep'" in box.give("run", "x.py", "--input", lines, "--keep", "0", code=2).stderr
    helped = box.give("prune", "--help").stdout
    assert "    lockstep prune --keep 1000 --store run.db" in helped
    assert re.search("^  prune ", box.give("--help").stdout, re.MULTILINE)


def test_prune_in_a_terminal_shows_how_far_it_is_and_then_the_result(box: Box, tmp_path: Path) -> None:
    box.kept(lines=MORE)
    seen, code = box.see(100, "prune", "--keep", "3", "--store", box.store)
    assert code == 0
    assert "blocks dropped" in plain(seen)
    assert plain(seen).rstrip().endswith("the chain is kept from block 28 on")
    piped = box.give("prune", "--keep", "2", "--store", box.store).output
    assert "\x1b" not in piped
    assert not set(piped) & BOXES


def test_ctrl_c_ends_a_pruning_with_130_and_kept_blocks_are_whole(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    program = box.kept(lines=MORE)
    steps = runtime.prune.Pruner.step

    def interrupted(self: runtime.prune.Pruner, written: int = 0) -> object:
        if not self.marking:
            raise KeyboardInterrupt
        return steps(self, written)

    monkeypatch.setattr(runtime.prune.Pruner, "step", interrupted)
    told = box.give("prune", "--keep", "5", "--store", box.store, code=130).stderr
    assert told == (
        "interrupted: 26 blocks dropped, 0 records swept out; kept blocks are whole, and the same command does the rest\n"
    )
    monkeypatch.undo()
    assert box.json("verify", program)[0]["verified"] == 4
    (pruned,) = box.json("prune", "--keep", "5")
    assert pruned["blocks"] == 0
    assert pruned["nodes"] > 20


# --- run --keep ----------------------------------------------------------------------------------------------------


def test_run_with_keep_makes_the_same_blocks_and_keeps_about_so_many(box: Box) -> None:
    program = box.program()
    lines = box.lines(MORE * 3)
    made = box.give("run", program, "--input", lines, "--json").stdout
    kept = box.give("run", program, "--input", lines, "--store", box.store, "--keep", "5", "--json").stdout
    assert kept == made
    first = box.json("log", "--reverse")[0]["number"]
    assert 90 - 5 - 16 <= first <= 90 - 5 + 1
    assert box.json("verify", program)[0] == {"verified": 90 - first, "first": first + 1, "last": 90}
    assert box.give("run", program, "--input", lines, "--keep", "2").stdout.count("\n") == 90


def test_the_same_command_goes_on_where_lines_have_blocks_that_were_pruned(box: Box) -> None:
    program = box.program()
    command = ("run", program, "--store", box.store, "--keep", "5")
    box.give(*command, "--input", box.lines(MORE))
    first = box.json("log", "--reverse")[0]["number"]
    assert first > 1
    result = box.give(*command, "--input", box.lines([*MORE, LINES[0]]))
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["31"]
    assert (
        f"blocks 1 to 30 were there already, blocks 1 to {first - 1} were pruned, so not compared, block 31 made; "
        "the head is block 31"
    ) in result.stderr
    # A line whose block is kept is compared all the same; what the mend needs may have been pruned.
    other = [*MORE[:25], LINES[0], *MORE[26:]]
    told = box.give(*command, "--input", box.lines(other), code=2).stderr
    assert "block 26 of" in told
    assert "was made of other inputs" in told
    assert f"lockstep revert 25 --store {box.store}" in told
    first = int(box.json("prune", "--keep", "6")[0]["first"])
    assert first == 26
    told = box.give(*command, "--input", box.lines(other), code=2).stderr
    assert "there can be no other block 26: the one before it was pruned" in told
    assert "lockstep revert" not in told


def test_a_run_that_prunes_and_is_interrupted_goes_on(box: Box) -> None:
    program = box.program(sleeping(0.005))
    lines = box.lines(MORE * 10)
    with box.start("run", program, "--input", lines, "--store", box.store, "--keep", "3") as process:
        assert process.stdout is not None
        for _ in range(30):
            process.stdout.readline()
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.communicate()
        assert process.returncode == 130
    box.give("run", program, "--input", box.lines(MORE * 4), "--store", box.store, "--keep", "3")
    expected = box.give("run", program, "--input", box.lines(MORE * 4), "--json").stdout.splitlines()
    chain = box.json("log", "--reverse")
    assert chain[-1]["hash"] == json.loads(expected[-1])["hash"]


def test_log_ends_where_a_run_prunes_meanwhile(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.kept(lines=MORE)
    find, seen = History.find, []

    def slow(self: History, which: object) -> object:
        seen.append(which)
        if len(seen) == 5:
            writer = SqliteStore(box.store)
            list(runtime.prune.prune(History(writer), 10))
            writer.close()
        return find(self, which)  # type: ignore[arg-type]

    monkeypatch.setattr(History, "find", slow)
    for arguments in ([], ["--branches"]):
        seen.clear()
        assert [block["number"] for block in box.json("log", *arguments)] == list(range(30, 20, -1))
