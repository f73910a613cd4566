"""Optimised geometry and Hessian of (trans) ethanol at the level of rMD17: PBE / def2-SVP.

Needs pyscf (pip install pyscf); writes ethanol_pbe.json beside this file in some minutes of one core. Before that it
compares energy and forces of a frame of rMD17 with its labels, so that the level is seen to be the same.

    python benchmarks/references/ethanol_pbe.py examples/ethanol/test.extxyz
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from ase.build import molecule
from ase.calculators.calculator import Calculator
from ase.io import read
from ase.optimize import BFGS
from ase.units import Bohr, Hartree
from pyscf import dft, gto


def level(atoms):
    """Converged Kohn-Sham object."""
    symbols = atoms.get_chemical_symbols()
    molecule_ = gto.M(atom=list(zip(symbols, atoms.positions, strict=True)), basis="def2-svp", verbose=0)
    field = dft.RKS(molecule_)
    field.xc, field.grids.level, field.conv_tol = "pbe", 5, 1e-10
    field.kernel()
    return field


class Pbe(Calculator):
    """Energies and forces for the optimiser."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        field = level(self.atoms)
        gradient = field.nuc_grad_method()
        gradient.grid_response = True
        self.results = {"energy": field.e_tot * Hartree, "forces": -gradient.kernel() * Hartree / Bohr}


def main() -> None:
    """Check the level, optimise, differentiate twice, write."""
    frame = read(sys.argv[1], 0)
    known = frame.get_potential_energy(), frame.get_forces()
    frame.calc = Pbe()
    print(f"energy - label: {frame.get_potential_energy() - known[0]:.5f} eV")
    print(f"largest difference of a force: {1e3 * np.abs(frame.get_forces() - known[1]).max():.2f} meV/A")
    atoms = molecule("CH3CH2OH")
    atoms.calc = Pbe()
    BFGS(atoms).run(fmax=1e-3)
    blocks = level(atoms).Hessian().kernel() * Hartree / Bohr**2
    result = {
        "level": "PBE / def2-SVP",
        "program": f"pyscf {version('pyscf')}",
        "numbers": atoms.numbers.tolist(),
        "positions_A": atoms.positions.round(6).tolist(),
        "hessian_eV_per_A2": blocks.transpose(0, 2, 1, 3).reshape(3 * len(atoms), -1).round(6).tolist(),
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
