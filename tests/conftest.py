"""What all tests share. That this file is here lets them import `recorded`, which stands beside it."""

from __future__ import annotations

import pytest
from hypothesis import settings

from actors.recent import Recent

# No test is timed: machines are shared.
settings.register_profile("lockstep", deadline=None)
settings.load_profile("lockstep")


@pytest.fixture
def nothing_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every long value be fetched from its store, and checked, as in a process that has just been started."""
    monkeypatch.setattr("actors.cells.recent", Recent(0))
