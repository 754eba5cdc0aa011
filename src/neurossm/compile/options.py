"""What a user can choose when compiling: widths, scaling, tables, the longest sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from neurossm.checks import checked_type, is_number
from neurossm.errors import InputError

DEFAULT_TARGET = "loihi2-sim"
SCALINGS = ("proved", "calibrated")
ROW_SCALES = ("power-of-two", "full")
ROUNDINGS = ("adjusted", "nearest")
WIDTH_RANGES = {
    "weight": (2, 8),
    "decoder": (2, 16),
    "pole": (6, 24),
    "readout": (4, 24),
    "state": (8, 32),
    "drive": (6, 24),
    "residual": (8, 24),
    "mix": (8, 24),
    "graded": (8, 24),
    "gain": (4, 24),
}


@dataclass(frozen=True)
class Widths:
    """Widths in bits of signed integers, sign included.

    Parameters
    ----------
    weight
        Encoder and mixing weights.
    decoder
        Weights of the decoder, which is applied once per sample.
    pole
        Real and imaginary parts of the poles.
    readout
        Real and imaginary parts of C, and D.
    state
        Real and imaginary parts of the SSM states.
    drive
        The input `u` of an SSM.
    residual
        The residual stream, a graded message.
    mix
        Both halves of a gated linear unit after the bias, and table outputs.
    graded
        The SSM output that a GSU sends into its ternary weights; what graded S4D sends into its
        weights, and the SSM output that its table reads.
    gain
        Factors of Affine operations.
    """

    weight: int = 8
    decoder: int = 16
    pole: int = 16
    readout: int = 16
    state: int = 24
    drive: int = 16
    residual: int = 24
    mix: int = 16
    graded: int = 20
    gain: int = 16

    def __post_init__(self) -> None:
        """Refuse widths no target could hold."""
        for entry in fields(self):
            bits, (low, high) = getattr(self, entry.name), WIDTH_RANGES[entry.name]
            if not _is_integer(bits) or not low <= bits <= high:
                raise InputError(
                    f"width of {entry.name}: {bits} bits, must be an integer from {low} to {high}"
                )


@dataclass(frozen=True)
class CompileOptions:
    """Everything that decides how a graph becomes a program.

    Parameters
    ----------
    widths
        Bits of every kind of number.
    layers
        Other widths for single layers: by the layer's name ("blocks.0") and the width's. The
        residual stream has one width and exponent for all layers.
    scaling
        "proved": bounds from interval analysis and pole series; nothing can overflow.
        "calibrated": ranges seen on data, doubled `headroom_bits` times; saturation guards them.
    headroom_bits
        Spare bits above the largest value seen; only for calibrated scaling.
    max_steps
        Longest sample, in time steps.
    table_step_log2
        Segments of the piecewise-linear tables are `2**-table_step_log2` wide; None takes 1/8 for
        sigmoid and 1/16 for GELU, 128 segments each.
    slope_digits
        Nonzero signed binary digits of a table's slope: shifts and additions per evaluation.
    pole_margin_log2
        Poles are kept where `1 / (1 - |A_bar|)` is below 2 to this power.
    threshold_scale
        A dynamic GSU threshold becomes its mean over calibration data times this factor; None
        takes, layer by layer, the factor whose spikes say most of what the layer computed from
        the dynamic one's, and keeps the dynamic threshold where the target can compute it.
    row_scale
        What one unit of a row of weights stands for: a "power-of-two", or "full": what makes the
        row's largest weight fill the width, undone by one product per feature after the sum.
    rounding
        "adjusted": mixing weights are rounded so that their errors cancel on calibration data,
        where there are any; "nearest": each by itself.
    """

    widths: Widths = field(default_factory=Widths)
    layers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    scaling: str = "proved"
    headroom_bits: int = 1
    max_steps: int = 1 << 20
    table_step_log2: int | None = None
    slope_digits: int = 3
    pole_margin_log2: int = 16
    threshold_scale: float | None = None
    row_scale: str = "full"
    rounding: str = "adjusted"

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        checked_type("widths", self.widths, Widths)
        for layer, own in checked_type("layers", self.layers, Mapping).items():  # type: ignore[type-abstract]
            checked_type(f"layers[{layer!r}]", own, Mapping)  # type: ignore[type-abstract]
            self.widths_of(layer)
        _check_choice("scaling", self.scaling, SCALINGS)
        _check_choice("row_scale", self.row_scale, ROW_SCALES)
        _check_choice("rounding", self.rounding, ROUNDINGS)
        for name, low, high in (
            ("headroom_bits", 0, 8),
            ("max_steps", 1, 1 << 30),
            ("table_step_log2", -1, 6),
            ("slope_digits", 1, 8),
            ("pole_margin_log2", 4, 24),
        ):
            value = getattr(self, name)
            if value is None and name == "table_step_log2":
                continue
            if not _is_integer(value) or not low <= value <= high:
                raise InputError(f"{name} = {value}, must be an integer from {low} to {high}")
        scale = self.threshold_scale
        if scale is not None and not (is_number(scale) and 0 < scale < float("inf")):
            raise InputError(f"threshold_scale = {self.threshold_scale}, must be positive")

    def widths_of(self, layer: str) -> Widths:
        """Return the widths that hold for a layer.

        Raises
        ------
        InputError
            Its widths are unknown, out of range, or that of the residual stream.
        """
        own = self.layers.get(layer, {})
        for width in own:
            if width == "residual":
                raise InputError(
                    f"layer {layer}: residual = {own[width]}, but the residual stream has one "
                    "width for all layers; set it by default"
                )
            if width not in WIDTH_RANGES:
                raise InputError(
                    f"layer {layer}: unknown width {width!r}, expected one of "
                    f"{', '.join(WIDTH_RANGES)}"
                )
        try:
            return replace(self.widths, **own)
        except InputError as error:
            raise InputError(f"layer {layer}: {error}") from None


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{name} {value!r}, expected one of {', '.join(choices)}")
