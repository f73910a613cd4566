"""ASE: any potential as a calculator, with a neighbour list that is reused while the atoms move little."""

import os
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator as AseCalculator
from ase.calculators.calculator import PropertyNotImplementedError, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from invarion.checkpoint import load
from invarion.committees import members
from invarion.exceptions import DataError
from invarion.graphs import Graph
from invarion.neighbors import PairList, pair_list
from invarion.placement import floating_type, usable_device
from invarion.potential import Potential


class Calculator(AseCalculator):
    """A potential as ASE sees it: energy, free_energy, energies, forces and, for three-dimensional cells, stress.

    All properties of a structure come from one evaluation. `energies` are the atoms' shares and sum to `energy`;
    `free_energy` equals `energy`; `stress` is (xx, yy, zz, yz, xz, xy) in eV/Angstrom^3 with ASE's sign.

    A committee of two or more has `energy_spread` (eV) and `forces_spread` (N, 3) (eV/Angstrom), too: standard
    deviations over its members, at no further cost, in `atoms.calc.results` and from `atoms.calc.get_property`.

    Args:
        potential: a potential, of which a copy is made, or the path of a model file.
        device: where to compute; where the potential is, if not given.
        dtype: torch.float32 or torch.float64, or their names; that of the potential if not given.
        skin: Angstrom; the neighbour list is made anew when an atom has moved by more than half of it. It changes the
            speed and never a number; 0 makes a new list for every structure.
        kwargs: what ASE's Calculator takes.

    Raises:
        ModelFileError: the file is no model.
        ConfigError: a device that this machine does not have, or another floating type.

    >>> from ase.build import molecule
    >>> atoms = molecule("CH3CH2OH")
    >>> atoms.calc = Calculator("model.inv")  # doctest: +SKIP
    >>> atoms.get_forces().shape  # doctest: +SKIP
    (9, 3)
    """

    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress"]  # noqa: RUF012 (ASE's own form)
    ignored_changes = {"initial_charges", "initial_magmoms"}  # noqa: RUF012 (likewise)

    def __init__(
        self,
        potential: Potential | str | os.PathLike[str],
        device: torch.device | str | None = None,
        dtype: torch.dtype | str | None = None,
        skin: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= skin < float("inf"):
            raise DataError(f"skin is {skin}; give a distance in Angstrom, 0 or more")
        self.potential = _prepare(potential, device, dtype)
        self._members = members(self.potential)
        if len(self._members) > 1:
            self.implemented_properties = [*self.implemented_properties, "energy_spread", "forces_spread"]
        self.skin = float(skin)
        self._pairs: PairList | None = None

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Fill `results` for a structure; called by ASE.

        Args:
            atoms: the structure.
            properties: what is asked for; more is computed where it costs nothing.
            system_changes: what changed since the last call.

        Raises:
            PropertyNotImplementedError: stress without a three-dimensional cell.
            DataError: an element that the potential does not know, or a geometry that cannot be used.
        """
        super().calculate(atoms, list(properties), list(system_changes))
        structure = self.atoms if atoms is None else atoms
        if structure is None:
            raise DataError("calculate() got no structure; attach the calculator to one: atoms.calc = calculator")
        solid = bool(structure.pbc.all())
        if "stress" in properties and not solid:
            raise PropertyNotImplementedError(
                f"stress needs a cell that is periodic in three directions; pbc is {structure.pbc.tolist()}"
            )
        graph = self._graph(structure)
        each = [_results(member(graph, forces=True, stress=solid), solid) for member in self._members]
        self.results = each[0] if len(each) == 1 else _joined(each)

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        """What differs from the structure of the last results; exact, and faster than ASE's own on small systems.

        Args:
            atoms: a structure.
            tol: not used; any change counts.
        """
        last = self.atoms
        if last is None:
            return list(all_changes)
        pairs = {
            "positions": (last.positions, atoms.positions),
            "numbers": (last.numbers, atoms.numbers),
            "cell": (last.cell.array, atoms.cell.array),
            "pbc": (last.pbc, atoms.pbc),
        }
        return [name for name, (one, other) in pairs.items() if not np.array_equal(one, other)]

    def _graph(self, atoms: Atoms) -> Graph:
        if self._pairs is None or not self._pairs.covers(atoms):
            self._pairs = pair_list(atoms, self.potential.cutoff, self.skin)
        return self._pairs.graph(atoms, self.potential.dtype, self.potential.device)


def _prepare(
    potential: Potential | str | os.PathLike[str], device: torch.device | str | None, dtype: torch.dtype | str | None
) -> Potential:
    """A potential in evaluation mode, which later changes of the caller's own object do not reach."""
    if not isinstance(potential, Potential):
        return load(potential, device, dtype)
    found = deepcopy(potential).eval().to(floating_type(dtype or potential.dtype))
    return found.to(usable_device(device or potential.device))


def _results(prediction: Any, solid: bool) -> dict[str, Any]:
    energy = float(prediction.energy[0])
    results = {
        "energy": energy,
        "free_energy": energy,
        "energies": _numpy(prediction.energies),
        "forces": _numpy(prediction.forces),
    }
    if solid:
        results["stress"] = full_3x3_to_voigt_6_stress(_numpy(prediction.stress[0]))
    return results


def _joined(each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The results of a committee: the means of its members', and how far these lie apart."""
    values = {name: [results[name] for results in each] for name in each[0]}
    means = {name: np.mean(of_members, axis=0) for name, of_members in values.items()}
    return means | {f"{name}_spread": np.std(values[name], axis=0, ddof=1) for name in ("energy", "forces")}


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().cpu().numpy()
