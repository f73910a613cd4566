import io
import math
from types import SimpleNamespace

from rich.console import Console

from invarion.potential import Potential
from invarion.training import TrainOptions, reporting, train
from invarion.training.errors import Errors, errors_of
from invarion.training.reporting import Bar, Lines, display
from springs import Springs, molecules


def test_a_bar_on_a_terminal_shows_the_errors(tmp_path, monkeypatch):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    monkeypatch.setattr(reporting, "Console", lambda stderr: console)
    atoms = molecules(8)
    train(Potential.from_data(Springs(), atoms), atoms, atoms, TrainOptions(max_epochs=2), tmp_path)
    assert "epoch 2/2  energy" in screen.getvalue()
    assert "meV/atom  forces" in screen.getvalue()


def test_what_is_shown_where(monkeypatch):
    course = SimpleNamespace(progress=0.0)
    for terminal, kinds in ((True, [Bar, Bar, None]), (False, [None, Lines, None])):
        console = Console(file=io.StringIO(), force_terminal=terminal)
        monkeypatch.setattr(reporting, "Console", lambda stderr, console=console: console)
        shown = [display(course, wanted) for wanted in (None, True, False)]
        assert [None if each is None else type(each) for each in shown] == kinds


def test_errors_are_means_in_mev_and_nan_where_nothing_is_labelled():
    errors = errors_of(0.5, [0.02, 0.0002, 2.0, 0.3, 0.03, 6.0, 0.0, 0.0, 0.0])
    assert errors[:5] == Errors(0.5, 10.0, 10.0, 50.0, 1e3 * math.sqrt(0.005), 0.0, 0.0)[:5]
    assert math.isnan(errors.stress_mae_mev_per_angstrom3)
