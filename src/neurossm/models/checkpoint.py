"""Checkpoints: a configuration and a state dict in one file, with what compiling needs besides.

The file is what ``torch.save`` writes for a dict of plain containers and tensors, so that
``torch.load(weights_only=True)`` reads it and no code in it can run::

    format       "neurossm-checkpoint"
    version      1
    config       to_dict() of the ModelConfig, or of a FeedforwardConfig, which has a "neuron"
    state        name -> tensor
    calibration  raw input samples that were not test data, or None
    training     how it was made: plain values, for people
    resume       in a checkpoint of an unfinished training alone: what it needs to go on
"""

from __future__ import annotations

import os
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neurossm.errors import FormatError, InputError
from neurossm.files import as_path, atomic_path, sha256_of
from neurossm.models.config import ModelConfig
from neurossm.models.feedforward import Feedforward, FeedforwardConfig
from neurossm.models.network import Network

FORMAT = "neurossm-checkpoint"
VERSION = 2

Path = str | os.PathLike[str]


@dataclass(frozen=True)
class Checkpoint:
    """A network and what travels with it.

    Attributes
    ----------
    model
        The network, in evaluation mode.
    calibration
        Raw input samples (S, L, size), or (S, L) for tokens; None if there are none.
    training
        How the network was made: plain values.
    sha256, source
        Digest and name of the file it was read from; empty if it was not.
    calibration_lengths
        (S) valid steps of those samples; None if all have L.
    """

    model: Network | Feedforward
    calibration: NDArray[np.generic] | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""
    source: str = ""
    calibration_lengths: NDArray[np.int64] | None = None

    @property
    def config(self) -> ModelConfig | FeedforwardConfig:
        """Configuration of the network."""
        return self.model.config


def save(
    path: Path,
    model: Network | Feedforward,
    calibration: Tensor | NDArray[np.generic] | None = None,
    training: Mapping[str, Any] | None = None,
    resume: Mapping[str, Any] | None = None,
    calibration_lengths: Tensor | NDArray[np.generic] | None = None,
) -> None:
    """Write a checkpoint, whole or not at all.

    Parameters
    ----------
    path
        File to write.
    model
        The network; its tensors are moved to the CPU.
    calibration
        Raw input samples, as `Network.forward` takes them.
    training
        Plain values that say how the network was made.
    resume
        Tensors and plain values that a training needs to go on; None for a network to use.
    calibration_lengths
        (S) valid steps of the samples; None if all have L.

    Raises
    ------
    InputError
        If the network holds NaN or infinite values, or the file cannot be written.
    """
    state = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    problem = _not_finite(state)
    if problem:
        raise InputError(f"{path}: not written: {problem}")
    content = {
        "format": FORMAT,
        "version": 1 if calibration_lengths is None else VERSION,
        "config": model.config.to_dict(),
        "state": state,
        "calibration": None if calibration is None else _tensor(calibration),
        "training": dict(training or {}),
    }
    if resume is not None:
        content["resume"] = dict(resume)
    if calibration_lengths is not None:  # version 1 would calibrate on what fills up short samples
        content["calibration_lengths"] = _tensor(calibration_lengths)
    with atomic_path(path) as temporary:
        torch.save(content, temporary)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint. No code from the file is run.

    Parameters
    ----------
    path
        A file written by `save`.

    Raises
    ------
    InputError
        If there is no such file.
    FormatError
        If it is not a checkpoint, is of a newer version, or its weights do not fit its
        configuration or are not finite.
    """
    path = as_path(path, "model")
    digest = sha256_of(path)
    content = read_pickled(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise FormatError(
            f"{path}: not a NeuroSSM checkpoint; `neurossm import` reads those of other projects"
        )
    version = content.get("version")
    if type(version) is not int or version < 1:
        raise FormatError(f"{path}: checkpoint version {version!r:.80} is not one ever written")
    if version > VERSION:
        raise FormatError(
            f"{path}: checkpoint version {version}, this release reads up to {VERSION}; update it"
        )
    try:
        model = build(content.get("config"), content.get("state"))
    except (FormatError, InputError) as error:
        raise FormatError(f"{path}: {error}") from error
    training = content.get("training") or {}
    if not isinstance(training, Mapping) or not all(isinstance(name, str) for name in training):
        raise FormatError(f"{path}: training: expected named values")
    samples, lengths = (
        None if content.get(name) is None else _samples(content[name], f"{path}: {name}")
        for name in ("calibration", "calibration_lengths")
    )
    return Checkpoint(model, samples, training, digest, path.name, lengths)


def is_checkpoint(path: Path) -> bool:
    """Tell whether a file is one of ours, be it sound or of a newer version."""
    try:
        content = read_pickled(path)
    except FormatError:
        return False
    return isinstance(content, dict) and content.get("format") == FORMAT


def read_pickled(path: Path) -> object:
    """Return what ``torch.save`` put into a file, if that is tensors and plain containers only.

    Raises
    ------
    FormatError
        If the file is something else, or holds other Python objects.
    """
    if not zipfile.is_zipfile(path):
        raise FormatError(f"{path}: not a checkpoint: no archive written by torch.save")
    try:
        with warnings.catch_warnings():  # a file with sparse tensors is refused in one line
            warnings.filterwarnings("ignore", message="Validating sparse tensor")
            content: object = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise FormatError(
            f"{path}: holds pickled Python objects, which are not loaded because they can run "
            "code; save model.state_dict() instead of the model"
        ) from error
    except MemoryError:
        raise InputError(f"{path}: does not fit into memory") from None
    except Exception as error:  # whatever unpickling makes of damaged bytes
        raise FormatError(
            f"{path}: not a checkpoint, or a damaged one: torch cannot read it"
        ) from error
    return content


def _samples(calibration: object, where: str) -> NDArray[Any]:
    """Return a file's calibration batch, if it is a plain tensor as large as it says."""
    if not isinstance(calibration, Tensor):
        raise FormatError(f"{where}: expected a tensor")
    _check_plain(calibration, where)
    if calibration.dtype == torch.bfloat16 or calibration.is_complex():
        raise FormatError(f"{where}: holds {calibration.dtype} values; expected numbers of NumPy")
    samples: NDArray[Any] = calibration.detach().numpy()
    return samples


def _check_plain(value: Tensor, where: str) -> None:
    """Refuse a tensor without values of its own for each element."""
    if value.layout != torch.strided or value.is_quantized or value.device.type == "meta":
        kind = "meta" if value.device.type == "meta" else str(value.layout)
        raise FormatError(f"{where}: is a tensor of the kind {kind}; expected plain values")
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise FormatError(f"{where}: shape {tuple(value.shape)} repeats fewer stored values")


def build(config: object, state: object) -> Network | Feedforward:
    """Return the network of a plain configuration and a state dict, in evaluation mode.

    Raises
    ------
    FormatError
        If they do not fit each other, or the weights are not finite.
    InputError
        If a value of the configuration is out of range.
    """
    if not isinstance(config, Mapping):
        raise FormatError("configuration: missing")
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise FormatError("state: expected a name and a tensor for each weight")
    for name, value in state.items():
        _check_plain(value, f"state: {name:.80}")
    kind = FeedforwardConfig if "neuron" in config else ModelConfig
    parsed = kind.from_dict(config)
    _check_sizes(parsed, state)
    with torch.random.fork_rng(devices=[]):  # building draws numbers that loading overwrites
        model: Network | Feedforward = (
            Network(parsed) if isinstance(parsed, ModelConfig) else Feedforward(parsed)
        )
    _check_state(model.state_dict(), state)
    if any(value.dtype == torch.float64 for value in state.values()):
        model.double()
    model.load_state_dict(dict(state))
    return model.eval()


_LARGER = 64
"""How many times more numbers than the file's a network may take before its shapes are compared."""


def _check_sizes(config: ModelConfig | FeedforwardConfig, state: Mapping[str, Tensor]) -> None:
    """Refuse a network larger than its weights before it is built."""
    if isinstance(config, FeedforwardConfig):
        _check_weights(config, state)
        return
    stored = sum(value.numel() for value in state.values())
    widest = max(config.d_model, config.d_state, config.classes)
    if config.n_layers > len(state) or config.d_model * widest > _LARGER * max(stored, _LARGER):
        raise FormatError(
            f"configuration: n_layers {config.n_layers}, d_model {config.d_model}, d_state "
            f"{config.d_state} and classes {config.classes} need far more than the "
            f"{len(state)} weights of {stored:,} numbers"
        )


def _check_weights(config: FeedforwardConfig, state: Mapping[str, Tensor]) -> None:
    """Refuse layers of other sizes than the weights'."""
    sizes = (config.input.size, *config.hidden, config.classes)
    names = [*(f"layers.{i}" for i in range(len(config.hidden))), "readout"]
    for name, size in zip(names, pairwise(sizes), strict=True):
        weight, wanted = state.get(f"{name}.linear.weight"), (size[1], size[0])
        if weight is None or tuple(weight.shape) != wanted:
            found = "missing" if weight is None else f"of shape {tuple(weight.shape)}"
            raise FormatError(
                f"state: {name}.linear.weight is {found}; the configuration asks for {wanted}"
            )


def _tensor(values: Tensor | NDArray[np.generic]) -> Tensor:
    """Return a copy on the CPU that shares no larger storage, which would be saved with it."""
    if isinstance(values, Tensor):
        return values.detach().cpu().clone()
    return torch.tensor(values)


def _check_state(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    missing = sorted(set(expected) - set(found))
    extra = sorted(set(found) - set(expected))
    if missing:
        raise FormatError(f"state: missing {_listed(missing)}")
    if extra:
        raise FormatError(f"state: unknown {_listed(extra)}")
    for name, value in found.items():
        if value.shape != expected[name].shape:
            shapes = f"{tuple(value.shape)}, the configuration needs {tuple(expected[name].shape)}"
            raise FormatError(f"state: {name} has shape {shapes}")
        floating = expected[name].is_floating_point()
        if floating and value.dtype not in (torch.float32, torch.float64):
            raise FormatError(f"state: {name} is {value.dtype}; convert it to float32 or float64")
        if not floating and value.dtype != expected[name].dtype:
            raise FormatError(f"state: {name} is {value.dtype}, expected {expected[name].dtype}")
    problem = _not_finite(found)
    if problem:
        raise FormatError(f"state: {problem}")


def _not_finite(state: Mapping[str, Tensor]) -> str:
    for name, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            count = int((~torch.isfinite(value)).sum())
            return f"{name} holds {count} values that are NaN or infinite"
    return ""


def _listed(names: list[str], limit: int = 3) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
