"""The examples of docs/bases.md do what they say."""

import doctest
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "bases.md"


def test_examples_of_the_page_run():
    failed, tried = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert tried >= 20
    assert failed == 0
