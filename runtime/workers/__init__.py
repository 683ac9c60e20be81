"""Workers: activations in other processes. The crew (driver's side) is the way in; `work` is what a worker runs."""

from runtime.workers.crew import Crew
from runtime.workers.tracks import InFlight
from runtime.workers.worker import WORKER_MEMORY_MIN

__all__ = ["WORKER_MEMORY_MIN", "Crew", "InFlight"]
