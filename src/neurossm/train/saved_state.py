"""Check the state of an unfinished training, which comes from a file, before anything goes on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from neurossm.errors import FormatError
from neurossm.train.watch import EpochReport

_REPORT = {
    field.name: (int,) if field.name in ("epoch", "step") else (float, int)
    for field in fields(EpochReport)
    if field.name != "spike_rates"
}
_OPTIONAL = "held_out_accuracy"


def check_state(
    state: Mapping[str, Any],
    steps: int,
    per_epoch: int,
    parameters: Sequence[Tensor],
    model: Mapping[str, Tensor],
    average: Mapping[str, Tensor] | None,
) -> None:
    """Refuse a state that is not of this training.

    Parameters
    ----------
    state
        What `Trainer.state` returned, once.
    steps, per_epoch
        Steps of the whole training, and of an epoch.
    parameters, model, average
        The optimizer's parameters in their order, and the tensors of the network and of the
        average of its weights, which those of the state must be like.

    Raises
    ------
    FormatError
        With the name of what is missing or wrong.
    """
    done: Any = state.get("done")
    reports, best = state.get("reports"), state.get("best")
    likely = {
        "done": _is_count(done, steps)
        and isinstance(reports, list)
        and done // per_epoch == len(reports),
        "seconds": _is_number(state.get("seconds")),
        "total": is_like(state.get("total"), torch.zeros((), dtype=torch.float64)),
        "model": _are_like(state.get("model"), model),
        "average": _are_like(state.get("average"), average),
        "optimizer": _is_optimizer(state.get("optimizer"), parameters),
        "reports": isinstance(reports, list) and all(map(_is_report, reports)),
        "best": best is None or _are_like(best, model),
        "best_epoch": isinstance(reports, list)
        and _is_count(state.get("best_epoch"), len(reports)),
    }
    for name, good in likely.items():
        if not good:
            raise FormatError(f"{name} is missing, damaged, or of another training")


def _is_count(value: Any, most: int) -> bool:
    return type(value) is int and 0 <= value <= most


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and value >= 0


def _is_report(report: Any) -> bool:
    return (
        isinstance(report, dict)
        and report.keys() - {"spike_rates"} == _REPORT.keys()
        and _are_rates(report.get("spike_rates", ()))
        and all(
            type(report[name]) in kinds or (name == _OPTIONAL and report[name] is None)
            for name, kinds in _REPORT.items()
        )
    )


def _are_rates(rates: Any) -> bool:
    """Tell the shares of spikes of layers, which states of older releases lack."""
    return isinstance(rates, (tuple, list)) and all(type(rate) is float for rate in rates)


def is_like(value: Any, wanted: Tensor) -> bool:
    """Tell a plain tensor of the CPU that is of another one's shape and type."""
    return (
        isinstance(value, Tensor)
        and not value.is_nested
        and (value.shape, value.dtype, value.layout) == (wanted.shape, wanted.dtype, wanted.layout)
        and value.device.type == "cpu"
        and not value.is_quantized
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )


def _are_like(values: Any, wanted: Mapping[str, Tensor] | None) -> bool:
    if wanted is None or not isinstance(values, Mapping):
        return values is wanted
    return values.keys() == wanted.keys() and all(
        is_like(values[name], tensor) for name, tensor in wanted.items()
    )


def _is_optimizer(values: Any, parameters: Sequence[Tensor]) -> bool:
    """Tell whether all entries are numbers, or tensors like their parameter."""
    if not isinstance(values, dict) or not values.keys() <= set(range(len(parameters))):
        return False
    return all(
        isinstance(entry, dict)
        and entry.keys() == {"step", "exp_avg", "exp_avg_sq"}
        and (_is_number(entry["step"]) or is_like(entry["step"], torch.zeros(())))
        and all(is_like(entry[name], parameters[number]) for name in ("exp_avg", "exp_avg_sq"))
        for number, entry in values.items()
    )
