"""`python -m runtime.cli`: the command line where the `lockstep` script is not on the path."""

from runtime.cli import app

app(prog_name="lockstep")
