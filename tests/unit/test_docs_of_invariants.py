"""The examples in the pages about ambiguity, descriptors and plans do what they say."""

import doctest
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(("page", "least"), [("ambiguity.md", 5), ("descriptor.md", 9), ("plans.md", 7)])
def test_examples_run(page, least):
    failed, tried = doctest.testfile(str(DOCS / page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert tried >= least
    assert failed == 0
