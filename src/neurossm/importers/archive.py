"""Read what ``torch.save`` wrote, without running anything that is in it.

A pickle names the functions that build its objects, and may name any. Here it gets those that build
tensors and plain containers; every other name stands for a `Foreign` object, which is inert: it
keeps the plain values the file gives it and can do nothing.
"""

from __future__ import annotations

import math
import pickle
import re
import types
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neurossm.errors import FormatError
from neurossm.files import sha256_of
from neurossm.importers.config_file import number
from neurossm.importers.containers import Foreign, find_weights
from neurossm.importers.recognise import SAVE_ANEW, refuse_other_kinds
from neurossm.importers.safetensors import is_safetensors, read_safetensors
from neurossm.importers.tidy import Tidied
from neurossm.models.checkpoint import FORMAT

_ALLOWED = {
    ("collections", "OrderedDict"),
    ("torch", "Size"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch._utils", "_rebuild_tensor_v2"),
}
_SCORE = re.compile(r"acc(uracy)?(_|$)|^acc")
_DAMAGE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,  # RecursionError, too
    TypeError,
    ValueError,
)


@dataclass(frozen=True, eq=False)
class Source:
    """What a file holds.

    Attributes
    ----------
    path, sha256
        The file and its digest.
    weights
        The state dict, under the names of a plain network.
    config
        A Lightning file's hyper-parameters as plain containers; None if there are none.
    scores
        What the file says of its own accuracy: the numbers beside the weights whose name says so.
    left_out
        Names of the classes whose objects were left out.
    """

    path: Path
    sha256: str
    weights: Tidied
    config: Mapping[str, Any] | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def read_source(path: Path, which: str | None = None) -> Source:
    """Read the weights of a file: of ``torch.save``, Lightning or safetensors. No code is run.

    Parameters
    ----------
    path
        The file.
    which
        The set of weights to take, where it holds several.

    Raises
    ------
    InputError
        If there is no such file, or it holds several sets of weights and none is named.
    FormatError
        If it holds no state dict, or one that cannot be had without running code.
    """
    if not path.is_dir():
        digest = sha256_of(path)
    refuse_other_kinds(path)
    if is_safetensors(path):
        weights = find_weights(read_safetensors(path), path, which)
        return Source(path, digest, weights)
    left_out: set[str] = set()
    content = _load(path, left_out)
    if isinstance(content, dict) and content.get("format") == FORMAT:
        raise FormatError(f"{path}: a NeuroSSM checkpoint already; there is nothing to import")
    weights = find_weights(content, path, which)
    hyper = content.get("hyper_parameters")
    config = _plain(hyper) if hyper is not None else None
    config = config if isinstance(config, dict) and config else None
    return Source(path, digest, weights, config, _scores(content), tuple(sorted(left_out)))


def _scores(content: Mapping[Any, Any]) -> dict[str, float]:
    found = {}
    for name, value in content.items():
        if isinstance(name, str) and _SCORE.search(name):
            if isinstance(value, Tensor) and value.numel() == 1 and not value.is_complex():
                value = value.item()
            score = number(value) if isinstance(value, (int, float)) else None
            if score is not None and math.isfinite(score):
                found[name] = score
    return found


def _load(path: Path, left_out: set[str]) -> Any:
    if not zipfile.is_zipfile(path):
        raise FormatError(
            f"{path}: neither an archive written by torch.save (PyTorch 1.6 or later) nor a "
            f".safetensors file; {SAVE_ANEW}"
        )
    try:
        return torch.load(
            path, map_location="cpu", pickle_module=_restricted(left_out), weights_only=False
        )
    except _DAMAGE as error:
        raise FormatError(
            f"{path}: damaged, or no archive of tensors written by torch.save; {SAVE_ANEW}"
        ) from error


def _parameter(data: Tensor, *_: Any) -> Tensor:
    """Stand for ``_rebuild_parameter_with_state``, without the attributes it would set."""
    return data


def _restricted(left_out: set[str]) -> Any:
    """Return what torch.load takes for the module `pickle`."""

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) in _ALLOWED:
                return super().find_class(module, name)
            if (module, name) == ("torch._utils", "_rebuild_parameter_with_state"):
                return _parameter
            left_out.add(f"{module}.{name}")
            return type("Foreign", (Foreign,), {"name": f"{module}.{name}"})

    module: Any = types.ModuleType("restricted_pickle")
    module.Unpickler = Unpickler
    module.load = lambda file, **options: Unpickler(file, **options).load()
    return module


def _plain(value: Any, depth: int = 0) -> Any:
    """Return plain containers; OmegaConf's nodes are read by the fields they are pickled with."""
    if depth > 32:
        return None
    if isinstance(value, Foreign):
        state = value.state if isinstance(value.state, dict) else {}
        return _plain(state.get("_content", state.get("_val")), depth + 1)
    if isinstance(value, dict):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, depth + 1) for item in value]
    return value if isinstance(value, (str, bool, int, float)) else None
