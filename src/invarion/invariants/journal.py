"""Journal: finished stages of a long search in a file, so that a search that was stopped goes on where it was."""

import json
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from invarion.exceptions import BasisError
from invarion.invariants.contractions import Contraction, contraction_data, read_contraction


class Stage(NamedTuple):
    """What a finished stage leaves.

    Attributes:
        kept: members found.
        n_offered: candidates looked at.
        n_unproved: rejections that rest on random points alone.
    """

    kept: list[Contraction]
    n_offered: int = 0
    n_unproved: int = 0


class Journal:
    """One line of JSON per finished stage; the first line says which search they belong to.

    Args:
        path: the file, made if absent; None keeps nothing.
        request: what is searched for; a file of another request is refused.

    Raises:
        BasisError: the file belongs to another search, or is no journal.
    """

    def __init__(self, path: str | PathLike | None, request: str) -> None:
        self._path = None if path is None else Path(path)
        self._stages: dict[str, Stage] = {}
        if self._path is not None and self._path.exists():
            self._read(self._path, request)
        elif self._path is not None:
            self._path.write_text(json.dumps({"request": request}) + "\n", "utf-8")

    def read(self, stage: str) -> Stage | None:
        """What a finished stage left; None if it is not finished."""
        return self._stages.get(stage)

    def write(self, stage: str, kept: Sequence[Contraction], n_offered: int = 0, n_unproved: int = 0) -> None:
        """Note that a stage is finished."""
        if self._path is not None:
            counts = {"offered": n_offered, "unproved": n_unproved}
            line = {"stage": stage, "kept": [contraction_data(c) for c in kept], **counts}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def _read(self, path: Path, request: str) -> None:
        """All whole lines; one that was cut off by a sudden end is dropped, also from the file."""
        text = path.read_text("utf-8")
        whole = text[: text.rfind("\n") + 1]
        try:
            header, *lines = [json.loads(line) for line in whole.splitlines()]
            found = header["request"]
            self._stages = {line["stage"]: _stage(line) for line in lines}
        except (ValueError, KeyError, TypeError) as error:
            raise BasisError(f"{path} is not the journal of a search ({error}); name another file") from error
        if found != request:
            raise BasisError(
                f"{path} belongs to another search ({found}); name another file, or ask for the same again"
            )
        if whole != text:
            path.write_text(whole, "utf-8")


def _stage(line: dict) -> Stage:
    kept = [read_contraction(c) for c in line["kept"]]
    return Stage(kept, int(line["offered"]), int(line["unproved"]))
