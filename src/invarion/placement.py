"""Where and in which floating type a potential computes, as users name it."""

import torch

from invarion.exceptions import ConfigError

_TYPES = (torch.float32, torch.float64)


def usable_device(device: torch.device | str) -> torch.device:
    """The device of a name, if this machine has it.

    Args:
        device: "cpu", "cuda", "cuda:1", ...

    Raises:
        ConfigError: no name of a device, or one that cannot be used here.

    >>> usable_device("cpu")
    device(type='cpu')
    """
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, TypeError) as error:  # torch has no class of its own for it
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"device is {device}, which cannot be used here ({reason}); give cpu, or leave it out"
        ) from error
    return found


def floating_type(dtype: torch.dtype | str) -> torch.dtype:
    """float32 or float64, by torch's object or by name.

    Args:
        dtype: torch.float32, "float32", ...

    Raises:
        ConfigError: another type.

    >>> floating_type("float64")
    torch.float64
    """
    known = {str(each).removeprefix("torch."): each for each in _TYPES}
    found = known.get(str(dtype).removeprefix("torch."))
    if found is None:
        raise ConfigError(f"dtype is {dtype}; a potential runs in float32 or float64")
    return found
