"""Files appear whole or not at all, and JSON holds nothing that a reader would refuse."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from pydantic import BaseModel

from invarion.exceptions import InvarionError
from invarion.files import plain, to_json, write_atomically


def test_text_and_bytes_replace_what_was_there(tmp_path):
    target = tmp_path / "a" / "b.txt"
    write_atomically(target, "Å")
    assert target.read_text(encoding="utf-8") == "Å"
    write_atomically(str(target), b"\x00\x01")
    assert target.read_bytes() == b"\x00\x01"
    assert list(target.parent.iterdir()) == [target]


def test_interrupted_write_leaves_the_old_content_and_nothing_else(tmp_path, monkeypatch):
    target = tmp_path / "b.txt"
    write_atomically(target, "old")

    def interrupt(handle):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(target, "new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", ["file/below", "."])
def test_impossible_targets_are_named(name, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InvarionError, match="cannot write"):
        write_atomically(tmp_path / name, "text")
    assert (tmp_path / "file").read_text() == "in the way"


class Pair(NamedTuple):
    left: float
    right: np.ndarray


@dataclass(frozen=True)
class Card:
    path: Path
    size: np.int64


class Settings(BaseModel):
    width: int = 3


def test_everything_becomes_json():
    value = {
        "pair": Pair(np.float32(0.5), np.array([1.0, np.nan, np.inf])),
        "card": Card(Path("a/b"), np.int64(7)),
        "settings": Settings(),
        "flags": (True, np.bool_(False), None),
        3: {"x"},
    }
    assert json.loads(to_json(value)) == {
        "pair": {"left": 0.5, "right": [1.0, None, None]},
        "card": {"path": "a/b", "size": 7},
        "settings": {"width": 3},
        "flags": [True, False, None],
        "3": ["x"],
    }


def test_numbers_survive_exactly():
    numbers = np.random.default_rng(0).normal(size=100) * 10.0 ** np.arange(-50, 50)
    assert json.loads(to_json(numbers)) == numbers.tolist()
    assert plain(float("-inf")) is None
