"""`python -m invarion.cli`: the command line, for torchrun and where the program is not on the path."""

from invarion.cli import app

app()
