"""Undo what training tools do to names and weights, and leave out what is no part of a network.

=====================================  ============================================================
in the file                            becomes
=====================================  ============================================================
``_orig_mod.`` anywhere in a name      nothing (``torch.compile``)
``X_g`` and ``X_v``, or parametrized   ``X = g v / |v|`` in float64 (weight norm)
``X_orig`` and ``X_mask``              ``X = orig mask`` (pruning)
complex B, C                           pairs of real and imaginary part
a counter of batches as float          an integer
``criterion.*``, ``train_acc.*``, ...  left out: losses and metrics of a training module
=====================================  ============================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from neurossm.errors import FormatError

_COMPILED = "_orig_mod."
_TRAINING = re.compile(
    r"(criterion|loss|loss_fn|metrics?|(train|val|valid|validation|test)_\w+|n_averaged)(\.|$)"
)
_WEIGHT_NORM = (
    (re.compile(r"(.*)_g$"), "{}_g", "{}_v"),
    (
        re.compile(r"(.*)parametrizations\.(weight)\.original0$"),
        "{}parametrizations.weight.original0",
        "{}parametrizations.weight.original1",
    ),
)


@dataclass(frozen=True)
class Tidied:
    """A state dict under the names of a plain network.

    Attributes
    ----------
    tensors
        By plain name.
    keys
        The file's key of each plain name, for messages.
    notes
        What was done, one line each.
    """

    tensors: Mapping[str, Tensor]
    keys: Mapping[str, str]
    notes: tuple[str, ...] = ()


def plain_name(key: str) -> str:
    """Return a key without what ``torch.compile`` adds."""
    return key.replace(_COMPILED, "")


def tidy(tensors: Mapping[str, Tensor]) -> Tidied:
    """Return a state dict as a plain network would have written it.

    Raises
    ------
    FormatError
        If two keys stand for one name, or a counter is no whole number.
    """
    keys: dict[str, str] = {}
    for key in tensors:
        other = keys.setdefault(plain_name(key), key)
        if other != key:
            raise FormatError(f"{key}: a second key for {plain_name(key)}, besides {other}")
    plain = {name: tensors[key] for name, key in keys.items()}
    notes = [*_leave_out(plain), *_weight_norms(plain, keys), *_pruned(plain, keys)]
    for name, value in plain.items():
        if value.is_complex() and name.rpartition(".")[2] in ("B", "C"):
            plain[name] = torch.view_as_real(value.resolve_conj())
        elif name.endswith("num_batches_tracked") and value.is_floating_point():
            plain[name] = _counted(keys[name], value)
    return Tidied(plain, keys, tuple(notes))


def _leave_out(plain: dict[str, Tensor]) -> list[str]:
    left = [name for name in plain if _TRAINING.match(name)]
    notes = []
    if "n_averaged" in plain:
        count = plain["n_averaged"].tolist()
        notes.append(f"the weights are an average over {count} states of the training (SWA or EMA)")
    for name in left:
        del plain[name]
    rest = [name for name in left if name != "n_averaged"]
    if rest:
        more = f" and {len(rest) - 3} more" if len(rest) > 3 else ""
        notes.append(f"left out as no part of the network: {', '.join(rest[:3])}{more}")
    return notes


def _weight_norms(plain: dict[str, Tensor], keys: dict[str, str]) -> list[str]:
    done = 0
    for pattern, g_name, v_name in _WEIGHT_NORM:
        for name in list(plain):
            match = pattern.match(name)
            if match is None:
                continue
            g_key, v_key = g_name.format(match[1]), v_name.format(match[1])
            if v_key not in plain or not _fit(plain[g_key], plain[v_key]):
                continue  # refused later as a key that is left over
            g, v = plain.pop(g_key).double(), plain.pop(v_key).double()
            over = [axis for axis in range(v.ndim) if g.ndim == 0 or g.shape[axis] == 1]
            result = "".join(match.groups())
            plain[result] = g * v / torch.linalg.vector_norm(v, dim=over, keepdim=g.ndim > 0)
            keys[result] = keys[v_key]
            done += 1
    return [f"{done} weights with weight norm multiplied out, in float64"] if done else []


def _fit(g: Tensor, v: Tensor) -> bool:
    """Tell whether g has a number for each part of v, or one for all of it."""
    return g.ndim == 0 or (
        g.ndim == v.ndim
        and 1 in g.shape
        and all(a in (1, b) for a, b in zip(g.shape, v.shape, strict=True))
    )


def _pruned(plain: dict[str, Tensor], keys: dict[str, str]) -> list[str]:
    done = 0
    for name in [name for name in plain if name.endswith("_orig")]:
        result = name.removesuffix("_orig")
        mask = plain.get(f"{result}_mask")
        if mask is None or mask.shape != plain[name].shape:
            continue
        del plain[f"{result}_mask"]
        value = plain.pop(name)
        plain[result], keys[result] = value * mask.to(value.dtype), keys[name]
        done += 1
    return [f"{done} pruned weights multiplied by their masks"] if done else []


def _counted(key: str, value: Tensor) -> Tensor:
    if not bool((value == value.round()).all()):
        raise FormatError(f"{key}: {value.tolist()} counts batches, but is no whole number")
    return value.to(torch.int64)
