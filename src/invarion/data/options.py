"""The `data` section of a run as a frozen value, and the training, validation and test structures it stands for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from ase import Atoms
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from invarion.data.label_table import LabelTable
from invarion.data.labels import search_for
from invarion.data.levels import level_shifts
from invarion.data.reading import Reading, read_labelled
from invarion.data.splits import Split, check_parts, split
from invarion.data.statistics import is_isolated
from invarion.exceptions import ConfigError


def _as_list(value: Any) -> Any:
    names = (str(value),) if isinstance(value, str | Path) else value
    for each in names if isinstance(names, list | tuple) else []:
        if isinstance(each, dict) and list(each.values()) == [None]:  # what YAML makes of a colon at the end
            raise ConfigError(f'{next(iter(each))}: ends with a colon, which needs quotes in YAML: "FILE@900:"')
    return names


Files = Annotated[tuple[str, ...], BeforeValidator(_as_list), Field(min_length=1)]
"""One file or glob, or several."""

References = Literal["least_squares", "isolated", "zero"] | dict[str | int, float]


class SplitOptions(BaseModel):
    """How `invarion.split` divides the training files where there are no others.

    Attributes:
        parts: fractions (sum <= 1) or numbers of structures for training, validation and, if given, test.
        seed: of the shuffling.
        groups: info key whose value keeps structures together.
        part_key: info key that holds "train", "valid" or "test".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    parts: tuple[float, ...] = (0.9, 0.1)
    seed: Annotated[int, Field(ge=0)] = 0
    groups: str | None = None
    part_key: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_parts(cls, data: Any) -> Any:
        return {"parts": data} if isinstance(data, list | tuple) else data

    @model_validator(mode="after")
    def _possible(self) -> Self:
        check_parts(self.parts)
        return self


class LevelOptions(BaseModel):
    """Which level of theory each structure is of, where the energies of several have different zeros.

    Attributes:
        key: of `atoms.info`, whose value names the level.
        zero: the level whose energies stay as they are; that of most training structures if not given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    zero: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_key(cls, data: Any) -> Any:
        return {"key": data} if isinstance(data, str) else data


class DataOptions(BaseModel):
    """Which structures to learn from and to test on, and how to read them.

    Attributes:
        train: files or globs with training structures; relative to the folder that the command is called from.
        valid: files or globs with validation structures; without them some are split off the training files.
        test: files or globs with test structures.
        keys: names of labels in the files, see `invarion.read`.
        units: units of the files, see `invarion.read`.
        split: how to divide the training files where `valid` is absent.
        references: reference energies: "least_squares", "isolated", "zero", or element -> eV.
        levels: key of `atoms.info` that names the level of theory, where sets whose energies have different zeros are
            trained on together: they are brought to that of one level, see `invarion.data.levels.level_shifts`.

    Example:
        >>> DataOptions(train="data/*.extxyz", split=[0.8, 0.1, 0.1]).split.parts
        (0.8, 0.1, 0.1)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: Files
    valid: Files | None = None
    test: Files | None = None
    keys: dict[str, str | tuple[str, ...]] = {}
    units: dict[str, str] = {}
    split: SplitOptions = SplitOptions()
    references: References = "least_squares"
    levels: LevelOptions | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        search_for(self.keys, self.units)
        if self.valid is not None and self.split != SplitOptions():
            raise ConfigError("valid and split are both given, but there is one validation set: drop one")
        if self.test is not None and sum(self.split.parts[2:]) > 0:
            raise ConfigError("test and a third part of split are both given, but there is one test set: drop one")
        return self


class DataSets(NamedTuple):
    """The structures of a run.

    Attributes:
        train: training structures.
        valid: validation structures, perhaps none.
        test: test structures, perhaps none.
        tables: label table of the files of each section that names files ("train", "valid", "test").
    """

    train: list[Atoms]
    valid: list[Atoms]
    test: list[Atoms]
    tables: Mapping[str, LabelTable]


def read_sets(options: DataOptions) -> DataSets:
    """Read and split what a `data` section names.

    Args:
        options: the section.

    Returns:
        DataSets.

    Raises:
        DataError: a file or structure that cannot be used, or a split that cannot be met.
    """
    named = {"train": options.train, "valid": options.valid, "test": options.test}
    readings: dict[str, Reading] = {
        part: read_labelled(files, keys=options.keys, units=options.units) for part, files in named.items() if files
    }
    parts = {part: reading.atoms for part, reading in readings.items()}
    if options.valid is None:
        divided = _split_off(parts["train"], options)
        parts = {**divided._asdict(), **({"test": parts["test"]} if options.test else {})}
    if options.levels is not None:
        shifts = level_shifts(parts["train"], options.levels.key, options.levels.zero)
        for atoms in parts.values():
            shifts.apply(atoms)
    return DataSets(
        train=parts["train"],
        valid=parts["valid"],
        test=parts.get("test", []),
        tables={part: reading.table for part, reading in readings.items()},
    )


def _split_off(atoms: list[Atoms], options: DataOptions) -> Split:
    """Training, validation and test parts of the training files; isolated atoms stay where references need them."""
    how = options.split
    kept = [each for each in atoms if options.references == "isolated" and is_isolated(each)]
    rest = [each for each in atoms if options.references != "isolated" or not is_isolated(each)]
    parts = split(rest, how.parts, seed=how.seed, groups=how.groups, part_key=how.part_key)
    return parts._replace(train=[*parts.train, *kept])
