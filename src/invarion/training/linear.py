"""`fit`: solve for the linear part of an ACE potential from labelled structures, streamed in blocks."""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from invarion.data.dataset import Labels, Sample, samples
from invarion.exceptions import ConfigError, DataError
from invarion.models.ace.design import VOIGT, Design, DesignBuilder
from invarion.models.ace.network import AceNetwork
from invarion.models.ace.perceptron import Mlp
from invarion.models.ace.readout import Embedding, Linear, Polynomial
from invarion.neighbors import place
from invarion.potential import Potential, Prediction
from invarion.training.blocks import Factor, factorise_blocks
from invarion.training.regression import Solution, solve_factor

if TYPE_CHECKING:
    from ase import Atoms


class FitOptions(BaseModel):
    r"""How to fit; rows are residuals :math:`w_E (\hat E - E) / \sqrt N`, :math:`w_F (\hat F - F)`, and for the
    strain derivative :math:`w_S (\hat W - W) / \sqrt N`, each times the weights of the structure.

    Attributes:
        method: "ridge", "bayesian_ridge", "ard" or "sparse"; see `solve_factor`.
        regularisation: strength of "ridge" on columns of unit norm; by generalised cross validation if None.
        smoothness: coefficients of functions, and of their products, may be as large as
            (sum of n - 1 and rank over slots, + 1 for each factor)^-smoothness; of all readouts but "embedding" and
            "kernel".
        energy_weight: 1/eV.
        forces_weight: Angstrom/eV.
        stress_weight: 1/eV.
        block_rows: about how many rows are held at once.
        scheduler: address of a Dask scheduler; in this process if None.
        folder: where finished blocks are kept, so that a killed fit goes on.
        progress: whether to show a bar on stderr.
        max_rounds: most Gauss-Newton steps of readout "embedding".
        tolerance: relative gain of a step below which they end.
        epochs: passes over the structures that train the hidden layers of readout "mlp" before its last layer and
            linear part are solved for; none by default.
        learning_rate: the largest of its steps (`Muon`; cosine schedule).
        weight_decay: decoupled decay of its matrices.
        batch_size: structures per step.
        seed: of the order of structures.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["ridge", "bayesian_ridge", "ard", "sparse"] = "bayesian_ridge"
    regularisation: NonNegativeFloat | None = None
    smoothness: NonNegativeFloat = 4.0
    energy_weight: NonNegativeFloat = 30.0
    forces_weight: NonNegativeFloat = 1.0
    stress_weight: NonNegativeFloat = 30.0
    block_rows: PositiveInt = 16_384
    scheduler: str | None = None
    folder: str | None = None
    progress: bool = False
    max_rounds: PositiveInt = 15
    tolerance: PositiveFloat = 1e-3
    epochs: Annotated[int, Field(ge=0)] = 0
    learning_rate: PositiveFloat = 4e-3
    weight_decay: NonNegativeFloat = 0.03
    batch_size: PositiveInt = 2
    seed: Annotated[int, Field(ge=0)] = 0


def fit(potential: Potential, train: "Sequence[Atoms]", options: FitOptions | None = None) -> Potential:
    """Solve for the coefficients of an ACE potential; its network becomes float64.

    Readouts that are linear in their coefficients (linear, polynomial, kernel, and mlp with hidden layers as they are)
    are solved in one step; "embedding" by Gauss-Newton steps, each of which is such a solve. The hidden layers of "mlp"
    are trained before if `epochs` says so (`invarion.training.network_fit`).

    Args:
        potential: of an `invarion.ace` config; changed in place.
        train: labelled structures (energies, forces, stress; what is absent is left out).
        options: see `FitOptions`.

    Returns:
        The same potential, in evaluation mode.

    Raises:
        ConfigError: another kind of model, or settings out of range.
        DataError: structures that cannot be used, or numbers that are not finite; names the frame.
    """
    solve(potential, train, options)
    return potential


def solve(potential: Potential, train: "Sequence[Atoms]", options: FitOptions | None = None) -> Solution:
    """`fit`, returning what is known about the coefficients: noise, covariance, rank, condition, evidence."""
    options = options or FitOptions()
    network = ace_network(potential)
    potential.double().eval()
    if any(type(readout) is Mlp for readout in network.readouts):
        from invarion.training.network_fit import train_hidden

        if options.epochs:
            train_hidden(potential, list(train), options)
    if any(type(readout) is Embedding for readout in network.readouts):
        from invarion.training.gauss_newton import solve_nonlinear

        return solve_nonlinear(potential, list(train), options)
    factor = design_factor(potential, list(train), options)
    if not factor.n_rows:
        raise DataError(
            "no structure has a label with a weight above 0, so there is nothing to fit; look at energy_weight, "
            "forces_weight and stress_weight, and at the structures' own weights"
        )
    if factor.n_rows < len(factor.triangle) - 1:
        logging.getLogger(__name__).warning(
            "%d labels for %d coefficients: the fit rests on its regularisation",
            factor.n_rows,
            len(factor.triangle) - 1,
        )
    solution = solve_factor(factor, options.method, options.regularisation, prior_sizes(network, options.smoothness))
    set_coefficients(network, solution.weights)
    return solution


def design_factor(potential: Potential, train: "list[Atoms]", options: FitOptions, folder: str | None = None) -> Factor:
    """The triangle of the rows of all structures, linearised at the coefficients that the potential has.

    Args:
        potential: in float64.
        train: labelled structures.
        options: weights, size of blocks, scheduler, progress.
        folder: where finished blocks are kept; that of the options if None.
    """
    blocks = _blocks(potential, train, options)
    n_columns = blocks[0].builder.n_columns + 1
    folder = folder or options.folder
    about = _key(potential, blocks, options) if folder else ""
    return factorise_blocks(blocks, n_columns, options.scheduler, folder, about, options.progress)


@dataclass(frozen=True)
class DesignBlock:
    """Makes the weighted rows [X | y] of some structures; sent to workers as it is.

    Attributes:
        potential: at the coefficients about which energies and forces are linearised.
        builder: of the design rows.
        atoms: structures.
        first: number of the first of them in the whole list, for messages.
        options: weights.
    """

    potential: Potential
    builder: DesignBuilder
    atoms: "tuple[Atoms, ...]"
    first: int
    options: FitOptions

    def __call__(self) -> np.ndarray:
        parts = samples(list(self.atoms), self.potential.cutoff)
        return np.concatenate([self._rows(sample, self.first + i) for i, sample in enumerate(parts)])

    def _rows(self, sample: Sample, number: int) -> np.ndarray:
        index = self.potential.species_index(sample.graph.species)
        has_stress = bool(torch.isfinite(sample.labels.stress).any()) and self.options.stress_weight > 0
        design = self.builder(sample.graph, index, strain=has_stress)
        fixed = self.potential(sample.graph, forces=True, stress=has_stress)
        rows = checked_rows(design, fixed, sample, self.options, place(self.atoms[number - self.first], number))
        # the right-hand side is what coefficients should give, not by how much they should change
        rows[:, -1] += rows[:, :-1] @ coefficients(ace_network(self.potential))
        return rows


def checked_rows(design: Design, fixed: Prediction, sample: Sample, options: FitOptions, where: str) -> np.ndarray:
    """`weighted_rows`, of numbers that are all finite; a prediction that is not would look like absent labels.

    Raises:
        DataError: some number is not finite; names the structure as `where`.
    """
    rows = weighted_rows(design, fixed, sample, options)
    if not (np.isfinite(rows).all() and bool(fixed.energy.isfinite().all()) and bool(fixed.forces.isfinite().all())):
        raise DataError(f"{where}: numbers that are not finite; look at its positions and labels")
    return rows


def weighted_rows(design: Design, fixed: Prediction, sample: Sample, options: FitOptions) -> np.ndarray:
    """(m, P + 1) rows [X | labels - fixed] of one structure; labels that are absent or weigh nothing make no row."""
    labels: Labels = sample.labels
    n = sample.graph.n_atoms
    weight = float(labels.weight)
    kinds = (
        (design.energy[None], labels.energy - fixed.energy, options.energy_weight / n**0.5, labels.energy_weight),
        (design.forces, (labels.forces - fixed.forces).reshape(-1), options.forces_weight, labels.forces_weight),
        _strain_rows(design, fixed, sample, options),
    )
    rows = []
    for matrix, target, size, own in kinds:
        known = torch.isfinite(target).numpy()
        factor = float(size) * weight * float(own)
        if factor > 0 and known.any():
            rows.append(factor * np.column_stack([matrix, target.double().numpy()])[known])
    return np.concatenate(rows) if rows else np.zeros((0, len(design.energy) + 1))


def _strain_rows(design: Design, fixed: Prediction, sample: Sample, options: FitOptions) -> tuple:
    volume, labels = sample.graph.volume, sample.labels
    stress = labels.stress if fixed.stress is None else labels.stress - fixed.stress
    target = torch.stack([volume[0] * stress[0, a, b] for a, b in VOIGT])
    matrix = design.strain if len(design.strain) else np.zeros((6, len(design.energy)))
    target = target if len(design.strain) else torch.full_like(target, float("nan"))
    return matrix, target, options.stress_weight / sample.graph.n_atoms**0.5, labels.stress_weight


def _blocks(potential: Potential, train: "list[Atoms]", options: FitOptions) -> list[DesignBlock]:
    """Consecutive structures, as many to a block as its rows allow."""
    if not train:
        raise DataError("there are no structures to fit to")
    network = ace_network(potential)
    builder = DesignBuilder(network.descriptor, list(network.readouts))
    limit = max(options.block_rows, 2 * builder.n_columns)
    blocks, waiting, rows, first = [], [], 0, 0
    for number, frame in enumerate(train):
        waiting.append(frame)
        rows += 3 * len(frame) + 7
        if rows >= limit or number == len(train) - 1:
            blocks.append(DesignBlock(potential, builder, tuple(waiting), first, options))
            waiting, rows, first = [], 0, number + 1
    return blocks


def prior_sizes(network: AceNetwork, smoothness: float) -> np.ndarray | None:
    """(P,) how large coefficients may be: less for functions, and products of them, that oscillate."""
    if smoothness == 0.0 or any(type(readout) not in (Linear, Polynomial, Mlp) for readout in network.readouts):
        return None
    sizes = [
        readout.totals(1.0 + torch.from_numpy(network.config.oscillations(functions)))
        for functions, readout in zip(network.basis.functions, network.readouts, strict=True)
    ]
    return torch.cat(sizes).numpy() ** -smoothness


def ace_network(potential: Potential) -> AceNetwork:
    """The potential's network.

    Raises:
        ConfigError: it is not one of ACE.
    """
    if not isinstance(potential.network, AceNetwork):
        raise ConfigError(
            "this potential is no ACE model: fit, and what says how far to trust a fit, are for these; others are "
            "trained (invarion.train), and committees of them say how far they agree (invarion.committees.spread)"
        )
    return potential.network


def coefficients(network: AceNetwork) -> np.ndarray:
    """(P,) all coefficients of all readouts, in the order of the design's columns."""
    return np.concatenate([w.detach().numpy().reshape(-1) for w in _solved_for(network)])


def _solved_for(network: AceNetwork) -> "list[torch.nn.Parameter]":
    return [weights for readout in network.readouts for weights in readout.coefficients()]


def set_coefficients(network: AceNetwork, values: np.ndarray) -> None:
    """Inverse of `coefficients`, in place."""
    start = 0
    with torch.no_grad():
        for weights in _solved_for(network):
            weights.copy_(torch.from_numpy(values[start : start + weights.numel()]).view_as(weights))
            start += weights.numel()


def _key(potential: Potential, blocks: Sequence[DesignBlock], options: FitOptions) -> str:
    """A fingerprint of all that the rows depend on: structures, labels, settings, radial coefficients."""
    digest = hashlib.sha256(ace_network(potential).config.model_dump_json().encode())
    weights = options.model_dump(include={"energy_weight", "forces_weight", "stress_weight", "block_rows"})
    digest.update(json.dumps(weights, sort_keys=True).encode())
    for tensor in potential.state_dict().values():
        digest.update(tensor.contiguous().numpy().tobytes())
    for block in blocks:
        for sample in samples(list(block.atoms), potential.cutoff):
            for field in (sample.graph.vectors, sample.graph.species, *sample.labels):
                digest.update(field.contiguous().numpy().tobytes())
    return digest.hexdigest()
