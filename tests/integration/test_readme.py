"""What the README tells a newcomer to type exists and does what it says."""

import doctest
import re
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from invarion.cli import app

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_examples_with_output_are_true():
    failed, tried = doctest.testfile(str(ROOT / "README.md"), module_relative=False)
    assert tried > 0
    assert failed == 0


@pytest.mark.parametrize("target", sorted(set(re.findall(r"^make (\w+)", TEXT, flags=re.MULTILINE))))
def test_make_targets_exist(target):
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^invarion (\w+)", TEXT, flags=re.MULTILINE))))
def test_commands_exist(command):
    assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


def test_linked_pages_exist():
    for page in re.findall(r"\]\(([^):]+)\)", TEXT):
        assert (ROOT / page).is_file(), page


def test_the_demonstration_reads_what_ships():
    from invarion.configuration import read_config

    data = read_config(ROOT / "examples" / "ethanol" / "config.yaml", []).data
    for part in (data.train, data.valid, data.test):
        for name in [part] if isinstance(part, str) else part:
            assert (ROOT / name).is_file(), name
