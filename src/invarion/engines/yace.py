"""Export to `.yace`, the file that LAMMPS' `pair_style pace` reads: linear and Finnis-Sinclair ACE models.

The format lists products of A-basis values in complex spherical harmonics with one coefficient per combination of m
(C-tilde). What it cannot express is refused with the reason. Every export is read back by our own reader, which
evaluates the file from its definition, and compared with the potential.
"""

import os
from itertools import product
from typing import NamedTuple

import numpy as np

from invarion.engines.yace_check import check_file
from invarion.exceptions import ConfigError
from invarion.files import write_atomically
from invarion.geometry.couplings import complex_from_real, coupling_table
from invarion.models.ace.enumeration import Coupled, Slot
from invarion.models.ace.network import AceNetwork
from invarion.models.ace.plan import Half, halves
from invarion.models.ace.readout import Embedding, Linear
from invarion.potential import Potential

_SPLINE_BINS = 0.001  # Angstrom: the evaluator's splines are then right to 1e-12 eV/A


class YaceReport(NamedTuple):
    """What an export amounts to.

    Attributes:
        path: the file.
        n_functions: entries with their own product of A-basis values, over all elements.
        energy_deviation: largest |difference| between file and potential in the self-check, eV.
        forces_deviation: the same for force components, eV/Angstrom.
        lammps: lines of a LAMMPS input that use the file, the repulsive core included.
    """

    path: str
    n_functions: int
    energy_deviation: float
    forces_deviation: float
    lammps: tuple[str, ...]


def export_yace(potential: Potential, path: str | os.PathLike[str], check: bool = True) -> YaceReport:
    """Write an ACE potential for `pair_style pace`, and check the file against the potential.

    Args:
        potential: of an `invarion.ace` config with readout "linear" or "embedding".
        path: usually ends in `.yace`.
        check: whether to read the file back and compare energies and forces on random structures.

    Returns:
        YaceReport: deviations, and the lines for a LAMMPS input.

    Raises:
        ConfigError: a model that the format cannot express; says why.
        InvarionError: the file does not reproduce the potential (a mistake of ours), or cannot be written.

    References:
        Y. Lysogorskiy et al., npj Comput. Mater. 7, 97 (2021).
    """
    network = _expressible(potential)
    entries = [_entries(potential, network, element) for element in range(len(potential.species))]
    lammps = _lammps_lines(potential, network, os.fspath(path))
    write_atomically(path, _text(potential, network, entries, lammps))
    deviations = check_file(potential, path) if check else (float("nan"), float("nan"))
    return YaceReport(os.fspath(path), sum(map(len, entries)), *deviations, lammps)


def _expressible(potential: Potential) -> AceNetwork:
    """The network, if the format can say what it computes."""
    network = potential.network
    if not isinstance(network, AceNetwork):
        raise ConfigError(f".yace holds ACE models; this is a {getattr(potential.config, 'kind', 'different')} model")
    for readout in network.readouts:
        if type(readout) not in (Linear, Embedding):
            name = type(readout).__name__.lower()
            raise ConfigError(
                f'.yace holds linear and Finnis-Sinclair models; the readout "{name}" is neither: '
                'use readout "linear" or "embedding", or another export'
            )
    return network


class Entry(NamedTuple):
    """One product of A-basis values of one element: slots, combinations of m, and a coefficient per density."""

    slots: tuple[Slot, ...]
    orders: np.ndarray
    coefficients: np.ndarray


def _entries(potential: Potential, network: AceNetwork, element: int) -> list[Entry]:
    """All products of one element; functions with equal slots share one."""
    weights = _densities(potential, network, element)
    first: dict[tuple[Slot, ...], np.ndarray] = {}
    total: dict[tuple[Slot, ...], dict[tuple[int, ...], np.ndarray]] = {}
    for function, weight in zip(network.basis.functions[element], weights.T, strict=True):
        if function.degree == 1:
            _add_scalar(first, network, element, function.slots[0], weight)
            continue
        orders = total.setdefault(function.slots, {})
        for key, value in complex_coefficients(function).items():
            orders[key] = orders.get(key, 0.0) + value * weight
    scalars = [Entry(slots, np.zeros((1, 1), int), value[None]) for slots, value in sorted(first.items())]
    return scalars + [
        Entry(slots, np.array(sorted(orders)), np.array([orders[key] for key in sorted(orders)]))
        for slots, orders in total.items()
        if any(np.any(value != 0.0) for value in orders.values())
    ]


def _densities(potential: Potential, network: AceNetwork, element: int) -> np.ndarray:
    """(densities, B) coefficients in eV; the first density is linear."""
    readout = list(network.readouts)[element]
    scale = float(potential.scale)
    rows = [scale * readout.weight.detach().double().numpy()]
    if isinstance(readout, Embedding):
        if scale != 1.0:
            raise ConfigError(f"the potential's scale is {scale}; an embedding can be exported with scale 1 only")
        rows += list(readout.densities.detach().double().numpy())
    return np.array(rows)


def _add_scalar(total: dict, network: AceNetwork, element: int, slot: Slot, weight: np.ndarray) -> None:
    """A degree-1 function is a sum over the family's own functions, which the format counts from 1."""
    for k, value in enumerate(_family_coefficients(network, element, slot)):
        if value != 0.0:
            key = (Slot(slot.species, k + 1, 0),)
            total[key] = total.get(key, 0.0) + value * weight


def _family_coefficients(network: AceNetwork, element: int, slot: Slot) -> np.ndarray:
    """(K,) coefficients of a radial function over the family's functions."""
    radial = network.descriptor.radial
    q = radial.radials.index((slot.n, slot.rank))
    return (radial.coefficients[element, slot.species, q].double() @ radial.smooth.double()).numpy()


def complex_coefficients(function: Coupled) -> dict[tuple[int, ...], float]:
    """A function as a sum over products of complex A-basis values, {(m of each slot): coefficient}.

    The complex values use spherical harmonics times sqrt(4 pi), with Condon-Shortley phases, as the format does; ours
    are real and have squared norm l!/(2l-1)!!.

    >>> from invarion.models.ace.enumeration import Slot
    >>> complex_coefficients(Coupled((Slot(0, 1, 1), Slot(0, 1, 1)), 0))
    {(-1, 1): -0.33..., (0, 0): 0.33..., (1, -1): -0.33...}
    """
    left, right = (_half_tensor(half) for half in halves(function))
    tensor = np.tensordot(left, right, axes=(-1, -1))
    for axis, slot in enumerate(function.slots):
        matrix = _norm(slot.rank) * complex_from_real(slot.rank).conj()
        tensor = np.moveaxis(np.tensordot(matrix, tensor, axes=(1, axis)), 0, axis)
    found = {}
    for place in zip(*np.nonzero(np.abs(tensor) > 1e-13), strict=True):
        key = tuple(int(i) - slot.rank for i, slot in zip(place, function.slots, strict=True))
        found[key] = float(np.real(tensor[place]))
    return found


def _half_tensor(half: Half) -> np.ndarray:
    """Coupling of a half's slots, the coupled component last."""
    if not half.slots:
        return np.ones(1)
    if len(half.slots) == 1:
        return np.eye(2 * half.rank + 1)
    return coupling_table(half.slots[0].rank, half.slots[1].rank, half.rank)


def _norm(rank: int) -> float:
    """Our harmonics over sqrt(4 pi) times the orthonormal ones."""
    squared = np.prod([k / (2 * k - 1) for k in range(1, rank + 1)])
    return float(np.sqrt(squared / (2 * rank + 1)))


def _text(potential: Potential, network: AceNetwork, entries: list[list[Entry]], lammps: tuple[str, ...]) -> str:
    from ase.data import chemical_symbols

    symbols = [chemical_symbols[z] for z in potential.species]
    densities = len(entries[0][0].coefficients[0])
    powers = ", ".join(["1, 1", *["1, 0.5"] * (densities - 1)])
    lines = ["# ACE potential written by invarion; in a LAMMPS input:", *(f"#   {line}" for line in lammps)]
    lines += [f"elements: [{', '.join(symbols)}]", f"E0: {_numbers(potential.references.tolist())}"]
    lines += [f"deltaSplineBins: {_SPLINE_BINS}", "embeddings:"]
    lines += [
        f"  {s}: {{ndensity: {densities}, FS_parameters: [{powers}], npoti: FinnisSinclairShiftedScaled, "
        "rho_core_cutoff: 200000, drho_core_cutoff: 250}"
        for s in range(len(symbols))
    ]
    lines.append("bonds:")
    lines += [f"  [{a}, {b}]: {_bond(network, a, b)}" for a, b in product(range(len(symbols)), repeat=2)]
    lines.append("functions:")
    for element, rows in enumerate(entries):
        lines.append(f"  {element}:")
        lines += [f"    - {_function(element, entry)}" for entry in rows]
    return "\n".join(lines) + "\n"


def _bond(network: AceNetwork, a: int, b: int) -> str:
    """Radial functions of one pair of elements; tables over n and l are filled up with zeros."""
    radial = network.descriptor.radial
    used = {(s.n, s.rank) for functions in network.basis.functions for f in functions if f.degree > 1 for s in f.slots}
    n_radial, max_rank = max((n for n, _ in used), default=0), max((rank for _, rank in used), default=0)
    n_family = radial.smooth.shape[1]
    table = np.zeros((n_radial, max_rank + 1, n_family))
    for n, rank in used:
        table[n - 1, rank] = _family_coefficients(network, a, Slot(b, n, rank))
    inner, width = radial.inner
    nested = "[" + ", ".join("[" + ", ".join(_numbers(row) for row in rows) + "]" for rows in table.tolist()) + "]"
    fields = {
        "nradmax": n_radial,
        "lmax": max_rank,
        "nradbasemax": n_family,
        "radbasename": radial.family,
        "radparameters": f"[{radial.parameter!r}]",
        "radcoefficients": nested,
        "prehc": 0,
        "lambdahc": 1,
        "rcut": repr(float(radial.cutoffs[a, b])),
        "dcut": 1e-6,
        "rcut_in": inner,
        "dcut_in": width,
        "inner_cutoff_type": "distance",
    }
    return "{" + ", ".join(f"{key}: {value}" for key, value in fields.items()) + "}"


def _function(element: int, entry: Entry) -> str:
    fields = {
        "mu0": element,
        "rank": len(entry.slots),
        "ndensity": entry.coefficients.shape[1],
        "num_ms_combs": len(entry.orders),
        "mus": [slot.species for slot in entry.slots],
        "ns": [slot.n for slot in entry.slots],
        "ls": [slot.rank for slot in entry.slots],
        "ms_combs": entry.orders.reshape(-1).tolist(),
        "ctildes": _numbers(entry.coefficients.reshape(-1).tolist()),
    }
    return "{" + ", ".join(f"{key}: {value}" for key, value in fields.items()) + "}"


def _numbers(values: list[float]) -> str:
    return "[" + ", ".join(repr(float(value)) for value in values) + "]"


def _lammps_lines(potential: Potential, network: AceNetwork, path: str) -> tuple[str, ...]:
    """How a LAMMPS input uses the file; a repulsive core is a second style on top."""
    from ase.data import chemical_symbols

    symbols = " ".join(chemical_symbols[z] for z in potential.species)
    name = os.path.basename(path)
    if potential.pairs is None:
        return ("pair_style pace", f"pair_coeff * * {name} {symbols}")
    core = [
        f"pair_coeff {i + 1} {j + 1} zbl {z1} {z2}"
        for i, z1 in enumerate(potential.species)
        for j, z2 in enumerate(potential.species)
        if i <= j
    ]
    inner, outer = network.config.core_range(potential.species)
    style = f"pair_style hybrid/overlay pace zbl {inner} {outer}"
    return (style, f"pair_coeff * * pace {name} {symbols}", *core)
