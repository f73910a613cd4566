"""A straight-line program as few large torch operations, for compilers that cannot run Python (TorchScript)."""

import torch
from torch import Tensor, nn

from invarion.invariants.straightline import LINEAR, ZERO, Program


class ProgramLevels(nn.Module):
    """A program by levels: all scalars that need only earlier levels at once, as gather, multiply, add up.

    The same numbers as the program to rounding, differentiable as often as wanted, several times slower than the
    program row by row.

    Args:
        program: what to compute.
    """

    def __init__(self, program: Program) -> None:
        super().__init__()
        levels, places = _sorted_levels(program)
        one = program.n_inputs  # scalar n_inputs is the number one, so that linear terms are products too
        for number, rows in enumerate(levels):
            terms = [
                (k, places[a], one if b == LINEAR else places[b], c) for k, row in enumerate(rows) for c, a, b in row
            ]
            target, left, right, factor = zip(*terms, strict=True)
            for name, values in (("target", target), ("left", left), ("right", right)):
                self.register_buffer(f"{name}{number}", torch.tensor(values), persistent=False)
            self.register_buffer(f"factor{number}", torch.tensor(factor, dtype=torch.float64), persistent=False)
        self.kept: Tensor
        self.present: Tensor
        self.counts = [len(rows) for rows in levels]
        kept = [places[i] if i != ZERO else one for i in program.outputs]
        self.register_buffer("kept", torch.tensor(kept), persistent=False)
        vanishing = torch.tensor([0.0 if i == ZERO else 1.0 for i in program.outputs], dtype=torch.float64)
        self.register_buffer("present", vanishing, persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, inputs, C) in, (N, outputs, C) out."""
        values = torch.cat([inputs, torch.ones_like(inputs[:, :1])], dim=1)
        buffers = dict(self.named_buffers())
        for number, count in enumerate(self.counts):
            factor = buffers[f"factor{number}"].to(inputs.dtype)[:, None]
            products = factor * values[:, buffers[f"left{number}"]] * values[:, buffers[f"right{number}"]]
            empty = torch.zeros(inputs.shape[0], count, inputs.shape[2], dtype=inputs.dtype, device=inputs.device)
            values = torch.cat([values, empty.index_add(1, buffers[f"target{number}"], products)], dim=1)
        return values[:, self.kept] * self.present.to(inputs.dtype)[:, None]


def _sorted_levels(program: Program) -> tuple[list[list[tuple]], dict[int, int]]:
    """Rows by level, and where each scalar stands when the inputs, the number one and the levels lie end to end."""
    depth = dict.fromkeys(range(LINEAR, program.n_inputs), 0)
    levels: list[list[int]] = []
    for k, row in enumerate(program.rows):
        level = max(max(depth[t.left], depth[t.right]) for t in row)
        depth[program.n_inputs + k] = level + 1
        levels += [[]] * (level + 1 - len(levels))
        levels[level] = [*levels[level], k]
    order = [k for rows in levels for k in rows]
    places = {i: i for i in range(program.n_inputs)}
    places |= {program.n_inputs + k: program.n_inputs + 1 + p for p, k in enumerate(order)}
    return [[program.rows[k] for k in rows] for rows in levels], places
