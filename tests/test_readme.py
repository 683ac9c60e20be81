"""The README's examples, word for word: the Python runs, the commands run, the files it names are there."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import runtime
from actors import BlockFailed, Heap, Root
from actors.memory import Memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


def command(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        line, shell=True, cwd=cwd, capture_output=True, text=True, timeout=120, env={**os.environ, "PATH": path}
    )


@pytest.fixture
def first_program(tmp_path: Path) -> Path:
    file = tmp_path / "squares.py"
    file.write_text(PYTHON[0])
    return file


def test_the_first_program_has_fewer_than_twenty_lines_and_runs_twice(first_program: Path) -> None:
    assert len([line for line in PYTHON[0].splitlines() if line.strip()]) < 20
    for block, total in ((1, 14), (2, 28)):
        done = command(f"{sys.executable} squares.py", first_program.parent)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split()[:2] == [str(block), str(total)]


def test_the_first_commands_run(first_program: Path) -> None:
    block = next(block for block in SHELL if "> blocks.jsonl" in block)
    for line in block.strip().splitlines():
        done = command(line, first_program.parent)
        assert done.returncode == 0, (line, done.stdout, done.stderr)
    assert len(done.stdout.splitlines()) == 4, "the genesis and three blocks"


def test_the_command_that_traces_runs(first_program: Path) -> None:
    (first_program.parent / "blocks.jsonl").write_text('{"xs": [1, 2, 3]}\n')
    (line,) = next(block for block in SHELL if "--trace" in block).strip().splitlines()
    done = command(line, first_program.parent)
    assert done.returncode == 0, done.stderr
    assert "block 1" in [event["name"] for event in json.loads((first_program.parent / "trace.json").read_text())]


def test_the_readme_is_followed_from_top_to_bottom(first_program: Path) -> None:
    place = first_program.parent
    given = [f"{sys.executable} squares.py"] * 2
    given += next(block for block in SHELL if "> blocks.jsonl" in block).strip().splitlines()
    shown = [
        next(block for block in PYTHON if name in block) for name in ("rt.revert", "rt.prove", "rt.export", "rt.prune")
    ]
    text = "import runtime\nfrom squares import Squares\n"
    for n, block in enumerate(shown):
        text += f"async def shown_{n}():\n" + "".join(f"    {line}\n" for line in block.splitlines())
        text += f"runtime.run(shown_{n})\n"
    (place / "shown.py").write_text(text)
    given += [f"{sys.executable} shown.py"]
    given += next(block for block in SHELL if "--trace" in block).strip().splitlines()
    given += ["lockstep verify squares.py:Squares --store squares.db", "lockstep verify squares.py --store copy.db"]
    for line in given:
        done = command(line, place)
        assert done.returncode == 0, (line, done.stdout, done.stderr)


async def test_the_till_keeps_sales_with_their_time(written: Any) -> None:
    module = written("class Till")
    sales = [
        {"article": "tea", "price": Decimal("2.50"), "time": 10},
        {"article": "pie", "price": Decimal(3), "time": 11},
    ]
    assert await data_of(module.Till, *sales) == [Decimal("2.50"), Decimal("5.50")]
    async with runtime.Runtime(module.Till) as rt:
        await rt.advance(sales[0])
        assert rt.state().heap["sale", 10] == module.Sale("tea", Decimal("2.50"))


async def test_the_service_answers_each_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {"__name__": "readme_service"}
    exec(PYTHON[0], scope)
    exec(next(block for block in PYTHON if "async def serve" in block), scope)
    requests: asyncio.Queue[Any] = asyncio.Queue()
    serving = asyncio.create_task(scope["serve"](requests))
    answers = [asyncio.get_running_loop().create_future() for _ in range(3)]
    for inputs, answer in zip(({"xs": [1, 2]}, {}, {"xs": [3]}), answers, strict=True):
        requests.put_nowait((inputs, answer))
    first, refused, last = await asyncio.gather(*answers, return_exceptions=True)
    assert (first, last) == ({"sum": 5}, {"sum": 14}) and isinstance(refused, BlockFailed)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving


async def test_the_failing_child_is_retried() -> None:
    scope: dict[str, Any] = {"__name__": "readme_supervisor"}
    exec(PYTHON[1], scope)
    async with runtime.Runtime(scope["Supervisor"]) as rt:
        assert (await rt.advance()).data == ("ZeroDivisionError", 2)


async def test_the_runtime_s_calls_do_what_stands_beside_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {"__name__": "readme_squares", "runtime": runtime}
    exec(PYTHON[0], scope)
    body = "async def shown():\n" + "\n".join(f"    {line}" for line in PYTHON[2].splitlines())
    exec(
        body.replace(
            "await rt.verify()", "scope.update(verified=await rt.verify(), other=other, block=block, view=view)"
        ),
        scope | {"scope": scope},
        scope,
    )
    await scope["shown"]()
    assert scope["verified"] == 2
    assert scope["block"].number == 1
    assert scope["other"].number == 2
    assert scope["view"].heap["sum"] == 41


def test_the_lines_about_the_heap_run() -> None:
    heap = Heap(Memory())
    heap.update({("queue", n): n for n in range(12)})
    exec(PYTHON[3], {"heap": heap})
    assert heap.count(("archive", 2024)) == 10
    assert list(heap.keys("queue")) == [9, 10, 11]


async def test_what_is_proved_is_checked_without_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {"__name__": "readme_proofs", "runtime": runtime}
    exec(PYTHON[0], scope)
    async with runtime.Runtime(scope["Squares"], store="squares.db") as rt:
        await rt.advance({"xs": [1, 2, 3]})
    shown = next(block for block in PYTHON if "rt.prove" in block)
    exec("async def shown():\n" + "\n".join(f"    {line}" for line in shown.splitlines()), scope)
    await scope["shown"]()


async def test_what_is_exported_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {"__name__": "readme_transfer", "runtime": runtime}
    exec(PYTHON[0], scope)
    async with runtime.Runtime(scope["Squares"], store="squares.db") as rt:
        head = await rt.advance({"xs": [1, 2, 3]})
    shown = next(block for block in PYTHON if "rt.export" in block)
    exec("async def shown():\n" + "\n".join(f"    {line}" for line in shown.splitlines()), scope)
    await scope["shown"]()
    async with runtime.Runtime(scope["Squares"], store="copy.db") as rt:
        assert rt.head == head
        assert (await rt.advance({"xs": [4]})).data == {"sum": 30}


async def test_what_is_pruned_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {"__name__": "readme_pruning", "runtime": runtime}
    exec(PYTHON[0], scope)
    async with runtime.Runtime(scope["Squares"], store="squares.db") as rt:
        for _ in range(15):
            await rt.advance({"xs": [1, 2, 3]})
    shown = next(block for block in PYTHON if "rt.prune" in block)
    exec("async def shown():\n" + "\n".join(f"    {line}" for line in shown.splitlines()) + "\n    return done", scope)
    done = await scope["shown"]()
    assert (done.first, done.blocks) == (7, 7)


def test_the_program_with_workers_runs(tmp_path: Path) -> None:
    (tmp_path / "crunch.py").write_text(next(block for block in PYTHON if "class Crunch(" in block))
    done = command(f"{sys.executable} crunch.py", tmp_path)
    assert (done.returncode, done.stdout.split()[2]) == (0, "333332833333500000"), done.stderr
    (tmp_path / "sizes.jsonl").write_text('{"sizes": [3, 2]}\n')
    done = command("lockstep run crunch.py:Cruncher --workers 2 --input sizes.jsonl --json", tmp_path)
    assert (done.returncode, json.loads(done.stdout)["data"]) == (0, [5, 1]), done.stderr


def test_the_test_of_the_readme_passes_on_its_program(first_program: Path) -> None:
    shown = next(block for block in PYTHON if "lint.check" in block)
    (first_program.parent / "test_squares.py").write_text(f"from squares import Squares\n{shown}")
    done = command(f"{sys.executable} -m pytest -q test_squares.py", first_program.parent)
    assert done.returncode == 0, done.stdout
    (first_program.parent / "shop").mkdir()
    for line in next(block for block in SHELL if "lockstep lint" in block and "--all" in block).splitlines():
        (first_program.parent / "shop" / "prices.py").write_text(PYTHON[1])
        done = command(line, first_program.parent)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_every_command_of_the_readme_is_one_and_has_a_help() -> None:
    block = next(block for block in SHELL if block.startswith("lockstep run FILE"))
    names = [line.split()[1] for line in block.strip().splitlines()]
    assert names == [
        "run",
        "log",
        "show",
        "tree",
        "get",
        "diff",
        "prove",
        "check-proof",
        "verify",
        "revert",
        "prune",
        "export",
        "import",
        "lint",
    ]
    for name in names:
        done = command(f"lockstep {name} --help", ROOT)
        assert done.returncode == 0, done.stderr


def test_the_files_that_the_readme_names_are_there() -> None:
    for name in re.findall(r"`((?:actors|runtime|tests|examples)/[\w./]+)`", README):
        assert (ROOT / name).exists(), name


def test_asyncio_run_works_as_well() -> None:
    async def main() -> int:
        scope: dict[str, Any] = {"__name__": "readme_plain"}
        exec(PYTHON[1], scope)
        async with runtime.Runtime(scope["Supervisor"]) as rt:
            return (await rt.advance()).number

    assert asyncio.run(main()) == 1


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Write blocks of the README, each named by something that stands in it, into one module, and import that."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(ROOT)

    def write(*named: str) -> Any:
        blocks = [next(block for block in PYTHON if name in block) for name in named]
        (tmp_path / "readme_blocks.py").write_text("\n\n".join(blocks))
        return importlib.import_module("readme_blocks")

    yield write
    sys.modules.pop("readme_blocks", None)


async def data_of(program: type[Root], *inputs: Any) -> list[Any]:
    async with runtime.Runtime(program, workers=0) as rt:
        made = [(await rt.advance(value)).data for value in inputs]
        assert await rt.verify() == len(inputs)
        return made


async def test_the_guest_runs_out_of_gas_and_is_started_again(written: Any) -> None:
    ((n, gas),) = await data_of(written("class Guest").Host, {})
    assert n == 0 and 0 < gas < 50_000


async def test_the_modules_of_webassembly_run(written: Any) -> None:
    wasmtime = pytest.importorskip("wasmtime")
    code = bytes(wasmtime.wat2wasm((ROOT / "examples/wasm/counter.wat").read_text()))
    assert await data_of(written("class Wards").Wards, {"code": code}) == [(5, 7)]


async def test_the_cubes_are_mapped(written: Any) -> None:
    ((odd, total),) = await data_of(written("class Cubes").Cubes, {})
    assert list(odd) == [1, 27, 125, 343, 729] and total == sum(n**3 for n in range(100))


async def test_the_arrays_are_multiplied(written: Any) -> None:
    pytest.importorskip("numpy")
    ((sums),) = await data_of(written("class Products").Products, {})
    assert list(sums) == [0.0, 12.0, 48.0, 108.0]


async def test_the_ledger_refuses_what_is_too_much(written: Any) -> None:
    transfers = [("ann", "bob", 80), ("ann", "cid", 30), ("bob", "cid", 150)]
    ((results, accounts),) = await data_of(written("class Ledger").Ledger, {"transfers": transfers})
    assert list(results) == ["done", "TooLittle", "done"]
    assert dict(accounts) == {"ann": 20, "bob": 30, "cid": 250}


async def test_the_team_sorts(written: Any) -> None:
    assert await data_of(written("class Sorted").Sorted, {"cells": [3, 1, 2, 9, 0]}) == [(0, 1, 2, 3, 9)]


async def test_the_ladder_is_climbed_over_blocks(written: Any) -> None:
    states = await data_of(written("class Guest", "class Overseer").Overseer, {}, {}, {})
    assert [state for state, _ in states] == ["done"] * 3 and states[0][1] >= 1


def test_the_bank_of_actors_says_what_stands_beside_it(written: Any, tmp_path: Path) -> None:
    written("class Bank")
    done = command(f"{sys.executable} readme_blocks.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(150, 6, ") and done.stdout.count("90") == 1
