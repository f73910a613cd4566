"""A first config for given data: what `invarion init` writes, with comments that say what was seen."""

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike

from ase.data import chemical_symbols

from invarion.configuration.sight import Sight, look_at
from invarion.configuration.text import one_line
from invarion.data.files import Paths
from invarion.data.labels import TARGETS, Keys
from invarion.data.reading import read_labelled
from invarion.exceptions import DataError

_STEPS = 40_000
_BATCH = 8


def draft_config(paths: Paths, *, keys: Keys | None = None, units: Mapping[str, str] | None = None) -> str:
    """A commented config to begin with, from looking at the data.

    Args:
        paths: files or globs of training structures.
        keys: names of labels in the files, see `invarion.read`.
        units: units of the files, see `invarion.read`.

    Returns:
        YAML text that `parse_config` accepts.

    Raises:
        DataError: data that cannot be read, a single structure, or no label to train on.
    """
    reading = read_labelled(paths, keys=keys, units=units)
    if not reading.table.targets():
        reading.table.require(("energy",))
    if len(reading.atoms) < 2:
        raise DataError("there is one structure, and training needs two or more: one to train on and one to validate")
    names = [paths] if isinstance(paths, str | PathLike) else list(paths)
    seen = look_at(reading.atoms, reading.table)
    sections = (_data([str(name) for name in names], keys or {}, units or {}, seen), _model(seen), _training(seen))
    text = ["# A config for `invarion train`; every key is a Python argument of the same name.", ""]
    for section in sections:
        text += [*section, ""]
    return "\n".join([*text, *_output()]) + "\n"


def _data(names: Sequence[str], keys: Keys, units: Mapping[str, str], seen: Sight) -> Iterator[str]:
    yield "data:"
    yield f"  train: {one_line(names[0] if len(names) == 1 else list(names))}  # {_size(seen)}"
    yield "  # valid: FILE        # instead of splitting some off"
    yield "  # test: FILE         # never trained on; its errors end up in the report"
    yield "  split: {parts: [0.9, 0.1], seed: 0}  # groups: KEY keeps structures of one info key together"
    for line in str(seen.table).splitlines():
        yield f"  # {line}"
    yield f"  keys: {one_line(dict(keys))}  # for example {{energy: E_dft}}, where the labels have other names"
    yield f"  units: {one_line(dict(units) or _units(seen))}"
    if seen.table.labelled("energy"):
        yield f"  references: least_squares  # {_references(seen)}"
    else:
        yield "  references: zero  # there are no energies to fit any to"


def _model(seen: Sight) -> Iterator[str]:
    yield "model:"
    yield "  kind: hip_hop_nn  # or hip_nn, hip_nn_ts, ace"
    yield f"  cutoff: {seen.cutoff}  # Angstrom; {seen.neighbours:.0f} neighbours per atom"
    yield f"  # closest pairs: {_closest(seen)}"
    yield "  size: medium  # small: faster; large: slower, better far from these structures; numbers overrule it"
    yield "  n_sensitivities: 8"
    yield "  max_rank: 3"
    yield "  max_degree: 4"
    yield "  basis: optimal  # or published, flexible, separating"
    yield "  pair_potential: true  # fitted first, the network learns the rest; atoms repel at any distance"


def _training(seen: Sight) -> Iterator[str]:
    epochs = min(2000, max(20, round(_STEPS * _BATCH / seen.n_structures)))
    learned = [target for target in TARGETS if seen.table.labelled(target)]
    yield "training:"
    yield f"  # learned: {', '.join(learned)}; energy_weight, forces_weight, stress_weight change their balance"
    yield f"  max_epochs: {epochs}  # about {epochs * seen.n_structures // _BATCH} steps"
    yield "  max_minutes: null  # a number ends the run, and its schedule, in time"
    yield f"  batch_size: {_BATCH}"
    yield "  learning_rate: 0.001"
    yield "  seed: 0"


def _output() -> Iterator[str]:
    yield "output:"
    yield "  folder: run  # resolved config, log.csv, model.inv, last checkpoint, report.html"
    yield "  report: true"


def _size(seen: Sight) -> str:
    low, high = seen.sizes
    atoms = f"{low} atoms" if low == high else f"{low} to {high} atoms"
    kinds = zip(seen.periodic, ("crystals", "slabs or chains", "not periodic"), strict=True)
    where = ", ".join(f"{n} {kind}" for n, kind in kinds if n)
    return f"{seen.n_structures} structures of {atoms}, {_symbols(seen.species)}; {where}"


def _units(seen: Sight) -> dict[str, str]:
    """The units that the labels were read in."""
    return {row.target: row.unit for row in seen.table.rows if row.used and "," not in row.unit}


def _references(seen: Sight) -> str:
    if set(seen.isolated) == set(seen.species):
        return "or isolated: there is an isolated atom of every element"
    if seen.n_compositions < len(seen.species):
        return (
            f"rank {seen.n_compositions} of the compositions for {len(seen.species)} elements: energies of other "
            "compositions will mean nothing"
        )
    return "or isolated, zero, or a mapping such as {H: -13.6, O: -2041.8} in eV"


def _closest(seen: Sight) -> str:
    if not seen.closest:
        return f"none within {seen.cutoff} A"
    pairs = sorted(seen.closest.items(), key=lambda pair: pair[1])[:4]
    text = ", ".join(f"{chemical_symbols[a]}-{chemical_symbols[b]} {d:.2f} A" for (a, b), d in pairs)
    return text + ("; is the unit of length right?" if pairs[0][1] < 0.5 else "")


def _symbols(species: Sequence[int]) -> str:
    if len(species) > 12:
        return f"{len(species)} elements from {chemical_symbols[species[0]]} to {chemical_symbols[species[-1]]}"
    return " ".join(chemical_symbols[z] for z in species)
