"""The Python interpreters that tests run scripts with: this one, those on PATH, those that LOCKSTEP_PYTHONS names.

LOCKSTEP_PYTHONS has paths of interpreters, separated as in PATH. One without the project's dependencies is of no use.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache

import pytest

#: Those that the project is made for.
VERSIONS = ("3.11", "3.12", "3.13")

_ABLE = "import sys, anyio, cloudpickle, pyrsistent; print('{}.{}'.format(*sys.version_info))"


@cache
def _version(python: str) -> tuple[str, str]:
    """The version of an interpreter, and why it is of no use."""
    try:
        done = subprocess.run([python, "-c", _ABLE], capture_output=True, text=True, timeout=60, check=False)
    except OSError as error:
        return "", f"{python}: {error}"
    said = done.stderr.strip().splitlines() or ["it says nothing"]
    return done.stdout.strip(), f"{python}: {said[-1] if 'Error' in said[-1] else said[0]}"


@cache
def _found(version: str) -> tuple[str | None, list[str]]:
    here = "{}.{}".format(*sys.version_info)
    on_path = shutil.which(f"python{version}")
    candidates = [sys.executable] if version == here else []
    candidates += [path for path in os.environ.get("LOCKSTEP_PYTHONS", "").split(os.pathsep) if path]
    candidates += [on_path] if on_path else []
    refused = []
    for python in candidates:
        found, why = _version(python)
        if found == version:
            return python, refused
        refused.append(f"{python} is {found}" if found else why)
    return None, refused


def python_of(version: str) -> str:
    """Return an interpreter of a version that has what is needed, or skip the test and say what is missing."""
    python, refused = _found(version)
    if python is None:
        pytest.skip(
            f"no python{version} with the dependencies ({'; '.join(refused) or 'none found'}); see LOCKSTEP_PYTHONS"
        )
    return python


def pythons() -> dict[str, str]:
    """Return every version that there is an interpreter of, with that."""
    found = {version: _found(version)[0] for version in VERSIONS}
    return {version: python for version, python in found.items() if python is not None}
