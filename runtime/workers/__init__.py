"""Workers: activations in other processes. The crew (driver's side) is the way in; `work` is what a worker runs."""

from runtime.workers.crew import Crew
from runtime.workers.tracks import InFlight

__all__ = ["Crew", "InFlight"]
