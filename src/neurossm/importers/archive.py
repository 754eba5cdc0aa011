"""Read what ``torch.save`` wrote, without running anything that is in it.

A pickle names the functions that build its objects, and may name any. Here it gets those that build
tensors and plain containers; every other name stands for a `Foreign` object, which is inert: it
keeps the plain values the file gives it and can do nothing.
"""

from __future__ import annotations

import pickle
import types
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from neurossm.errors import FormatError
from neurossm.files import sha256_of
from neurossm.models.checkpoint import FORMAT

_ALLOWED = {
    ("collections", "OrderedDict"),
    ("torch", "Size"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch._utils", "_rebuild_tensor_v2"),
}
_HOLDERS = ("state_dict", "model", "model_state_dict")
_SAVE_ANEW = (
    "where it was made, write the weights alone: torch.save(model.state_dict(), 'state.pt')"
)
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


class Foreign:
    """Stands for an object whose class is not loaded."""

    name: ClassVar[str] = ""

    def __new__(cls, *_: Any, **__: Any) -> Foreign:
        """Take any arguments; run nothing."""
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __call__(self, *_: Any, **__: Any) -> Foreign:
        """Stand for the result, too."""
        return self

    def __setitem__(self, *_: Any) -> None: ...

    def append(self, _: Any) -> None:
        """Drop what the file adds."""

    def extend(self, _: Any) -> None:
        """Drop what the file adds."""


@dataclass(frozen=True, eq=False)
class Source:
    """What a file holds.

    Attributes
    ----------
    path, sha256
        The file and its digest.
    tensors
        The state dict.
    config
        A Lightning file's hyper-parameters as plain containers; None if there are none.
    left_out
        Names of the classes whose objects were left out.
    """

    path: Path
    sha256: str
    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any] | None
    left_out: tuple[str, ...]


def read_source(path: Path) -> Source:
    """Read a state dict, bare or inside a dict or a Lightning checkpoint. No code is run.

    Raises
    ------
    InputError
        If there is no such file.
    FormatError
        If it holds no state dict, or one that cannot be had without running code.
    """
    digest = sha256_of(path)
    left_out: set[str] = set()
    content = _load(path, left_out)
    state = _find_state(content, path, left_out)
    hyper = content.get("hyper_parameters") if isinstance(content, dict) else None
    config = _plain(hyper) if hyper is not None else None
    return Source(
        path,
        digest,
        state,
        config if isinstance(config, dict) and config else None,
        tuple(sorted(left_out)),
    )


def _load(path: Path, left_out: set[str]) -> Any:
    if not zipfile.is_zipfile(path):
        raise FormatError(
            f"{path}: no archive written by torch.save (PyTorch 1.6 or later); {_SAVE_ANEW}"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                raise FormatError(f"{path}: a TorchScript program, which is code; {_SAVE_ANEW}")
        return torch.load(
            path, map_location="cpu", pickle_module=_restricted(left_out), weights_only=False
        )
    except _DAMAGE as error:
        raise FormatError(
            f"{path}: damaged, or no archive of tensors written by torch.save; {_SAVE_ANEW}"
        ) from error


def _restricted(left_out: set[str]) -> Any:
    """Return what torch.load takes for the module `pickle`."""

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) in _ALLOWED:
                return super().find_class(module, name)
            left_out.add(f"{module}.{name}")
            return type("Foreign", (Foreign,), {"name": f"{module}.{name}"})

    module: Any = types.ModuleType("restricted_pickle")
    module.Unpickler = Unpickler
    module.load = lambda file, **options: Unpickler(file, **options).load()
    return module


def _find_state(content: Any, path: Path, left_out: set[str]) -> Mapping[str, Tensor]:
    if isinstance(content, dict) and content.get("format") == FORMAT:
        raise FormatError(f"{path}: a NeuroSSM checkpoint already; there is nothing to import")
    for found in _candidates(content):
        if isinstance(found, Foreign):
            raise FormatError(
                f"{path}: holds a pickled object ({type(found).name}), not loaded because that "
                f"could run code; {_SAVE_ANEW}"
            )
        if isinstance(found, dict) and any(isinstance(value, Tensor) for value in found.values()):
            return _tensors_only(found, path)
    raise FormatError(f"{path}: holds no state dict, bare or under {', '.join(_HOLDERS)}")


def _candidates(content: Any) -> list[Any]:
    if not isinstance(content, dict):
        return [content]
    return [*(content[key] for key in _HOLDERS if key in content), content]


def _tensors_only(state: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            kind = type(value).name if isinstance(value, Foreign) else type(value).__name__
            raise FormatError(f"{path}: {key} of the state dict is no tensor but {kind}")
    return dict(state)


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
