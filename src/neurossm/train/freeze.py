"""Parts of a network that training leaves as they are."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from neurossm.errors import InputError


def freeze(model: nn.Module, patterns: Sequence[str]) -> list[str]:
    """Take parameters out of training and return their names.

    Parameters
    ----------
    model
        Changed in place.
    patterns
        Of parameters' names, as of files: ``encoder.*``, ``blocks.0.*``, ``*.ssm.A_*``.

    Raises
    ------
    InputError
        If a pattern matches no parameter, or nothing is left to train.
    """
    parameters = dict(model.named_parameters())
    frozen: set[str] = set()
    for pattern in patterns:
        found = {name for name in parameters if fnmatchcase(name, pattern)}
        if not found:
            known = ", ".join(list(parameters)[:4])
            raise InputError(f"freeze: {pattern!r} matches no parameter; names are {known}, …")
        frozen |= found
    if frozen and len(frozen) == len(parameters):
        raise InputError("freeze: nothing is left to train")
    for name in frozen:
        parameters[name].requires_grad_(False)
    return sorted(frozen)


def hold_frozen(model: nn.Module) -> None:
    """Put layers whose parameters are all frozen into evaluation mode: their statistics stay, too.

    Layers without parameters of their own follow the layer that they belong to.
    """
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()
