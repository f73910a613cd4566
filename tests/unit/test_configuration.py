"""Configuration: YAML and frozen value are the same thing, and every mistake is named with its cure."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import invarion as inv
from invarion.configuration import RunConfig, override, parse_config, read_config, to_yaml, write_config
from invarion.configuration.text import one_line, parse_yaml
from invarion.exceptions import ConfigError

BASE = {"data": {"train": "a.extxyz"}, "model": {"kind": "hip_nn", "cutoff": 5.0, "n_features": 8}}
MODELS = [
    {"kind": "hip_nn", "cutoff": 4.5, "n_features": [16, 8]},
    {"kind": "hip_nn_ts", "cutoff": 5.0, "max_rank": 2},
    {"kind": "hip_hop_nn", "cutoff": 5.5, "max_rank": 2, "max_degree": 3},
    {"kind": "hip_hop_nn", "cutoff": 5.5, "basis": "published", "normalization": "group"},
    {"kind": "ace", "cutoff": 5.0, "elements": {"H": {"max_rank": 2}}},
]


def settings(**sections):
    """BASE with keys of some sections replaced."""
    return {name: {**BASE.get(name, {}), **sections.get(name, {})} for name in {**BASE, **sections}}


class TestOneValue:
    def test_keys_are_the_python_arguments(self):
        config = parse_config(
            {
                "data": {"train": ["a.xyz", "b.xyz"], "split": [0.7, 0.2, 0.1]},
                "model": {"kind": "hip_hop_nn", "cutoff": 5.5, "n_features": 32, "max_degree": 3},
                "training": {"max_epochs": 7, "loss": "mae"},
                "output": {"folder": "there"},
            }
        )
        assert config.model == inv.hip_hop_nn(cutoff=5.5, n_features=32, max_degree=3)
        assert config.training == inv.TrainOptions(max_epochs=7, loss="mae")
        assert config.data.train == ("a.xyz", "b.xyz")
        assert config.data.split.parts == (0.7, 0.2, 0.1)
        assert config.output.folder == "there"

    def test_it_is_frozen(self):
        config = parse_config(BASE)
        with pytest.raises(ValueError, match="frozen"):
            config.output = None

    @pytest.mark.parametrize("model", MODELS, ids=lambda model: "-".join(map(str, model.values())))
    def test_yaml_reads_back_equal(self, model, tmp_path):
        config = parse_config({**BASE, "model": model, "training": {"max_epochs": 3, "betas": [0.8, 0.99]}})
        write_config(config, tmp_path / "config.yaml")
        assert read_config(tmp_path / "config.yaml") == config

    @given(
        lr=st.floats(1e-8, 1.0),
        seed=st.integers(0, 2**31),
        folder=st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1).filter(str.strip),
        references=st.one_of(
            st.sampled_from(["least_squares", "isolated", "zero"]),
            st.dictionaries(st.sampled_from(["H", "C", "8"]), st.floats(-1e4, 0)),
        ),
        keys=st.dictionaries(st.sampled_from(["energy", "forces"]), st.sampled_from(["no", "1", "e: x", "null", "ü"])),
    )
    def test_any_value_survives_yaml(self, lr, seed, folder, references, keys):
        """Texts that YAML could take for numbers, booleans or nothing included."""
        sections = {
            "data": {"references": references, "keys": keys},
            "training": {"learning_rate": lr, "seed": seed},
            "output": {"folder": folder},
        }
        config = parse_config(settings(**sections))
        assert parse_config(parse_yaml(to_yaml(config))) == config

    def test_a_basis_of_ones_own_is_spelled_out(self):
        basis = inv.optimal_basis(max_rank=2, max_degree=3)
        config = RunConfig(data={"train": "a.xyz"}, model=inv.hip_hop_nn(cutoff=5.0, basis=basis))
        assert parse_config(parse_yaml(to_yaml(config))).model.basis == basis
        assert "basis: optimal" in to_yaml(config)

    def test_empty_sections_are_defaults(self):
        assert parse_config({**BASE, "training": None, "output": None}) == parse_config(BASE)


MISTAKES = [
    ({"modl": {}}, "modl: unknown section 'modl'; did you mean 'model'"),
    ({"data": {"trainn": "a"}}, "data.trainn: unknown key 'trainn'; did you mean 'train'"),
    ({"model": {"n_featurs": 3}}, "model.n_featurs: unknown key 'n_featurs'; did you mean 'n_features'"),
    ({"model": {"kind": "hip_hop"}}, "model.kind: unknown kind 'hip_hop'; did you mean 'hip_hop_nn'"),
    ({"training": {"max_epoch": 3}}, "training.max_epoch: unknown key 'max_epoch'; did you mean 'max_epochs'"),
    ({"training": {"loss": {"hubr": 1}}}, "training.loss.hubr: unknown key 'hubr'; did you mean 'huber'"),
    ({"output": {"foldr": "x"}}, "output.foldr: unknown key 'foldr'; did you mean 'folder'"),
    ({"data": {"split": {"part": [1, 0]}}}, "data.split.part: unknown key 'part'; did you mean 'parts'"),
    ({"data": {"keys": {"enrgy": "x"}}}, "unknown quantity 'enrgy' .did you mean 'energy'"),
    ({"data": {"units": {"energy": "Hartee"}}}, "unknown unit 'Hartee'"),
    ({"data": {"split": [0.9, 0.3]}}, "sum to 1.2"),
    ({"data": {"train": []}}, "data.train: .*at least 1 item"),
    ({"data": {"valid": "v.xyz", "split": [0.5, 0.5]}}, "valid and split are both given"),
    ({"data": {"test": "t.xyz", "split": [0.5, 0.3, 0.2]}}, "test and a third part of split"),
    ({"data": {"references": "mean"}}, "data.references: .*'least_squares', 'isolated' or 'zero'"),
    ({"model": {"cutoff": -1}}, "model.cutoff: .*greater than 0 .got -1"),
    ({"model": {"kind": "hip_hop_nn", "max_rank": 9}}, "model.max_rank: .*less than or equal to 6"),
    ({"training": {"schedule": "cosin"}}, "training.schedule: .*'cosine', 'plateau' or 'constant' .got 'cosin'"),
    ({"output": {"folder": " "}}, "folder is empty"),
]


class TestMistakes:
    @pytest.mark.parametrize(("wrong", "message"), MISTAKES, ids=lambda value: str(value)[:40])
    def test_named_with_its_cure(self, wrong, message):
        with pytest.raises(ConfigError, match=message):
            parse_config(settings(**wrong))

    @pytest.mark.parametrize("without", ["data", "model"])
    def test_a_missing_section(self, without):
        with pytest.raises(ConfigError, match=f"{without}: missing"):
            parse_config({name: section for name, section in BASE.items() if name != without})

    def test_a_missing_argument(self):
        with pytest.raises(ConfigError, match=r"model\.cutoff: missing"):
            parse_config({**BASE, "model": {"kind": "hip_nn"}})

    @pytest.mark.parametrize("model", [None, {}, 3, "hip_nn", {"cutoff": 5.0}])
    def test_a_missing_kind(self, model):
        with pytest.raises(ConfigError, match="model: "):
            parse_config({**BASE, "model": model})

    def test_several_at_once(self):
        with pytest.raises(ConfigError) as caught:
            parse_config(settings(data={"trainn": 1}, training={"seed": -1, "max_epoch": 3}))
        assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
            "data.trainn",
            "training.seed",
            "training.max_epoch",
        ]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "holds no settings"),
            ("- a\n- b\n", "holds no settings"),
            ("data: {train: a\nmodel: {}\n", "line 2, column .*no valid YAML"),
            ("data:\n  train: a\n  train: b\n", "line 3: 'train' is given twice"),
            ("data:\n\ttrain: a\n", "line 2, column 1: no valid YAML"),
            ("data:\n  train: a@9:\n", r"line 2, column 13: no valid YAML .*colon needs quotes: \"FILE@900:\""),
            (
                "data: {train: ['b', a@9: ]}\nmodel: {kind: hip_nn, cutoff: 5}\n",
                "a@9: ends with a colon.*quotes in YAML",
            ),
            ("data: !!python/object/apply:os.system ['true']\n", "no valid YAML"),
        ],
    )
    def test_bad_files(self, tmp_path, text, message):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        with pytest.raises(ConfigError, match=message) as caught:
            read_config(path)
        assert str(path) in str(caught.value)

    def test_absent_file(self, tmp_path):
        with pytest.raises(ConfigError, match=r"no\.yaml: cannot be read .*invarion init"):
            read_config(tmp_path / "no.yaml")


class TestOverrides:
    def test_values_are_yaml(self, tmp_path):
        path = tmp_path / "config.yaml"
        path.write_text(to_yaml(parse_config(BASE)))
        texts = [
            "training.max_epochs=3",
            "training.loss={mae: 1}",
            "model.n_features=[4, 4]",
            "output.folder=a=b",
            "training.seed = 5",
        ]
        config = read_config(path, texts)
        assert config.training.max_epochs == 3
        assert config.training.seed == 5
        assert config.training.loss.mae == 1.0
        assert config.model.n_features == (4, 4)
        assert config.output.folder == "a=b"

    def test_the_last_one_wins(self):
        assert override(BASE, ["model.cutoff=1", "model.cutoff=2"])["model"]["cutoff"] == 2

    def test_the_original_is_left_alone(self):
        override(BASE, ["model.cutoff=1"])
        assert BASE["model"]["cutoff"] == 5.0

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("training.max_epochs", "write section.key=value"),
            ("=3", "write section.key=value"),
            ("model.cutoff.x=3", "cutoff is 5.0, which has no keys"),
            ("model.cutoff=[1", "no valid YAML"),
        ],
    )
    def test_refused(self, text, message):
        with pytest.raises(ConfigError, match=message):
            override(BASE, [text])

    def test_a_misspelt_one_is_refused(self):
        with pytest.raises(ConfigError, match="did you mean 'max_epochs'"):
            parse_config(override(BASE, ["training.max_epoch=3"]))


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text(st.characters(blacklist_categories=("Cs",))),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3),
        max_leaves=6,
    )
)
@example("\x85")
@example(["a\u2028b"])
def test_one_line_reads_back(value):
    text = one_line(value)
    assert parse_yaml(text) == value


def test_examples_are_valid():
    for path in Path(__file__).parents[2].glob("examples/**/*.yaml"):
        read_config(path)
