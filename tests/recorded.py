"""Real inputs that nobody here made: they stay out of the repository, and tests that need one are skipped without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

#: The folder of them: beside the project's, or the one that LOCKSTEP_DATA names.
DATA = Path(os.environ.get("LOCKSTEP_DATA", Path(__file__).parents[2] / "shared" / "data"))


def needs(*names: str) -> pytest.MarkDecorator:
    """Skip a test where one of these files is absent."""
    missing = [str(DATA / name) for name in names if not (DATA / name).exists()]
    reason = f"nothing recorded at {', '.join(missing)}; set LOCKSTEP_DATA to the folder of it"
    return pytest.mark.skipif(bool(missing), reason=reason)
