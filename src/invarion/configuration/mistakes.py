"""Mistakes in settings, in words: where they are, what was got, what is allowed, and the nearest valid key."""

import difflib
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from invarion.exceptions import ConfigError


def in_words(error: ValidationError, model: type[BaseModel], prefix: str = "") -> ConfigError:
    """The error that a user sees, one line per mistake.

    Args:
        error: what pydantic found.
        model: the class that was validated.
        prefix: where its values stand in the whole, for instance "training".

    Example:
        >>> from invarion.training.options import TrainOptions
        >>> try:
        ...     TrainOptions(max_epoch=10)
        ... except ValidationError as error:
        ...     print(str(in_words(error, TrainOptions, "training")).partition(" Known")[0])
        training.max_epoch: unknown key 'max_epoch'; did you mean 'max_epochs'?
    """
    found: dict[str, list[str]] = {}
    for each in error.errors(include_url=False):
        where, what = _mistake(each, model, prefix)
        found.setdefault(where, []).append(what)
    lines = [(f"{where}: " if where else "") + " or ".join(dict.fromkeys(what)) for where, what in found.items()]
    return ConfigError("\n".join(lines))


def unknown(name: str, known: Sequence[str], what: str = "key") -> str:
    """What to say of a name that nobody knows.

    Args:
        name: as it was given.
        known: the names that are allowed there.
        what: what they are names of.

    Example:
        >>> unknown("epoch", ["epochs", "seed"])
        "unknown key 'epoch'; did you mean 'epochs'? Known are epochs, seed"
    """
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"unknown {what} {name!r}{hint} Known are {', '.join(known)}"


def _mistake(error: Any, model: type[BaseModel], prefix: str) -> tuple[str, str]:
    """Where a mistake is and what it is."""
    location = [str(part) for part in error["loc"]]
    fields, here = _follow(model, location)
    where = _dotted(prefix, *fields)
    if error["type"] == "extra_forbidden":
        known = list(dict.fromkeys(key for each in here for key in each.model_fields))
        return _dotted(where, location[-1]), unknown(location[-1], known)
    if error["type"] == "missing":
        return where, "missing; it has no default"
    if error["type"] == "value_error":
        return where, str(error["ctx"]["error"])
    return where, f"{error['msg']} (got {_short(error['input'])})"


def _follow(model: type[BaseModel], location: Sequence[str]) -> tuple[list[str], list[type[BaseModel]]]:
    """The fields that a location passes, and the models that it ends in.

    What follows the last field is left out: it may be pydantic's name of an alternative, which no user has written.
    """
    fields: list[str] = []
    here = [model]
    for part in location:
        inside = [each.model_fields[part].annotation for each in here if part in each.model_fields]
        if not inside:
            break
        fields.append(part)
        here = [found for annotation in inside for found in _models(annotation)]
    return fields, here


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Pydantic models in an annotation, however deep."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _dotted(*parts: str) -> str:
    return ".".join(part for part in parts if part)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
