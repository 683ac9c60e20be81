"""Random mail: hosted or not, in whatever way it is run, it does what the model does."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mail_model import Model
from mail_programs import Apart, Hosting, Mixed, Shy, mail, undrawn
from ways import every_way

import runtime
from actors.freezing import freeze
from actors.values import encode

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOSTILE = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@st.composite
def blocks(draw: Any) -> Any:
    return mail(lambda options: draw(st.sampled_from(options)))


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


async def check(inputs: Any) -> None:
    model = Model()
    expected = [model.block(block["mail"]) for block in inputs]
    drawn = []
    for office in (Hosting, Mixed, Apart):
        async with runtime.Runtime(office) as rt:
            for block, wanted in zip(inputs, expected, strict=True):
                data = (await rt.advance(block)).data
                drawn.append(data)
                got = undrawn(data)
                assert got == wanted, office.__name__
                assert encode(got) == encode(freeze(wanted)), office.__name__
    assert drawn == 3 * drawn[: len(inputs)], "who is hosted draws what others do"


@settings(max_examples=30, deadline=None, suppress_health_check=_HOSTILE)
@given(inputs=blocks())
def test_random_mail_does_what_the_model_does_whoever_is_hosted(runner: Any, inputs: Any) -> None:
    runner.run(check(inputs))


async def test_hosted_mail_of_many_seeds_does_what_the_model_does() -> None:
    for seed in range(400):
        inputs, model = mail(random.Random(seed).choice), Model()
        async with runtime.Runtime(Hosting, workers=0) as rt:
            for block in inputs:
                assert undrawn((await rt.advance(block)).data) == model.block(block["mail"]), seed


@pytest.mark.long
@settings(max_examples=1_000, deadline=None, suppress_health_check=_HOSTILE)
@given(inputs=blocks())
def test_much_random_mail_does_what_the_model_does_whoever_is_hosted(runner: Any, inputs: Any) -> None:
    runner.run(check(inputs))


@pytest.mark.parametrize("office", [Hosting, Mixed, Apart])
@pytest.mark.parametrize("seed", range(4))
async def test_random_mail_gives_the_same_hashes_in_every_way(office: Any, seed: int) -> None:
    inputs = [block for turn in range(3) for block in mail(random.Random(10 * seed + turn).choice)]
    model = Model()
    data = await every_way(office, inputs, placed=Shy if seed == 0 and office is not Hosting else None)
    assert undrawn(tuple(data)) == tuple(model.block(block["mail"]) for block in inputs)
