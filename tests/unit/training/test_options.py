import subprocess
import sys

import pytest
import yaml
from pydantic import ValidationError

from invarion.training import LossMix, TrainOptions


def test_importing_options_brings_in_neither_torch_nor_lightning():
    code = "import sys, invarion; invarion.TrainOptions(); print({'torch', 'lightning'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_equal_to_its_yaml():
    options = TrainOptions(max_epochs=7, loss="mae", energy_loss={"mse": 1.0, "rmse": 0.5}, freeze=("network.*",))
    text = yaml.safe_dump(options.model_dump(mode="json"))
    assert TrainOptions.model_validate(yaml.safe_load(text)) == options


def test_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        TrainOptions().seed = 3


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_epochs": None}, "give at least one"),
        ({"max_epochs": 0}, "greater than 0"),
        ({"energy_weight": 0, "forces_weight": 0, "stress_weight": 0}, "at least one a positive weight"),
        ({"loss": {}}, "no positive weight"),
        ({"loss": "hubber"}, "hubber"),
        ({"learning_rates": 0.1}, "learning_rates"),
        ({"warmup": 1.0}, "less than 1"),
        ({"schedule": "step"}, "'cosine', 'plateau' or 'constant'"),
        ({"trackers": ["mlflow"]}, "'tensorboard' or 'wandb'"),
    ],
)
def test_refuses(wrong, message):
    with pytest.raises(ValueError, match=message):
        TrainOptions(**wrong)


def test_a_property_may_have_its_own_mix():
    options = TrainOptions(loss="huber", forces_loss="mae")
    assert options.mix("forces") == LossMix(mae=1.0)
    assert options.mix("stress") == LossMix(huber=1.0)
