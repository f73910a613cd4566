"""Arithmetic for contractions: real numbers, and integers modulo a large prime, behind one interface."""

from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Protocol

import numpy as np

from invarion.exceptions import CertificateError
from invarion.geometry.stretched import metric_modulo, split_table, split_table_modulo

PRIME_LIMIT = 2**28
"""Primes stay below: then a product of two residues is below 2^56, and 127 of them can be summed in int64."""

PRIMES = (268435399, 268435367, 268435361)
"""The largest primes below 2^28."""

_SAFE_TERMS = 127
_LIMB = 14  # bits: residues are cut into two limbs so that 2^11 products are summed exactly in float64
_SAFE_INNER = 1 << (53 - 28 - _LIMB)


class Field(Protocol):
    """What evaluating a contraction needs of its numbers."""

    @property
    def dtype(self) -> type:
        """Type of the numbers."""
        ...

    def table(self, rank: int, bundles: tuple[int, ...], lowered: tuple[bool, ...]) -> np.ndarray:
        """(2l+1, 2k1+1, ..., 2kr+1): coordinates of a tensor to its split components, some indices lowered."""
        ...

    def einsum(self, spec: str, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Einsum of two operands."""
        ...

    def matmul(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Matrix product."""
        ...

    def normal(self, numbers: np.ndarray) -> np.ndarray:
        """Numbers in standard form after additions."""
        ...


@dataclass(frozen=True)
class Reals:
    """float64 numbers and orthonormal components."""

    dtype: type = np.float64

    def table(self, rank: int, bundles: tuple[int, ...], lowered: tuple[bool, ...]) -> np.ndarray:
        """Orthonormal components need no metric."""
        return split_table(rank, bundles)

    def einsum(self, spec: str, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Plain einsum."""
        return np.einsum(spec, left, right)

    def matmul(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Plain matrix product."""
        return left @ right

    def normal(self, numbers: np.ndarray) -> np.ndarray:
        """Nothing to do."""
        return numbers


@dataclass(frozen=True)
class PrimeField:
    """Integers modulo a prime below 2^28, residues 0..p-1 in int64, and integer harmonic coordinates.

    Attributes:
        prime: the modulus.

    Raises:
        CertificateError: the modulus is not a prime between 2^20 and 2^28.
    """

    prime: int
    dtype: type = np.int64

    def __post_init__(self) -> None:
        """Refuse a modulus for which the arithmetic or the proofs would not hold."""
        if not (2**20 < self.prime < PRIME_LIMIT and is_prime(self.prime)):
            raise CertificateError(f"{self.prime} is not a prime between 2^20 and 2^28")

    def table(self, rank: int, bundles: tuple[int, ...], lowered: tuple[bool, ...]) -> np.ndarray:
        """Split in integer harmonic coordinates."""
        return _lowered_table(rank, bundles, lowered, self.prime)

    def einsum(self, spec: str, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Einsum of residues; long sums are done limb by limb."""
        if _terms(spec, left, right) <= _SAFE_TERMS:
            return np.einsum(spec, left, right) % self.prime
        high, low = np.einsum(spec, left >> _LIMB, right), np.einsum(spec, left & ((1 << _LIMB) - 1), right)
        return ((high % self.prime << _LIMB) + low) % self.prime

    def matmul(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Product of residue matrices, exact through float64 products of 14-bit limbs."""
        total = np.zeros((left.shape[0], right.shape[1]), dtype=np.int64)
        for start in range(0, left.shape[1], _SAFE_INNER):
            part = slice(start, start + _SAFE_INNER)
            factor = right[part].astype(np.float64)
            high = ((left[:, part] >> _LIMB).astype(np.float64) @ factor).astype(np.int64) % self.prime
            low = ((left[:, part] & ((1 << _LIMB) - 1)).astype(np.float64) @ factor).astype(np.int64)
            total += ((high << _LIMB) + low) % self.prime
        return total % self.prime

    def normal(self, numbers: np.ndarray) -> np.ndarray:
        """Residues 0..p-1."""
        return numbers % self.prime

    def inverse(self, value: int) -> int:
        """Multiplicative inverse of a residue that is not zero."""
        return pow(int(value), -1, self.prime)

    def random(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """(size,) residues, uniform."""
        return rng.integers(0, self.prime, size)


def _terms(spec: str, left: np.ndarray, right: np.ndarray) -> int:
    """How many products are summed into one result of an einsum."""
    operands, result = spec.split("->")
    first, second = operands.split(",")
    sizes = dict(zip(first + second, (*left.shape, *right.shape), strict=True))
    return prod(size for letter, size in sizes.items() if letter not in result)


@cache
def _lowered_table(rank: int, bundles: tuple[int, ...], lowered: tuple[bool, ...], prime: int) -> np.ndarray:
    """The split table modulo a prime with the metric multiplied into the indices that are marked."""
    table = split_table_modulo(rank, bundles, prime)
    for axis, (part, low) in enumerate(zip(bundles, lowered, strict=True), start=1):
        if low:
            shape = [-1 if a == axis else 1 for a in range(table.ndim)]
            table = table * metric_modulo(part, prime).reshape(shape) % prime
    table.flags.writeable = False
    return table


@cache
def is_prime(number: int) -> bool:
    """Deterministic Miller-Rabin test, valid below 3.2 * 10^9.

    Example:
        >>> [n for n in range(20) if is_prime(n)]
        [2, 3, 5, 7, 11, 13, 17, 19]
    """
    if number < 2 or any(number % q == 0 for q in (2, 3, 5, 7)):
        return number in (2, 3, 5, 7)
    return all(_passes(number, witness) for witness in (2, 3, 5, 7))


def _passes(number: int, witness: int) -> bool:
    """One round of Miller-Rabin."""
    twos = ((number - 1) & -(number - 1)).bit_length() - 1
    power = pow(witness, (number - 1) >> twos, number)
    if power in (1, number - 1):
        return True
    return any((power := power * power % number) == number - 1 for _ in range(twos - 1))
