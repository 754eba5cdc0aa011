"""Networks of SpArch and of SSM-inspired-LIF: SiLIF, C-SiLIF, RF, constrained AdLIF, adLIF, LIF.

Every layer has weights ``W``, a BatchNorm and neurons whose kind the names of their parameters
tell, but for adLIF and constrained AdLIF, which differ in limits alone. The last layer is a readout
of leaky integrators. What the code computes from the parameters at each call (clamped decays,
exponentials, poles) is computed here once, in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neurossm.errors import FormatError, InputError, UnsupportedError
from neurossm.importers.inputs import parse_input
from neurossm.importers.network import SPARCH_LAYER
from neurossm.importers.settings import Settings
from neurossm.importers.state import StateDict
from neurossm.importers.tidy import Tidied
from neurossm.models.config import InputSpec

_EULER_DT = 0.004
_CLAMPS: dict[str, dict[str, tuple[float, float]]] = {
    "lif": {"alpha": (math.exp(-1 / 5), math.exp(-1 / 25))},
    "adlif": {
        "alpha": (math.exp(-1 / 5), math.exp(-1 / 25)),
        "beta": (math.exp(-1 / 30), math.exp(-1 / 120)),
        "a": (-1.0, 1.0),
        "b": (0.0, 2.0),
    },
    "cadlif": {"alpha": (0.36, 0.96), "beta": (0.96, 0.99), "a": (0.0, 1.0), "b": (0.0, 2.0)},
    "silif": {"a": (0.0, 1.0), "b": (0.0, 2.0)},
}
_NAMES: dict[str, tuple[str, ...]] = {
    "silif": ("dt", "alpha", "beta", "a", "b"),
    "csilif": ("log_dt", "log_log_alpha", "alpha_img", "b"),
    "rf": ("alpha_real", "alpha_im"),
    "adlif": ("alpha", "beta", "a", "b"),
    "lif": ("alpha",),
}
_SHOWN = {
    "silif": "SiLIF",
    "csilif": "C-SiLIF",
    "rf": "resonate-and-fire",
    "adlif": "adLIF",
    "cadlif": "constrained AdLIF",
    "lif": "LIF",
}
Parameters = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Sparch:
    """What a file of this family is taken for.

    Attributes
    ----------
    config
        For `neurossm.models.feedforward.FeedforwardConfig.from_dict`.
    state
        The weights under the names of its network.
    notes
        What to know besides.
    """

    config: dict[str, Any]
    state: dict[str, Tensor]
    notes: tuple[str, ...]


def is_sparch(weights: Tidied) -> bool:
    """Tell a network of this family by its names."""
    return any(SPARCH_LAYER.fullmatch(name) for name in weights.tensors)


def read_sparch(weights: Tidied, settings: Settings) -> Sparch:
    """Read a network; what only the user can tell stands in the settings' `questions`.

    Raises
    ------
    FormatError
        If its parts contradict each other, or a key is left over.
    UnsupportedError
        If its layers are of a kind that has no form here.
    InputError
        If an option contradicts the names.
    """
    matches = [m for name in weights.tensors if (m := SPARCH_LAYER.fullmatch(name))]
    state = StateDict(weights, matches[0][1] or "", "a feed-forward spiking network")
    count = 1 + max(int(m[2]) for m in matches)
    _refuse(state, count)
    kind = _kind(state, settings)
    sizes = [_shape(state, 0)[1]]
    for index in range(count):
        out, inputs = _shape(state, index)
        if inputs == 2 * sizes[-1] and index > 0:
            raise UnsupportedError(
                f"{state.key(f'snn.{index}.W.weight')}: reads {inputs} of {sizes[-1]} neurons, as "
                "in a bidirectional network, which reads the future and cannot stream"
            )
        sizes.append(out)
    norm = "batch" if "snn.0.norm.running_mean" in state else "none"
    made: dict[str, Tensor] = {}
    for index in range(count):
        last = index == count - 1
        where = "readout." if last else f"layers.{index}."
        made |= _weighted(state, index, sizes, norm, where)
        names = ("alpha",) if last else _NAMES["adlif" if kind == "cadlif" else kind]
        taken = {
            name: state.take(f"snn.{index}.{name}", (sizes[index + 1],), "W").double()
            for name in names
        }
        if last:
            made["readout_decay"] = _clamped("lif", taken)["alpha"]
        else:
            values = _NEURONS[kind](taken)
            made |= {f"neurons.{index}.{name}": value for name, value in values.items()}
    state.finish()
    spec = _input(state, sizes[0], settings)
    _record(kind, sizes, norm, settings)
    config = {
        "neuron": "resonate-fire" if kind in ("rf", "csilif") else "adlif",
        "input": {"kind": spec.kind, "size": spec.size, "low": spec.low, "high": spec.high},
        "hidden": tuple(sizes[1:-1]),
        "classes": sizes[-1],
        "norm": norm,
    }
    doubled = {n: v.double() if v.is_floating_point() else v for n, v in made.items()}
    _check_finite(doubled)
    return Sparch(config, doubled, tuple(_notes(kind, doubled)))


def _shape(state: StateDict, index: int) -> tuple[int, int]:
    name = f"snn.{index}.W.weight"
    shape = state.shape(name)
    if len(shape) != 2 or 0 in shape:
        raise FormatError(f"{state.key(name)}: shape {shape}, expected two axes")
    return shape[0], shape[1]


def _refuse(state: StateDict, count: int) -> None:
    """Refuse layers that are known and have no form here."""
    for index in range(count):
        where = f"snn.{index}."
        if f"{where}V.weight" in state:
            raise UnsupportedError(
                f"{state.key(where + 'V.weight')}: recurrent weights within a layer (RLIF, RadLIF) "
                "are not supported; train without them"
            )
        if f"{where}norm.weight" in state and f"{where}norm.running_mean" not in state:
            raise UnsupportedError(
                f"{state.key(where + 'norm')}: a LayerNorm before neurons is not supported; train "
                "with normalization: batchnorm"
            )


def _kind(state: StateDict, settings: Settings) -> str:
    """Return the kind of neuron, the same in all hidden layers."""
    found = {name.split(".")[2] for name in state.names if name.startswith("snn.0.")}
    given = settings.options.neuron
    kind = next((k for k, names in _NAMES.items() if found - {"W", "norm"} == set(names)), None)
    if kind is None:
        raise FormatError(
            f"{state.key('snn.0')}: parameters {', '.join(sorted(found))} belong to no neuron that "
            "is known: SiLIF, C-SiLIF, RF, constrained AdLIF, adLIF, LIF"
        )
    possible = ("cadlif", "adlif") if kind == "adlif" else (kind,)
    if given is not None and given not in possible:
        raise InputError(
            f"--neuron {given}, but the names are those of {' or '.join(possible)}; possible here"
        )
    if given is not None or kind != "adlif":
        settings.add("neuron", _SHOWN[given or kind], "option" if given else "names")
        return given or kind
    settings.ask(
        "neuron",
        "--neuron cadlif or adlif (the same names: constrained AdLIF keeps decays within 0.36 to "
        "0.96 and 0.96 to 0.99, adLIF within 0.82 to 0.96 and 0.967 to 0.992)",
    )
    return "cadlif"


def _weighted(
    state: StateDict, index: int, sizes: list[int], norm: str, where: str
) -> dict[str, Tensor]:
    key, shape = f"snn.{index}.", (sizes[index + 1], sizes[index])
    bias = f"{key}W.bias"
    made = {
        f"{where}linear.weight": state.take(f"{key}W.weight", shape, "the layer before it"),
        f"{where}linear.bias": state.take(bias, shape[:1], "W.weight")
        if bias in state
        else torch.zeros(shape[0]),
    }
    if norm == "batch":
        for name in ("weight", "bias", "running_mean", "running_var"):
            made[f"{where}norm.{name}"] = state.take(f"{key}norm.{name}", shape[:1], "W.weight")
        counter = f"{key}norm.num_batches_tracked"
        counted = state.take(counter, (), "a count") if counter in state else torch.tensor(0)
        made[f"{where}norm.num_batches_tracked"] = counted
    return made


def _input(state: StateDict, size: int, settings: Settings) -> InputSpec:
    given = settings.options.input
    for option, value in (("--mean", settings.options.mean), ("--std", settings.options.std)):
        if value is not None:
            raise InputError(f"{option}: this network has no encoder to fold it into")
    if given is None:
        settings.ask(
            "input",
            "--input counts:HIGH (integers from 0 to HIGH, such as events per bin) or "
            f"float:LOW:HIGH, of which {state.key('snn.0.W.weight')} reads {size} per step",
        )
        return InputSpec.counts(size, 1)
    spec = parse_input(given, size)
    if spec.kind == "tokens":
        raise InputError("--input tokens, but the network reads numbers: counts:HIGH or float")
    reach = "" if spec.kind == "uint8" else f" in [{spec.low:g}, {spec.high:g}]"
    settings.add("input", f"{spec.kind} of {size}{reach}", "option")
    return spec


def _record(kind: str, sizes: list[int], norm: str, settings: Settings) -> None:
    settings.add("layers", "-".join(map(str, sizes)), "names")
    settings.add("norm", norm, "names")
    if norm == "batch":
        settings.add("norm_eps", "1e-05", "assumed", "the default of PyTorch, as in its code")
    settings.add("threshold", "1", "assumed", "as its training code has it")
    if kind == "rf":
        settings.add("dt", f"{_EULER_DT:g}", "assumed", "a constant of its code")
    settings.add(
        "initial_state", "zero", "assumed", "its code draws every state at random for each batch"
    )
    settings.add(
        "readout",
        "mean over time of the softmax of leaky integrators",
        "assumed" if kind == "lif" else "names",
        "its code has the sum: the same but for the number of steps",
    )


def _notes(kind: str, state: Parameters) -> list[str]:
    notes = ["neurons' parameters converted; the checkpoint is in float64 to keep them"]
    notes.append("readout: the mean over time in place of the sum, with the same predictions")
    if kind == "rf":
        poles = torch.cat([v for name, v in state.items() if name.endswith(".pole")])
        outside = int((torch.linalg.vector_norm(poles, dim=1) >= 1).sum())
        if outside:
            notes.append(
                f"{outside} of {len(poles)} neurons have a pole outside the unit circle, where "
                "nothing is proved: compile with --scaling calibrated"
            )
    return notes


def _check_finite(state: Parameters) -> None:
    for name, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise UnsupportedError(
                f"{name}: {int((~torch.isfinite(value)).sum())} values of the neurons computed "
                "from the file are not finite"
            )


def _clamped(kind: str, taken: Parameters) -> dict[str, Tensor]:
    limits = _CLAMPS.get(kind, {})
    return {n: v.clamp(*limits[n]) if n in limits else v for n, v in taken.items()}


def _adaptive(alpha: Tensor, beta: Tensor, a: Tensor, b: Tensor) -> dict[str, Tensor]:
    one = torch.ones_like(alpha)
    return {
        "gain": 1 - alpha,
        "threshold": one,
        "decay": alpha,
        "adaptation_decay": beta,
        "sensitivity": a,
        "jump": b,
        "reset": one,
    }


def _resonant(pole: Tensor, reset: Tensor, gain: Tensor, threshold: float) -> dict[str, Tensor]:
    return {
        "gain": gain,
        "threshold": torch.full_like(gain, threshold),
        "pole": torch.view_as_real(pole.resolve_conj()).clone(),
        "reset": torch.view_as_real(reset.resolve_conj()).clone(),
    }


def _adlif(kind: str) -> Callable[[Parameters], dict[str, Tensor]]:
    return lambda taken: _adaptive(**_clamped(kind, taken))


def _lif(taken: Parameters) -> dict[str, Tensor]:
    zero = torch.zeros_like(taken["alpha"])
    return _adaptive(_clamped("lif", taken)["alpha"], zero, zero, zero)


def _silif(taken: Parameters) -> dict[str, Tensor]:
    values, dt = _clamped("silif", taken), taken["dt"].exp()
    alpha, beta = (torch.exp(-values[name].exp() * dt) for name in ("alpha", "beta"))
    return _adaptive(alpha, beta, values["a"], values["b"])


def _csilif(taken: Parameters) -> dict[str, Tensor]:
    rate = torch.complex(-taken["log_log_alpha"].exp(), taken["alpha_img"])
    pole = torch.exp(rate * taken["log_dt"].exp())
    half = torch.full_like(pole, 0.5)
    return _resonant(pole, half, taken["b"], 0.5)  # twice the real part is compared with 1


def _rf(taken: Parameters) -> dict[str, Tensor]:
    rate = torch.complex(taken["alpha_real"].clamp(max=-0.1), taken["alpha_im"])
    pole = 1 + _EULER_DT * rate
    # The reset follows the turn there: u' = pole u + dt x - s = pole (u - s / pole) + dt x.
    return _resonant(pole, 1 / pole, torch.full_like(taken["alpha_im"], _EULER_DT), 1.0)


_NEURONS: dict[str, Callable[[Parameters], dict[str, Tensor]]] = {
    "silif": _silif,
    "csilif": _csilif,
    "rf": _rf,
    "cadlif": _adlif("cadlif"),
    "adlif": _adlif("adlif"),
    "lif": _lif,
}
