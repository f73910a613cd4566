"""Tensors as the flat arrays that compiled loops take, and what every loop over edges needs to know about them."""

import numpy as np
import torch
from torch import Tensor

from invarion.models.kernels.edges import row_pointers


def numpy_dtype(tensor: Tensor) -> np.dtype:
    """The numpy type of a tensor's numbers."""
    return np.dtype(str(tensor.dtype).removeprefix("torch."))


def flat(tensor: Tensor) -> np.ndarray:
    """The tensor's own memory as a one-dimensional array; a copy only where the tensor is not contiguous.

    An expanded tensor, as a sum's slope is, could be flattened without a copy, but kernels step through memory.
    """
    own = tensor if tensor.is_contiguous() else tensor.contiguous()
    return own.detach().numpy().reshape(-1)  # numpy takes a view in a fifth of torch's time


def flatten(*tensors: Tensor) -> list[np.ndarray]:
    """`flat` of each."""
    return [flat(tensor) for tensor in tensors]


def empty_like(tensor: Tensor) -> Tensor:
    """A new contiguous tensor of the same shape: loops write into its own memory."""
    return torch.empty_like(tensor, memory_format=torch.contiguous_format)


def zeros_like(tensor: Tensor) -> Tensor:
    """The same, filled with zeros."""
    return torch.zeros_like(tensor, memory_format=torch.contiguous_format)


def pointers(centers: Tensor, neighbors: Tensor, n_atoms: int, n_rows: int) -> np.ndarray:
    """(N + 1,) where each atom's edges begin; refuses indices that would reach outside the arrays.

    Raises:
        IndexError: centers are not sorted, or an index is out of range.
    """
    starts = np.empty(n_atoms + 1, np.int64)
    if not row_pointers(flat(centers), flat(neighbors), n_rows, starts):
        raise IndexError(f"centers must be sorted and lie in 0..{n_atoms - 1}, neighbors in 0..{n_rows - 1}")
    return starts


def full_support(sensitivities: Tensor) -> Tensor:
    """(E, 2) int32: first and one past the last radial function that counts on each edge, where all do."""
    n_edges, n_radial = sensitivities.shape
    whole = torch.tensor([0, n_radial], dtype=torch.int32)
    return whole.expand(n_edges, 2).contiguous()
