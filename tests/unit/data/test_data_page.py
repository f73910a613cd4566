"""The examples of docs/data.md do what they say."""

import doctest
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_examples_of_the_page_run(monkeypatch):
    monkeypatch.chdir(ROOT)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    failed, tried = doctest.testfile(str(ROOT / "docs" / "data.md"), module_relative=False, optionflags=flags)
    assert tried >= 12
    assert failed == 0
