"""What contestants share: inputs as arrays, a loss of energies and forces, a step of inference or of training."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch


def inputs(case: dict) -> dict[str, np.ndarray]:
    """Atoms and pairs of the case's structure, as `structures.py` wrote them."""
    with np.load(case["structure"]) as file:
        return {name: file[name] for name in file.files}


def steps(
    case: dict,
    model: torch.nn.Module,
    evaluate: Callable[[bool], tuple[torch.Tensor, torch.Tensor]],
    atoms_per_system: float,
) -> Callable[[], Any]:
    """One step: energies and forces, or a training step on random labels (both losses, backward, Adam).

    Args:
        case: its "mode" says which.
        model: whose weights are trained.
        evaluate: energies (S,) and forces (N, 3); its argument says whether they are differentiated further.
        atoms_per_system: by which energies are divided in the loss.
    """
    torch.set_num_threads(case["threads"])
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=1e-4)
    if case["mode"] == "infer":
        return lambda: [t.detach() for t in evaluate(False)]
    generator = torch.Generator().manual_seed(1)
    labels = [torch.randn(t.shape, generator=generator, dtype=torch.float64) for t in evaluate(False)]

    def train() -> None:
        optimizer.zero_grad()
        energy, forces = evaluate(True)
        loss = ((energy - labels[0].to(energy.dtype)) / atoms_per_system).square().mean()
        loss = loss + (forces - labels[1].to(forces.dtype)).square().mean()
        loss.backward(inputs=weights)
        optimizer.step()

    return train


def facts(model: torch.nn.Module, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Sizes that go into the results."""
    n_weights = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return {"n_atoms": len(arrays["numbers"]), "n_pairs": len(arrays["centers"]), "n_weights": n_weights}
