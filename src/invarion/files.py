"""Files: written whole or not at all, and JSON that every reader takes."""

import contextlib
import dataclasses
import json
import math
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from invarion.exceptions import InvarionError


def write_atomically(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Write a file under a temporary name beside it, then rename: readers see the old file or the new, never a part.

    Args:
        path: where to; missing folders are made, a symbolic link is followed.
        data: the whole content; text is stored as UTF-8.

    Raises:
        InvarionError: the folder cannot be written, the disk is full, or the path is not a regular file; what stood
            there before is untouched.
    """
    target = Path(path).resolve()
    if target.exists() and not target.is_file():
        raise InvarionError(f"cannot write {path}: it is not a regular file; give the name of a file")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_and_sync(temporary, data.encode() if isinstance(data, str) else data)
        temporary.replace(target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InvarionError(f"cannot write {path}: {reason}; free some space or choose another place") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def to_json(value: Any) -> str:
    """JSON text of nested plain data, arrays and models; numbers that are not finite become null.

    Args:
        value: dicts, sequences, numbers, strings, numpy arrays and scalars, paths, NamedTuples, dataclasses, pydantic
            models.

    >>> to_json({"error": float("nan"), "n": 3})
    '{"error": null, "n": 3}'
    """
    return json.dumps(plain(value), allow_nan=False)


def plain(value: Any) -> Any:
    """Nested data as dicts, lists, strings, finite numbers, booleans and None alone.

    >>> plain({1: (2.0, float("inf"))})
    {'1': [2.0, None]}
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "model_dump"):
        return plain(value.model_dump(mode="json"))
    if hasattr(value, "_asdict"):
        return plain(value._asdict())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return str(value)


def _write_and_sync(path: Path, data: bytes) -> None:
    # mode 0666 is what open() asks for: the user's umask decides, as for any other file
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
