"""Fused kernels for the processor, compiled by numba on first use and cached; imported only where numba is present."""
