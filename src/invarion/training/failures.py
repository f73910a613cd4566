"""How a training run can end before its time: an error that says what to do, or the user's own Ctrl-C."""

from invarion.exceptions import InvarionError


class TrainingError(InvarionError):
    """A run that cannot start, cannot be resumed, or had to stop; the message names the step or the file."""


class TrainingInterrupted(KeyboardInterrupt):
    """The user (Ctrl-C) or the queue (SIGTERM) stopped the run; the message says where it can be taken up again."""
