"""Files of structures: which ones are meant, and their frames one by one with every failure named."""

import bz2
import contextlib
import difflib
import gzip
import lzma
from collections.abc import Callable, Iterator, Mapping, Sequence
from glob import glob, has_magic
from io import StringIO
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from ase import Atoms

from invarion.exceptions import DataError

Paths = str | PathLike[str] | Sequence[str | PathLike[str]]
_OPEN: Mapping[str, Callable[..., Any]] = MappingProxyType({".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open})
_XYZ = (".xyz", ".extxyz")


class File(NamedTuple):
    """A file, and which of its frames are wanted in ASE's index syntax."""

    path: Path
    part: str


def expand(paths: Paths, index: str = ":") -> list[File]:
    """The files that paths and globs stand for, in the order given (matches of a glob sorted), each once.

    Args:
        paths: a path or glob, or several; "file@0:100" takes some frames only, as in ASE.
        index: frames of the files that name none themselves.

    Raises:
        DataError: no path, a file that is not there, a folder, a glob without a match, or an index that is none.
    """
    given = [paths] if isinstance(paths, str | PathLike) else list(paths)
    if not given:
        raise DataError("no file was given; give at least one path or glob")
    files = [file for path in given for file in _expand_one(str(Path(path).expanduser()), index)]
    for file in files:
        _check_index(file)
    return list(dict.fromkeys(files))


def frames(file: File, format: str | None = None) -> Iterator[Atoms]:
    """The structures of one file, in order.

    Args:
        file: path and index.
        format: ASE's name of the format where the file's own name does not tell it.

    Raises:
        DataError: a file that is empty, of unknown format, truncated or damaged; names the file and the frame.
    """
    count = 0
    try:
        for structure in _iterate(file, format):
            yield structure
            count += 1
    except DataError:
        raise
    except Exception as error:  # ASE's readers raise whatever their parsing trips over
        raise DataError(
            f"{file.path}, frame {count}: cannot be read ({type(error).__name__}: {error}). "
            "The file may be truncated, damaged, or of another format than its name says (then give format=)"
        ) from error
    if count == 0:
        raise nothing_in(file)


def nothing_in(file: File) -> DataError:
    """The error for a file without a structure at the index wanted."""
    return DataError(f"{file.path}: holds no structure{'' if file.part == ':' else f' at index {file.part}'}")


def _check_index(file: File) -> None:
    from ase.utils import string2index

    if file.path.suffix in (".db", ".json"):  # ASE's databases are searched by words, too
        return
    with contextlib.suppress(ValueError):
        if isinstance(string2index(file.part), int | slice):
            return
    raise DataError(f"{file.path}: {file.part!r} is no index; write a number or start:stop:step")


def _expand_one(path: str, index: str) -> list[File]:
    if Path(path).is_file():
        return [File(Path(path), index)]
    stem, at, own = path.rpartition("@")
    if at and not Path(path).exists():
        return _expand_one(stem, own)
    matches = [Path(match) for match in sorted(glob(path, recursive=True)) if Path(match).is_file()]
    if has_magic(path) and matches:
        return [File(match, index) for match in matches]
    raise DataError(_absence(path))


def _absence(path: str) -> str:
    """Why a path stands for no file, and what to do."""
    if Path(path).is_dir():
        return f"{path} is a folder; give files, or a glob such as '{path.rstrip('/')}/*.extxyz'"
    if has_magic(path):
        return f"no file matches {path!r} (in the folder {Path.cwd()}); check the pattern"
    folder = Path(path).parent
    if not folder.is_dir():
        return f"{path} does not exist: there is no folder {folder}"
    near = difflib.get_close_matches(Path(path).name, [entry.name for entry in folder.iterdir()], n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else "; check the name"
    return f"{path} does not exist{hint}"


def _iterate(file: File, format: str | None) -> Iterator[Atoms]:
    from ase.io import iread

    suffixes = [suffix.lower() for suffix in file.path.suffixes]
    if file.path.stat().st_size == 0:
        raise DataError(f"{file.path}: the file is empty")
    if format == "extxyz" or (format is None and _is_xyz(suffixes)):
        yield from _iterate_xyz(file)
    else:
        yield from iread(file.path, index=file.part, format=format, do_not_split_by_at_sign=True)


def _is_xyz(suffixes: list[str]) -> bool:
    last = [suffix for suffix in suffixes if suffix not in _OPEN][-1:]
    return last[:1] != [] and last[0] in _XYZ and (suffixes[-1] in _XYZ or suffixes[-1] in _OPEN)


def _iterate_xyz(file: File) -> Iterator[Atoms]:
    """Extended XYZ by way of memory: ASE seeks back and forth, which takes minutes on a compressed file.

    ASE also stops at the first blank line between frames and drops the rest without a word: that is refused here.
    """
    from ase.io import iread

    opener = _OPEN.get(file.path.suffix.lower(), open)
    with opener(file.path, "rt", encoding="utf-8") as stream:
        text = stream.read()
    n_lines = 0
    for structure in iread(StringIO(text), index=file.part, format="extxyz"):
        n_lines += len(structure) + 2
        yield structure
    if file.part == ":" and _ends_short(text):
        raise ValueError("the last line ends before its last column")
    left_over = text.rstrip().count("\n") + 1 - n_lines
    if file.part == ":" and left_over > 0 and "\nVEC" not in text:
        raise ValueError(f"{left_over} lines follow that are no frame; is there a blank line between frames?")


def _ends_short(text: str) -> bool:
    """Whether a file stops within a number: no end of line, and shorter than lines above that are all of one length."""
    if text.endswith("\n"):
        return False
    *above, last = text[text.rfind("=") + 1 :].split("\n")[1:] or [""]
    return len(above) > 1 and len({len(line) for line in above}) == 1 and len(last) < len(above[0])
