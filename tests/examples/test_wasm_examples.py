"""The examples of WebAssembly: what the modules do, suspended and resumed, and run as a user runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("wasmtime", reason="pip install 'lockstep-actors[wasm]'")

import runtime
from actors.wasm import forget_instances
from examples.wasm.programs import Guests, counter_bytes

ROOT = Path(__file__).parents[2]
GAS = 100_000_000


async def told(blocks: list[dict[str, Any]], **how: Any) -> list[Any]:
    async with runtime.Runtime(Guests, **how) as rt:
        data = [(await rt.advance({"gas": GAS, **block})).data for block in blocks]
        await rt.verify()
        return data


async def test_the_counter_counts_and_aborts_where_it_cannot_say_more() -> None:
    one = {"child": "c", "program": "counter", "get": "total"}
    blocks = [{**one, "put": {"by": by}} for by in (100, 27, 1, 0)]
    assert await told(blocks) == [100, 127, ("failed", "Aborted"), 127]


async def test_the_token_moves_what_is_covered() -> None:
    bob = {"child": "t", "program": "token", "get": ("balance", "bob")}
    blocks = [
        {**bob, "put": {("balance", "ann"): 2**40, "from": "ann", "to": "bob", "amount": 2**35}},
        {**bob, "put": {"from": "ann", "to": "bob", "amount": 2**40}},
        {**bob, "put": {"from": "bob", "to": "bob", "amount": 5}},
        {**bob, "put": {"amount": -1}},
        {**bob, "put": {"amount": 1.5}},
        {**bob, "put": {"amount": 0}, "get": "transfers"},
    ]
    failed = ("failed", "Aborted")
    assert await told(blocks) == [2**35, failed, 2**35, failed, failed, 3]


@pytest.mark.parametrize("how", [{"workers": 0}, {"workers": 0, "forget": True}, {"workers": 1}])
async def test_the_fan_waits_for_children_and_goes_on_behind_its_ret(how: dict[str, Any]) -> None:
    one = {"child": "f", "program": "fan", "placement": "worker", "get": "total"}
    blocks = [{**one, "put": {"guest": counter_bytes(), "count": 4}}, one, one]
    assert await told(blocks, **how) == [6, 34, 6 * 3 + 22 * 2 + 38]


async def test_the_fan_goes_on_after_a_restart(tmp_path: Path) -> None:
    one = {"child": "f", "program": "fan", "get": "total", "gas": GAS}
    got = []
    for block in ({**one, "put": {"guest": counter_bytes(), "count": 4}}, one, one):
        forget_instances()
        async with runtime.Runtime(Guests, store=tmp_path / "fan.db") as rt:
            got.append((await rt.advance(block)).data)
    assert got == [6, 34, 100]


SCRIPT = """
const inner = (n) => { heap.set("seen", [n, heap.get("by")]); ret(); return n * 2; };
let sum = 0;
for (const n of [1, 2, 3]) sum += [n].map(inner)[0];
heap.set("seen", ["sum", sum]);
"""


async def test_a_script_is_suspended_in_nested_calls_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    one = {"child": "s", "program": "javascript", "get": "seen", "gas": GAS}
    got = []
    for by, put in enumerate([{"script": SCRIPT}, {}, {}, {}]):
        forget_instances()
        async with runtime.Runtime(Guests, store=tmp_path / "script.db", workers=0) as rt:
            got.append((await rt.advance({**one, "put": {**put, "by": by}})).data)
            if by == 1:
                # Another branch leaves this one as it is.
                await rt.advance({**one, "put": {"by": 99}})
                await rt.revert(2)
    assert got == [(1, 0), (2, 1), (3, 2), ("sum", 12)]


CALLS = r"""
const out = [];
const refused = (f) => { try { return f(); } catch (e) { return [e.code, e.message]; } };
child.make("a", {module: heap.get("guest"), by: 3}, {start: true});
out.push(child.get("a", "total"));
child.put("a", {by: 4}, {start: true});
out.push(child.changes("a").filter(([key]) => key === "total"));
child.put("a", {by: 127}, {start: true});
out.push(refused(() => child.get("a", "total")), child.status("a").slice(0, 2));
child.put("a", {by: 1}, {start: true});
heap.set("total", 9);
child.make("b", {module: heap.get("guest"), "by": 1});
out.push(refused(() => child.merge("a", "total"))[0]);
heap.delete("total");
child.drop("a");
out.push(refused(() => child.get("a", "total"))[0]);
out.push(heap.get(["nothing", 1], "none"), heap.get("odd"));
heap.set("odd", {b: [null, true, -1, 2n ** 80n, 0.5, -0, NaN, "é\u{1f600}"], a: new Uint8Array([0, 255])});
heap.set("out", out);
"""


async def test_a_script_makes_system_calls_and_values_cross_both_ways() -> None:
    odd = (None, False, 300, -(2**70), 1.5, "a\0ü", b"\0\1", ())
    put = {"script": CALLS, "guest": counter_bytes(), "odd": odd}
    async with runtime.Runtime(Guests, workers=0) as rt:
        block = await rt.advance({"child": "s", "program": "javascript", "put": put, "get": "out", "gas": GAS})
        heap = rt.state(block).at("/s").heap
        failed = ("child-failed", "child-failed: Aborted")
        expected = (3, (("total", 7),), failed, (2, "Aborted"), "merge-conflict", "no-such-child", "none")
        assert block.data[:7] == expected
        assert block.data[7] == odd
        assert heap["odd"]["a"] == b"\0\xff"
        assert repr(heap["odd"]["b"]) == repr((None, True, -1, 2**80, 0.5, -0.0, float("nan"), "é\U0001f600"))
        await rt.verify()


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("throw new Error('no')", "Aborted"),
        ("this is no script", "Aborted"),
        ("const f = () => f() + 1; f();", "Aborted"),
        ("heap.set('memory', 1)", "AbiRefused"),
        ("heap.set('x', '\\ud800')", "Aborted"),
        ("new Array(2 ** 31).fill(1)", "Aborted"),
        ("Date.now() === 0 || nothing()", None),
        ("typeof require === 'undefined' && typeof process === 'undefined' || nothing()", None),
    ],
)
async def test_how_scripts_end(script: str, error: str | None) -> None:
    block = {"child": "s", "program": "javascript", "put": {"script": script, "x": 1}, "get": "x"}
    assert await told([block], workers=0) == [1 if error is None else ("failed", error)]


async def test_chance_is_the_same_everywhere() -> None:
    block = {
        "child": "s",
        "program": "javascript",
        "put": {"script": "heap.set('x', [Math.random(), Math.random(), new Date().toISOString()])"},
        "get": "x",
    }
    first = await told([block], workers=0)
    forget_instances()
    assert await told([block], workers=0) == first
    assert first[0][0] != first[0][1]


@pytest.mark.long
def test_it_runs_as_a_user_runs_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.wasm", "--store", str(tmp_path / "wasm.db")]
    outputs = [subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert "('story', ('Ada 1: hello', 'Ada 2: again', 'Grace 1: and again'))" in outputs[0]
    assert "'Barbara 1: and again'" in outputs[1]
