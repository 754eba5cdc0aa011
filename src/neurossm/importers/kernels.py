"""The three ways in which S4 code writes a diagonal SSM into a state dict.

========  ====================================  ===========================================
dialect   names, after those of the layer       written by
========  ====================================  ===========================================
official  D, kernel.kernel.{log_dt, inv_A_real,  the paper's code (`s4_surrogate`, `s4_gsu`);
          A_imag, B, C}                          S4, third version, `mode: diag`
s4d       D, kernel.{log_dt, log_A_real,         the stand-alone `s4d.py`
          A_imag, C}
ss4d      those of s4d, ln_vth                   SpikingSSM (`ss4d.py`), trainable_B: false;
                                                C and D have one axis more than in s4d
s4        layer.D, layer.kernel.{inv_dt,         S4, fourth version, `mode: diag` or `s4d`
          A_real, A_imag, B, C}
========  ====================================  ===========================================

All compute ``K_l = 2 Re(sum_n C_n B_bar_n A_bar_n**l)`` with state matrices of number ``h mod M``
for channel h, as `neurossm.models.ssm` does. They differ in the layout, in the sign of A_imag
(`s4` stores ``-Im A``) and in the functions that keep dt and ``-Re A`` positive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from neurossm.errors import FormatError, InputError, UnsupportedError
from neurossm.importers.settings import Settings
from neurossm.importers.state import StateDict
from neurossm.importers.transforms import POSITIVE, TRANSFORMS, log_of
from neurossm.models.ssm import discretise

Dialect = Literal["official", "s4d", "s4", "ss4d"]

_RULES = ("bilinear", "zoh")
_KERNEL: dict[Dialect, str] = {
    "official": "kernel.kernel.",
    "s4": "layer.kernel.",
    "s4d": "kernel.",
    "ss4d": "kernel.",
}
_RANGES: dict[Dialect, tuple[str, str]] = {
    "official": ("log_dt", "inv_A_real"),
    "s4": ("inv_dt", "A_real"),
    "s4d": ("log_dt", "log_A_real"),
    "ss4d": ("log_dt", "log_A_real"),
}
_LOW_RANK = ("P", "Q", "inv_w_real", "w_imag", "l_kernel")


@dataclass(frozen=True)
class Sizes:
    """Channels H, modes N, independent state matrices M, and the key that says so."""

    channels: int
    modes: int
    independent: int
    source: str


@dataclass(frozen=True)
class KernelSettings:
    """What the names of a kernel cannot tell."""

    discretization: str
    real: str
    imag: str
    dt: str
    per_mode_dt: bool

    @property
    def exact(self) -> bool:
        """Whether our parameters are the file's, digit by digit."""
        return self.real == "exp" and self.dt == "exp" and self.imag == "none"


def dialect_of(state: StateDict, layer: str) -> Dialect:
    """Return how a layer writes its SSM.

    Raises
    ------
    UnsupportedError
        If its state matrix is not diagonal.
    FormatError
        If there is no SSM.
    """
    for dialect, kernel in _KERNEL.items():
        if state.has(layer + kernel):
            low_rank = [name for name in _LOW_RANK if layer + kernel + name in state]
            if low_rank:
                key = state.key(layer + kernel + low_rank[0])
                raise UnsupportedError(
                    f"{key}: an nplr (dplr) kernel, whose state matrix is not diagonal; "
                    "train with mode: diag"
                )
            return _soma_of(state, layer) if dialect == "s4d" else dialect
    raise FormatError(
        f"{state.key(layer)}kernel: missing from the state dict; no S4D kernel is known there"
    )


def _soma_of(state: StateDict, layer: str) -> Dialect:
    """Tell SpikingSSM from the stand-alone S4D, by the threshold of its soma or by C's axes."""
    if f"{layer}kernel.inv_dt" in state:
        raise UnsupportedError(
            f"{state.key(layer + 'kernel.inv_dt')}: the kernel of trainable_B: true, which is not "
            "supported; train with trainable_B: false"
        )
    spiking = f"{layer}ln_vth" in state or len(state.shape(f"{layer}kernel.C")) == 4
    return "ss4d" if spiking else "s4d"


def sizes_of(state: StateDict, layer: str, dialect: Dialect) -> Sizes:
    """Return the sizes of a layer.

    Raises
    ------
    FormatError
        If the shapes of a layer contradict each other.
    """
    d_name, _ = _outer_names(layer, dialect)
    a_name = f"{layer}{_KERNEL[dialect]}A_imag"
    channels, a = _direct_sizes(state.shape(d_name))[1], state.shape(a_name)
    a_key, d_key = state.key(a_name), state.key(d_name)
    if len(a) != 2 or 0 in a or channels % a[0]:
        raise FormatError(f"{a_key}: shape {a}, but {d_key} has {channels} channels")
    return Sizes(channels, a[1], a[0], f"{a_key} with {d_key}")


def _direct_sizes(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the kernels per channel and the channels, of D as (C, H), (H) or, last, (H, 1)."""
    if len(shape) == 2 and shape[1] == 1:
        return 1, shape[0]
    return (shape[0] if len(shape) == 2 else 1), (shape[-1] if shape else 0)


def _direct(state: StateDict, name: str, sizes: Sizes, axes: int) -> Tensor:
    """Take D (H), stored with a leading axis of one (axes 2), without, or with a trailing one."""
    shape = state.shape(name)
    wanted = (sizes.channels,) if axes == 1 else (1, sizes.channels)
    if shape == (sizes.channels, 1):
        wanted = shape
    return state.take(name, wanted, sizes.source).reshape(sizes.channels)


def check_channels(state: StateDict, layer: str, dialect: Dialect) -> None:
    """Check that a layer has one causal kernel per channel.

    Raises
    ------
    UnsupportedError
        If the kernel is bidirectional or has several channels.
    FormatError
        If a tensor is missing or has the wrong number of axes.
    """
    d_name, c_name = _outer_names(layer, dialect)
    d, c = state.shape(d_name), state.shape(c_name)
    axes = (1, 3) if dialect == "s4d" else (2, 4)
    last = len(d) == 2 and d[1] == 1
    for name, shape, wanted in ((d_name, d, len(d) if last else axes[0]), (c_name, c, axes[1])):
        if len(shape) != wanted or 0 in shape:
            raise FormatError(f"{state.key(name)}: shape {shape}, expected {wanted} axes")
    if dialect != "s4d":
        _refuse_channels(state.key(c_name), c[0], _direct_sizes(d)[0])


def _outer_names(layer: str, dialect: Dialect) -> tuple[str, str]:
    d_name = f"{layer}layer.D" if dialect == "s4" else f"{layer}D"
    return d_name, f"{layer}{_KERNEL[dialect]}C"


def _refuse_channels(key: str, kernels: int, outputs: int) -> None:
    if kernels == 2 * outputs:
        raise UnsupportedError(
            f"{key}: two kernels per channel, as in a bidirectional layer, which reads the future "
            "and cannot stream; train with bidirectional: false"
        )
    if kernels != outputs:
        raise FormatError(f"{key}: {kernels} kernels per channel, but D has {outputs}")
    if outputs > 1:
        raise UnsupportedError(f"{key}: channels: {outputs}; only channels: 1 is supported")


def kernel_settings(
    state: StateDict, layer: str, dialect: Dialect, settings: Settings
) -> KernelSettings:
    """Decide what the names cannot tell; the same for all layers of a network.

    Raises
    ------
    InputError, UnsupportedError
        If an option, or the configuration, is not possible for this kernel.
    """
    options = settings.options
    if dialect != "s4" and options.dt_transform not in (None, "exp"):
        raise InputError(
            f"--dt-transform {options.dt_transform}: this kernel stores log_dt; possible here: exp"
        )
    if dialect in ("s4d", "ss4d"):
        settings.choose("discretization", options.discretization, (), "zoh", ("zoh",))
        settings.choose("real_transform", options.real_transform, (), "exp", ("exp",))
        return KernelSettings("zoh", "exp", "none", "exp", False)
    usual = "bilinear" if dialect == "official" else "zoh"
    rule = settings.choose(
        "discretization", options.discretization, ("disc", "discretization"), usual, _RULES
    )
    keys = ("real_type", "real_transform")
    real = settings.choose("real_transform", options.real_transform, keys, "exp", TRANSFORMS)
    if dialect == "official":
        return KernelSettings(rule, real, "none", "exp", False)
    dt = settings.choose("dt_transform", options.dt_transform, ("dt_transform",), "exp", TRANSFORMS)
    imag = str(settings.layer.get("imag_transform") or "none")
    if imag not in TRANSFORMS:
        raise UnsupportedError(f"model.layer.imag_transform: {imag} is not known")
    per_mode = state.shape(f"{layer}layer.kernel.inv_dt")[-1:] != (1,)
    return KernelSettings(rule, real, imag, dt, per_mode)


def read_kernel(
    state: StateDict, layer: str, dialect: Dialect, sizes: Sizes, settings: KernelSettings
) -> dict[str, Tensor]:
    """Return a layer's SSM under the names of `neurossm.models.ssm.S4D`.

    Returns
    -------
    dict
        log_dt (H), A_real_log (M, N), A_imag (M, N), B (M, N, 2), C (H, N, 2), D (H).

    Raises
    ------
    FormatError
        If a tensor is missing or does not fit.
    UnsupportedError
        If a transform gives a dt or a ``-Re A`` that is not positive.
    """
    read = {
        "official": _read_official,
        "s4d": _read_s4d,
        "s4": _read_s4,
        "ss4d": _read_ss4d,
    }[dialect]
    parameters = read(state, layer, sizes, settings)
    _check_poles(state, layer, dialect, settings.discretization, parameters)
    return parameters


def _check_poles(
    state: StateDict, layer: str, dialect: Dialect, rule: str, parameters: dict[str, Tensor]
) -> None:
    """Refuse numbers that are no positive dt or no pole inside the unit circle in float64."""
    dt_name, real_name = _RANGES[dialect]
    kernel = layer + _KERNEL[dialect]
    for name, values in ((dt_name, parameters["log_dt"]), (real_name, parameters["A_real_log"])):
        positive = torch.exp(values.double())
        wrong = ~(torch.isfinite(positive) & (positive > 0))
        if bool(wrong.any()):
            number = float(values.double()[wrong][0])
            what = "dt" if name == dt_name else "-Re A"
            raise UnsupportedError(
                f"{state.key(kernel + name)}: {what} is exp({number:g}), out of the range of "
                "positive float64 numbers; no pole inside the unit circle"
            )
    names = ("log_dt", "A_real_log", "A_imag", "B")
    a_bar, _ = discretise(rule, *(parameters[name] for name in names))  # type: ignore[arg-type]
    outside = ~(a_bar.abs() < 1)
    if bool(outside.any()):
        channel, mode = (int(axis[0]) for axis in torch.nonzero(outside, as_tuple=True))
        raise UnsupportedError(
            f"{state.key(kernel + dt_name)} with {real_name}: channel {channel}, mode {mode}: the "
            f"pole ({rule}) has modulus {float(a_bar[channel, mode].abs()):.17g}, not inside the "
            "unit circle; dt or -Re A is out of range"
        )


def _read_official(
    state: StateDict, layer: str, sizes: Sizes, settings: KernelSettings
) -> dict[str, Tensor]:
    h, n, m, source = sizes.channels, sizes.modes, sizes.independent, sizes.source
    kernel = f"{layer}kernel.kernel."
    real = state.take(f"{kernel}inv_A_real", (m, n), source)
    return {
        "log_dt": state.take(f"{kernel}log_dt", (h,), source),
        "A_real_log": log_of(settings.real, real, state.key(f"{kernel}inv_A_real")),
        "A_imag": state.take(f"{kernel}A_imag", (m, n), source),
        "B": state.take(f"{kernel}B", (m, n, 2), source),
        "C": state.take(f"{kernel}C", (1, h, n, 2), source)[0],
        "D": _direct(state, f"{layer}D", sizes, 2),
    }


def _read_s4d(state: StateDict, layer: str, sizes: Sizes, _: KernelSettings) -> dict[str, Tensor]:
    h, n, source = sizes.channels, sizes.modes, sizes.source
    c = state.take(f"{layer}kernel.C", (h, n, 2), source)
    return {**_log_poles(state, layer, sizes), "C": c, "D": _direct(state, f"{layer}D", sizes, 1)}


def _read_ss4d(state: StateDict, layer: str, sizes: Sizes, _: KernelSettings) -> dict[str, Tensor]:
    h, n, source = sizes.channels, sizes.modes, sizes.source
    c = state.take(f"{layer}kernel.C", (1, h, n, 2), source)[0]
    return {**_log_poles(state, layer, sizes), "C": c, "D": _direct(state, f"{layer}D", sizes, 2)}


def _log_poles(state: StateDict, layer: str, sizes: Sizes) -> dict[str, Tensor]:
    """Take what the stand-alone kernels have in common."""
    h, n, m, source = sizes.channels, sizes.modes, sizes.independent, sizes.source
    kernel = f"{layer}kernel."
    real = state.take(f"{kernel}log_A_real", (m, n), source)
    ones = torch.stack([torch.ones_like(real), torch.zeros_like(real)], dim=-1)  # B is 1 there
    return {
        "log_dt": state.take(f"{kernel}log_dt", (h,), source),
        "A_real_log": real,
        "A_imag": state.take(f"{kernel}A_imag", (m, n), source),
        "B": ones,
    }


def _read_s4(
    state: StateDict, layer: str, sizes: Sizes, settings: KernelSettings
) -> dict[str, Tensor]:
    h, n, m, source = sizes.channels, sizes.modes, sizes.independent, sizes.source
    kernel = f"{layer}layer.kernel."
    dt_shape = (h, n if settings.per_mode_dt else 1)
    dt = state.take(f"{kernel}inv_dt", dt_shape, source)
    real = state.take(f"{kernel}A_real", (m, n), source)
    imag = state.take(f"{kernel}A_imag", (m, n), source)
    log_dt = log_of(settings.dt, dt, state.key(f"{kernel}inv_dt"))  # (H, N) or (H, 1)
    parameters = {
        "A_real_log": log_of(settings.real, real, state.key(f"{kernel}A_real")),
        "A_imag": -(imag if settings.imag == "none" else POSITIVE[settings.imag](imag.double())),
        "B": state.take(f"{kernel}B", (1, m, n, 2), source)[0],
        "C": state.take(f"{kernel}C", (1, h, n, 2), source)[0],
        "D": _direct(state, f"{layer}layer.D", sizes, 2),
    }
    if settings.per_mode_dt:
        return _one_dt_per_channel(log_dt, parameters)
    return {"log_dt": log_dt[:, 0], **parameters}


def _one_dt_per_channel(log_dt: Tensor, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    """Move a dt per mode into A and B: only ``dt A`` and ``dt B`` count, in either rule."""
    channel = log_dt.double().mean(dim=1)  # (H)
    ratio = log_dt.double() - channel[:, None]  # (H, N), logarithm of dt_{h,n} / dt_h

    def untie(values: Tensor) -> Tensor:
        return values.double().repeat(len(channel) // len(values), *[1] * (values.ndim - 1))

    return {
        **parameters,
        "log_dt": channel,
        "A_real_log": untie(parameters["A_real_log"]) + ratio,
        "A_imag": untie(parameters["A_imag"]) * ratio.exp(),
        "B": untie(parameters["B"]) * ratio.exp()[..., None],
    }
