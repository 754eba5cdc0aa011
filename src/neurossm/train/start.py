"""The network that a training starts from: a fresh one, or that of a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from neurossm.errors import InputError
from neurossm.models.checkpoint import load
from neurossm.models.config import InputSpec, ModelConfig
from neurossm.models.network import Network

DECODER = ("decoder.weight", "decoder.bias")


def model_fields() -> tuple[str, ...]:
    """Return the names of a model's fields that the task does not fix."""
    return tuple(f.name for f in fields(ModelConfig) if f.name not in ("input", "classes"))


def described(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the fields of a checkpoint's model that the task does not fix."""
    values = load(path).config.to_dict()
    return {name: values[name] for name in model_fields() if values[name] is not None}


def start(
    values: Mapping[str, Any],
    spec: InputSpec,
    classes: int,
    init: str | os.PathLike[str] | None = None,
) -> tuple[Network, list[str]]:
    """Return the network to train, and what in it is fresh although there is a checkpoint.

    Parameters
    ----------
    values
        The model's fields, but input and classes.
    spec, classes
        Those of the task.
    init
        A checkpoint whose weights to take; its layer may be another one with the same weights, as
        ``s4d`` and ``binary-s4d`` have. The decoder stays fresh where the task has other classes.

    Raises
    ------
    InputError
        If a value is out of range, or the checkpoint's weights do not fit.
    """
    network = Network(ModelConfig(input=spec, classes=classes, **values))
    if init is None:
        return network, []
    source = load(init).model
    if not isinstance(source, Network):
        raise InputError(
            f"{init}: a feed-forward network; only networks of blocks can be trained on"
        )
    if source.config.input != spec:
        raise InputError(f"{init}: reads {source.config.input}, the task gives {spec}")
    given = source.state_dict()
    fresh = [] if source.config.classes == classes else list(DECODER)
    own = network.state_dict()
    wrong = [
        name
        for name in sorted({*own, *given} - {*fresh})
        if name not in own or name not in given or own[name].shape != given[name].shape
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise InputError(
            f"{init}: its weights do not fit the model: {', '.join(wrong[:3])}{more}; it is a "
            f"{source.config.layer} of {source.config.n_layers} x {source.config.d_model}"
        )
    taken = {name: value for name, value in given.items() if name not in fresh}
    network.load_state_dict({**own, **taken})  # float64 becomes float32
    return network, fresh
