"""Hidden layers of an ACE potential's network, trained on what its linear part leaves over, on tables of functions."""

import copy
import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from invarion.data.dataset import Sample, samples
from invarion.exceptions import ConfigError
from invarion.models.ace.design import VOIGT, Design
from invarion.models.ace.perceptron import Mlp
from invarion.models.ace.tables import Table, Tabulator
from invarion.neighbors import place
from invarion.potential import Potential, Prediction
from invarion.training.blocks import Factor, factorise, merge
from invarion.training.linear import (
    FitOptions,
    ace_network,
    checked_rows,
    coefficients,
    set_coefficients,
)
from invarion.training.muon import Muon
from invarion.training.regression import solve_factor

if TYPE_CHECKING:
    from ase import Atoms

_MOST_BYTES = 12 << 30
_EMA = 0.998  # decay per step of the averaged weights, which are kept
_WARMUP = 50  # steps
_FINAL = 0.01  # part of the largest learning rate at the end


class _Task(NamedTuple):
    """One structure: a table per element, what the linear part leaves over, and the weights of squares, 0 if unknown.

    energy () eV, forces (N, 3) eV/Angstrom and strain (3, 3) eV, each followed by its weight.
    """

    tables: list[Table]
    energy: Tensor
    energy_weight: Tensor
    forces: Tensor
    forces_weight: Tensor
    strain: Tensor
    strain_weight: Tensor


def train_hidden(potential: Potential, train: "list[Atoms]", options: FitOptions) -> None:
    """Solve for the linear part alone, then train the networks on the rest, by Muon with a cosine schedule.

    Radial functions stay as they are, so that functions and their derivatives are computed once, and an epoch is
    hardly more than one product with them. Averaged weights of the last steps are kept: what keeps a network from
    learning structures by heart is the smoothness of its inputs (`Mlp`), and no structure is lost to validation.

    Args:
        potential: with readout "mlp", in float64; changed in place. Networks start at zero.
        train: labelled structures.
        options: energy, forces and stress weights of both parts; method of the linear one; epochs, learning_rate,
            weight_decay, batch_size and seed of the networks'.

    Raises:
        ConfigError: tables that would take more than 12 GB.
        DataError: numbers that are not finite; names the frame.
    """
    network = ace_network(potential)
    readouts = [readout for readout in network.readouts if isinstance(readout, Mlp)]
    set_coefficients(network, np.zeros(len(coefficients(network))))
    tasks, factor = _tabulate(potential, train, options)
    sizes = [1.0 + network.config.oscillations(functions) for functions in network.basis.functions]
    solution = solve_factor(
        factor, options.method, options.regularisation, np.concatenate(sizes) ** -options.smoothness
    )
    parts = torch.from_numpy(solution.weights).split([len(readout.weight) for readout in readouts])
    for readout, part in zip(readouts, parts, strict=True):
        readout.weight.data.copy_(part)
    tasks = [_less_linear(task, readouts) for task in tasks]
    known = sum(float((task.forces_weight > 0).sum()) for task in tasks)
    rest = math.sqrt(sum(float(_squares(task, None)) for task in tasks) / max(1.0, known))
    if rest > 0:
        _train(readouts, tasks, rest, options)


def _tabulate(potential: Potential, train: "list[Atoms]", options: FitOptions) -> tuple[list[_Task], Factor]:
    """Tables of all structures with what cores and networks leave over, and the triangle of their linear rows."""
    network, parts = ace_network(potential), samples(train, potential.cutoff)
    _check_size(parts, max(map(len, network.basis.functions)))
    tabulator = Tabulator(network.descriptor)
    width = 1 + sum(map(len, network.basis.functions))
    tasks, waiting, factor = [], [], Factor(np.zeros((width, width)), 0)
    for number, sample in enumerate(parts):
        index = potential.species_index(sample.graph.species)
        tables = tabulator(sample.graph, index)
        has_stress = bool(torch.isfinite(sample.labels.stress).any()) and options.stress_weight > 0
        fixed = potential(sample.graph, forces=True, stress=has_stress)
        design = _design(tables, sample.graph.n_atoms, has_stress)
        rows = checked_rows(design, fixed, sample, options, place(train[number], number))
        waiting.append(rows)
        if sum(map(len, waiting)) >= max(options.block_rows, 2 * width) or number == len(parts) - 1:
            factor, waiting = merge(factor, factorise(np.concatenate(waiting))), []
        tasks.append(_task(tables, sample, fixed, options))
    return tasks, factor


def _task(tables: list[Table], sample: Sample, fixed: Prediction, options: FitOptions) -> _Task:
    labels, n = sample.labels, sample.graph.n_atoms
    stress = labels.stress[0] - (0.0 if fixed.stress is None else fixed.stress[0])
    energy_weight, stress_weight = options.energy_weight / n**0.5, options.stress_weight / n**0.5
    return _Task(
        tables,
        *_known(labels.energy[0] - fixed.energy[0], labels.weight * labels.energy_weight * energy_weight),
        *_known(labels.forces - fixed.forces, labels.weight * labels.forces_weight * options.forces_weight),
        *_known(stress * sample.graph.volume[0], labels.weight * labels.stress_weight * stress_weight),
    )


def _check_size(parts: Sequence[Sample], n_functions: int) -> None:
    size = 0
    for graph, _ in parts:
        most = int(torch.bincount(graph.centers, minlength=1).max()) if len(graph.centers) else 1
        size += 12 * graph.n_atoms * most * n_functions
    if size > _MOST_BYTES:
        raise ConfigError(
            f"derivatives of {n_functions} functions of these structures take {size / 2**30:.0f} GB; allowed are "
            f"{_MOST_BYTES >> 30}: take fewer functions or structures, or inv.train, which keeps none"
        )


def _design(tables: list[Table], n_atoms: int, strain: bool) -> Design:
    """The linear rows of a structure."""
    energy = torch.cat([table.invariants.sum(0) for table in tables])
    forces, strains = zip(*(table.rows(n_atoms) for table in tables), strict=True)
    each = torch.cat(strains, 2)
    voigt = torch.stack([each[a, b] for a, b in VOIGT]) if strain else each.new_zeros(0, each.shape[2])
    return Design(energy.numpy(), torch.cat(forces, 2).flatten(0, 1).double().numpy(), voigt.double().numpy())


def _known(target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """A label with zeros where it is absent, and the weight of its squares, zero there."""
    known = torch.isfinite(target)
    return torch.where(known, target, 0.0).float(), known.float() * float(weight) ** 2


def _less_linear(task: _Task, readouts: list[Mlp]) -> _Task:
    """The same task less what the linear part says."""
    energy, forces, strain = task.energy, task.forces, task.strain
    for table, readout in zip(task.tables, readouts, strict=True):
        weight = readout.weight.detach()
        pulled, strained = table.pull(weight.float().expand(len(table.atoms), -1), len(forces))
        energy = energy - (table.invariants @ weight).sum().float()
        forces, strain = forces - pulled, strain - strained
    return task._replace(energy=energy, forces=forces, strain=strain)


def _train(readouts: list[Mlp], tasks: list[_Task], unit: float, options: FitOptions) -> None:
    """Train float32 copies of the networks whose output is in `unit`s of energy, and put their averages in place."""
    learners = [copy.deepcopy(readout).float() for readout in readouts]
    for learner in learners:
        learner.last.weight.data /= unit
    weights = [p for learner in learners for p in learner.layers.parameters()]
    averages = [p.detach().clone() for p in weights]
    optimizer = Muon(weights, lr=options.learning_rate, weight_decay=options.weight_decay)
    generator = torch.Generator().manual_seed(options.seed)
    n_batches = -(-len(tasks) // options.batch_size)
    step, total, typical = 0, options.epochs * n_batches, math.inf
    for epoch in range(options.epochs):
        loss = 0.0
        for batch in torch.randperm(len(tasks), generator=generator).split(options.batch_size):
            fall = _FINAL + (1.0 - _FINAL) * 0.5 * (1.0 + math.cos(math.pi * step / total))
            for group in optimizer.param_groups:
                group["lr"] = options.learning_rate * min(1.0, (step + 1) / _WARMUP) * fall
            chosen = [tasks[i] for i in batch.tolist()]
            known = sum(float((task.forces_weight > 0).sum()) for task in chosen)
            squares = torch.stack([_squares(task, learners, unit) for task in chosen]).sum()
            optimizer.zero_grad()
            (squares / (max(1.0, known) * unit**2)).backward()
            typical = _clip(weights, typical)
            optimizer.step()
            step, loss = step + 1, loss + float(squares.detach())
            # the average forgets its beginning at first
            torch._foreach_lerp_(averages, [p.detach() for p in weights], 1.0 - min(_EMA, step / (step + 9.0)))
        logging.getLogger(__name__).info("epoch %d of %d: weighted squares %.6g", epoch + 1, options.epochs, loss)
    with torch.no_grad():
        for weight, average in zip(weights, averages, strict=True):
            weight.copy_(average)
    for readout, learner in zip(readouts, learners, strict=True):
        learner.last.weight.data *= unit
        readout.layers.load_state_dict(learner.layers.state_dict())


def _clip(weights: list[torch.nn.Parameter], typical: float) -> float:
    """Hold slopes to twice their typical length, and say what is typical now: a few structures with large forces
    would otherwise lead the momentum for many steps."""
    length = float(torch.nn.utils.clip_grad_norm_(weights, 2.0 * typical))
    return length if math.isinf(typical) else typical + 0.05 * (min(length, 2.0 * typical) - typical)


def _squares(task: _Task, learners: list[Mlp] | None, unit: float = 1.0) -> Tensor:
    """Weighted squares of what the networks leave over of a task; of all of it without networks."""
    energy, forces, strain = task.energy, task.forces, task.strain
    for table, learner in zip(task.tables, learners or [], strict=False):
        invariants = table.invariants.float().requires_grad_()
        found = learner.correction(invariants).sum() * unit
        (slopes,) = torch.autograd.grad(found, invariants, create_graph=True)
        pulled, strained = table.pull(slopes, len(forces))
        energy, forces, strain = energy - found, forces - pulled, strain - strained
    squares = (task.energy_weight * energy.square()).sum() + (task.forces_weight * forces.square()).sum()
    return squares + (task.strain_weight * strain.square()).triu().sum()
