"""Freezing: parts of a potential that stay as they are while the rest is fine-tuned."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase

from torch import nn

from invarion.exceptions import ConfigError


@contextmanager
def frozen(module: nn.Module, patterns: Sequence[str]) -> Iterator[None]:
    """Take parameters whose name matches a pattern out of training, and put them back as they were.

    Args:
        module: whose parameters are meant.
        patterns: of names from `named_parameters`, with `*`, `?` and `[...]`.

    Raises:
        ConfigError: a pattern that matches no parameter, or nothing left to train.
    """
    parameters = dict(module.named_parameters())
    before = {name: p.requires_grad for name, p in parameters.items()}
    try:
        for name in _matching(list(parameters), patterns):
            parameters[name].requires_grad_(False)
        if not any(p.requires_grad for p in parameters.values()):
            raise ConfigError(f"freeze {list(patterns)} leaves no parameter to train")
        yield
    finally:
        for name, flag in before.items():
            parameters[name].requires_grad_(flag)


def _matching(names: Sequence[str], patterns: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for pattern in patterns:
        matching = {name for name in names if fnmatchcase(name, pattern)}
        if not matching:
            raise ConfigError(f"freeze has {pattern!r}, which matches no parameter; there are {', '.join(names)}")
        found |= matching
    return found
