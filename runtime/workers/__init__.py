"""Workers: activations in other processes. The crew (driver's side) is the way in; `work` is what a worker runs."""

from runtime.workers.crew import Crew

__all__ = ["Crew"]
