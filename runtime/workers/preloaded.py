"""What the fork server loads, once for all workers: what they run, with the guards in place."""

from runtime.guards import install
from runtime.workers import worker

__all__ = ["worker"]

install()
