"""Savina, the actor benchmarks of Imam and Sarkar (AGERE! 2014), as mail between deterministic actors.

    python -m examples.savina --scale 0.01 [NAME…]

Each file is one benchmark: its actors, the office that delivers their mail, the published parameters with their work scaled
by one option, and what the result has to be.
"""
