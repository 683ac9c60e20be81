"""Every attack of the catalogue that gas or a refusal ends is ended so. (The others need a worker's watchdog.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from attacks import ATTACKS, Attack, write
from metered_run import run

from actors import ProgramError

if TYPE_CHECKING:
    from types import ModuleType

GAS = 200_000


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return write(tmp_path_factory.mktemp("attacks"))


def how(programs: ModuleType, attack: Attack) -> str:
    try:
        ended = run(getattr(programs, attack.program), GAS)
    except ProgramError:
        return "refused"
    if ended.how == "failed":
        return "refused" if isinstance(ended.error, ProgramError) else "trap"
    return ended.how


def test_the_catalogue_is_large_and_no_two_are_alike() -> None:
    assert len(ATTACKS) >= 60
    assert len({attack.program for attack in ATTACKS}) == len({attack.source for attack in ATTACKS}) == len(ATTACKS)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::SyntaxWarning")
@pytest.mark.parametrize("attack", [one for one in ATTACKS if one.expected != "host fault"], ids=lambda one: one.name)
def test_an_attack_ends_as_the_catalogue_says(attack: Attack, programs: ModuleType) -> None:
    assert how(programs, attack) == attack.expected
