"""A foreign state dict that is taken apart key by key, so that nothing is missed or left over."""

from __future__ import annotations

import torch
from torch import Tensor

from neurossm.errors import FormatError
from neurossm.importers.tidy import Tidied

_FLOATS = (torch.float32, torch.float64)
_COUNTER = "num_batches_tracked"


class StateDict:
    """A state dict; `take` hands out each tensor once and `finish` refuses what is left.

    Parameters
    ----------
    weights
        The state dict, under plain names.
    prefix
        What all names of the model begin with, such as ``module.``; left out of `take`'s names.
    what
        What it is taken for, for the message about keys that are left over.
    """

    def __init__(
        self, weights: Tidied, prefix: str = "", what: str = "a Binary S4D or GSU network"
    ) -> None:
        self._tensors = weights.tensors
        self._keys = weights.keys
        self._prefix = prefix
        self._what = what
        self._taken: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return self._prefix + name in self._tensors

    def key(self, name: str) -> str:
        """Return the file's whole key for a name, for messages; also for a part of a name."""
        return self._keys.get(self._prefix + name, self._prefix + name)

    @property
    def names(self) -> list[str]:
        """Names of all tensors, without the prefix."""
        start = len(self._prefix)
        return [name[start:] for name in self._tensors if name.startswith(self._prefix)]

    def has(self, beginning: str) -> bool:
        """Tell whether any name begins so."""
        return any(name.startswith(beginning) for name in self.names)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor.

        Raises
        ------
        FormatError
            If it is missing.
        """
        return tuple(self._get(name).shape)

    def take(self, name: str, shape: tuple[int, ...], because: str) -> Tensor:
        """Return a tensor that must have a shape.

        Parameters
        ----------
        name
            Its name, without the prefix.
        shape
            What it must be.
        because
            Where that comes from, for the message.

        Raises
        ------
        FormatError
            If it is missing, has another shape, or is not float32 or float64 and finite.
        """
        tensor, key = self._get(name), self.key(name)
        if tuple(tensor.shape) != shape:
            raise FormatError(f"{key}: shape {tuple(tensor.shape)}, but {because} asks for {shape}")
        _check_values(key, tensor)
        self._taken.add(self._prefix + name)
        return tensor.detach().clone()

    def finish(self) -> None:
        """Check that every tensor was taken.

        Raises
        ------
        FormatError
            If one is left over: the model has a part that would be lost.
        """
        left = sorted(set(self._tensors) - self._taken)
        if left:
            more = f" (and {len(left) - 1} more)" if len(left) > 1 else ""
            raise FormatError(
                f"{self._keys[left[0]]}: extra key{more}; it belongs to no part of {self._what}"
            )

    def _get(self, name: str) -> Tensor:
        if name not in self:
            raise FormatError(f"{self.key(name)}: missing from the state dict")
        return self._tensors[self._prefix + name]


def _check_values(key: str, tensor: Tensor) -> None:
    if key.endswith(_COUNTER):
        if tensor.dtype != torch.int64:
            raise FormatError(f"{key}: {tensor.dtype}, expected torch.int64")
        return
    if tensor.dtype in (torch.float16, torch.bfloat16):
        raise FormatError(
            f"{key}: {tensor.dtype}, too coarse for poles near the unit circle; import the "
            "float32 weights the model was trained in"
        )
    if tensor.dtype not in _FLOATS:
        raise FormatError(f"{key}: {tensor.dtype}, expected float32 or float64")
    if not bool(torch.isfinite(tensor).all()):
        count = int((~torch.isfinite(tensor)).sum())
        raise FormatError(f"{key}: holds {count} values that are NaN or infinite")
