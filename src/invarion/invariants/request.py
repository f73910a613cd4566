"""What was asked for: the tensors, the degree, the parity; checked once, at the public edge."""

from collections.abc import Iterable, Mapping, Sequence

from invarion.exceptions import BasisError

MOST_RANK = 12  # whole numbers in the tables of components stay below 2^63
MOST_DEGREE = 100  # tensors of a product; no set that is known needs more than 15
MOST_COMPONENTS = 2_000  # a proof takes time with the third power of their number: this many, most of an hour


def tensor_ranks(max_rank: int | None, channels: int, ranks: Sequence[int] | None) -> tuple[int, ...]:
    """Rank of every tensor, from either form of the request.

    Args:
        max_rank: L, 0 to 12, for ranks 0..L in every channel.
        channels: number of channels N >= 1.
        ranks: any list of ranks instead, each from 0 to 12.

    Raises:
        BasisError: both forms, none, a number out of range, or more than 2,000 components.

    Example:
        >>> tensor_ranks(1, 2, None), tensor_ranks(None, 1, [1, 3, 3])
        ((0, 1, 0, 1), (1, 3, 3))
    """
    if (max_rank is None) == (ranks is None):
        raise BasisError(
            "give either max_rank (one tensor of each rank 0..max_rank) or ranks (any list of tensors), not both"
        )
    channels = _whole("channels", channels, 1)
    if ranks is None:
        width = _rank("max_rank", max_rank) + 1
        _check_size(channels * width**2)
        return tuple(range(width)) * channels
    if channels != 1:
        raise BasisError(f"channels is {channels} and ranks is given; list the tensors of all channels in ranks")
    found = _listed(ranks)
    _check_size(sum(2 * rank + 1 for rank in found))
    return found


def _listed(ranks: object) -> tuple[int, ...]:
    """An explicit list of ranks."""
    if isinstance(ranks, str) or not isinstance(ranks, Iterable):
        raise BasisError(f"ranks is {ranks!r}; give a list with one rank for each tensor, such as ranks=[1, 2]")
    found = tuple(_rank("each of ranks", rank) for rank in ranks)
    if not found:
        raise BasisError("ranks is empty; list at least one tensor rank, such as ranks=[1, 2]")
    return found


def _rank(what: str, value: object) -> int:
    rank = _whole(what, value, 0)
    if rank > MOST_RANK:
        raise BasisError(f"{what} is {rank}, but ranks up to {MOST_RANK} are allowed; lower it")
    return rank


def _degree(what: str, value: object) -> int:
    degree = _whole(what, value, 1)
    if degree > MOST_DEGREE:
        raise BasisError(f"{what} is {degree}, but degrees up to {MOST_DEGREE} are allowed; lower it, or leave it out")
    return degree


def _check_size(components: int) -> None:
    if components > MOST_COMPONENTS:
        raise BasisError(
            f"{components} components of all tensors are asked for, but at most {MOST_COMPONENTS} are allowed; "
            "lower max_rank or channels, or list fewer tensors"
        )


def check_seed(seed: object) -> None:
    """Raises BasisError unless the seed is a whole number >= 0."""
    _whole("seed", seed, 0)


def check_degree(max_degree: int | None) -> None:
    """Raises BasisError unless the degree is a whole number from 1 to 100, or None."""
    if max_degree is not None:
        _degree("max_degree", max_degree)


def check_searches(n_targets: object, n_starts: object, seed: object) -> None:
    """Raises BasisError unless there are targets and starts, and the seed is a whole number >= 0."""
    _whole("n_targets", n_targets, 1)
    _whole("n_starts", n_starts, 1)
    check_seed(seed)


def check_least(least: Mapping[int, int] | None, max_degree: int | None) -> dict[int, int]:
    """Least number of members per degree, without zeros; BasisError where a degree or number is out of range."""
    if not isinstance(least, Mapping | None):
        raise BasisError(f"min_per_degree is {least!r}; give a mapping from degree to number, such as {{4: 10}}")
    found = {_degree("each degree of min_per_degree", d): n for d, n in (least or {}).items()}
    for degree, number in found.items():
        _whole(f"min_per_degree[{degree}]", number, 0)
        if max_degree is not None and degree > max_degree:
            raise BasisError(f"min_per_degree names degree {degree}, but max_degree is {max_degree}; raise max_degree")
    return {degree: number for degree, number in sorted(found.items()) if number}


def check_parity(parity: str) -> None:
    """Raises BasisError unless the parity is known."""
    if parity not in ("even", "both"):
        raise BasisError(f"parity is {parity!r}; allowed are 'even' and 'both' (even first, then odd invariants)")


def _whole(what: str, value: object, least: int) -> int:
    """The value as int, if it is a whole number that is large enough."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise BasisError(f"{what} is {value!r}; it must be a whole number >= {least}")
    number = value.__index__()  # type: ignore[attr-defined]  # it has one, see above
    if number < least:
        raise BasisError(f"{what} is {number}; it must be {least} or larger")
    return number
