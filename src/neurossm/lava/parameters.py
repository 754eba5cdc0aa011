"""The parameters of the Lava processes: plain arrays, checked, each with the equation it serves.

The equations are those of the `fixed_pt` models, which round and saturate (`neurossm.lava.fixed`).
The `floating_pt` models compute the same in float64 without rounding and saturation
(`neurossm.lava.floating`); with all shifts zero, the default, that is the ordinary equation.

Symbols: H channels, N complex modes per channel, S table segments. `rshift(p, k)` is
`floor((p + 2**(k-1)) / 2**k)`, p for k = 0 and `p * 2**-k` for negative k; `sat` clamps to signed
integers of so many `bits`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from neurossm.errors import InputError
from neurossm.lava.record import FloatingOnly, spread

__all__ = [
    "GELU",
    "Decoder",
    "DynamicTernary",
    "Function",
    "Logistic",
    "Modes",
    "Norm",
    "Normalise",
    "Product",
    "Rescale",
    "Segments",
    "Sum",
    "Ternary",
]


@dataclass(frozen=True, eq=False)
class Rescale:
    """`y = sat(rshift(gain*x, shift) + offset)`, per channel: all (H)."""

    gain: ArrayLike
    shift: ArrayLike = 0
    offset: ArrayLike = 0
    bits: int = 32

    def __post_init__(self) -> None:
        """Give every array the shape of the gain."""
        spread(self, (np.size(self.gain),), "gain", "shift", "offset")

    @property
    def channels(self) -> int:
        """Number of channels, H."""
        return int(np.size(self.gain))


@dataclass(frozen=True, eq=False)
class Segments:
    """Piecewise-linear function on segments 2**width wide, from `origin` up; the ends extend.

    `i = clamp(floor((x - origin) / 2**width), 0, S-1)`, `dx = x - origin - i*2**width`,
    `y = sat(base[i] + rshift(slope[i]*dx, slope_shift))`; base and slope are (S). For floats
    `width` may be negative.
    """

    origin: float
    width: int
    base: ArrayLike
    slope: ArrayLike
    slope_shift: int = 0
    bits: int = 32

    def __post_init__(self) -> None:
        """Give the arrays one shape."""
        spread(self, (np.size(self.base),), "base", "slope")


@dataclass(frozen=True, eq=False)
class Logistic(FloatingOnly):
    """`y = 1 / (1 + exp(-x))`: floating_pt only."""

    instead = "Segments"


@dataclass(frozen=True, eq=False)
class GELU(FloatingOnly):
    """`y = x Phi(x)` with the normal distribution function Phi: floating_pt only."""

    instead = "Segments"


Function: TypeAlias = Segments | Logistic | GELU
"""A function applied channel by channel."""


@dataclass(frozen=True, eq=False)
class Normalise:
    """`y = gain (x - mean) / sqrt(variance + eps) + offset`, statistics over the H channels.

    In integers, with `S = sum_h x_h` and R, p such that `R 2**-(30 + p)` is `1 / sqrt(V)`::

        d = H x - S        r = max(0, bit_length(max |d|) - 20)        d' = rshift(d, r)
        V = sum_h d'_h**2 + floor(eps / 4**r)        n = rshift(d' R, 10 + p), 0 where V = 0
        y = sat(rshift(gain n, shift) + offset)

    R comes of three Newton steps; see `docs/fixed-point.md`, LayerNorm. Floating:
    `n = 2**20 d / sqrt(sum_h d_h**2 + eps)`, `y = gain n 2**-shift + offset`. So, of a model's
    gain g, bias b and eps e: `gain = g sqrt(H)`, `shift = 20`, `offset = b`, `eps = e H**3`.
    """

    gain: ArrayLike
    shift: ArrayLike
    offset: ArrayLike
    eps: float
    bits: int = 32

    def __post_init__(self) -> None:
        """Give every array the shape of the gain."""
        spread(self, (np.size(self.gain),), "gain", "shift", "offset")

    @property
    def channels(self) -> int:
        """Number of channels, H."""
        return int(np.size(self.gain))


Norm: TypeAlias = Rescale | Normalise
"""A normalisation: a folded BatchNorm or a LayerNorm."""


@dataclass(frozen=True, eq=False)
class Ternary:
    """`s = 1 where y > threshold, -1 where y < -threshold, else 0`; threshold (H), 0 or more."""

    threshold: ArrayLike

    def __post_init__(self) -> None:
        """Check the sign."""
        spread(self, (np.size(self.threshold),), "threshold")
        if np.any(np.asarray(self.threshold) < 0):
            raise InputError(f"threshold {np.min(self.threshold)} is negative")


@dataclass(frozen=True, eq=False)
class DynamicTernary(FloatingOnly):
    """As `Ternary`, with `threshold = factor max_h |y_h|` anew at every step: floating_pt only."""

    factor: float
    instead = "Ternary with a static threshold"


@dataclass(frozen=True, eq=False)
class Product:
    """`z = sat(rshift(x*y, shift))`, shift (H)."""

    shift: ArrayLike
    bits: int = 32

    def __post_init__(self) -> None:
        """Make the shift an array."""
        spread(self, (np.size(self.shift),), "shift")


@dataclass(frozen=True, eq=False)
class Sum:
    """`z = sat(x + y)`."""

    bits: int = 32


@dataclass(frozen=True, eq=False)
class Modes:
    """Diagonal complex state-space model of H channels with N modes each.

    With A = pole_shift and k = input_shift (H, N), m = readout_shift (H)::

        s_re' = sat(rshift(a_re s_re - a_im s_im + u 2**(A + k), A))      state_bits
        s_im' = sat(rshift(a_re s_im + a_im s_re, A))                     state_bits
        y     = sat(sum_n rshift(c_re s_re' - c_im s_im', m) + rshift(d u, d_shift))      bits

    Floating: `s' = a s 2**-A + u 2**k`, `y = sum_n Re(c s') 2**-m + d u 2**-d_shift`.

    The input matrix and the factor 2 of the usual `y = 2 Re(sum_n C s)` are folded into c: see
    `of`. `integer_modes` rounds float modes to integers.

    Parameters
    ----------
    a_re, a_im, c_re, c_im
        Poles and readout, (H, N).
    d
        Direct path, (H).
    pole_shift, input_shift, readout_shift, d_shift
        Binary exponents; scalars are spread over channels and modes.
    state_bits, bits
        Width of the states and of y.
    """

    a_re: ArrayLike
    a_im: ArrayLike
    c_re: ArrayLike
    c_im: ArrayLike
    d: ArrayLike
    pole_shift: ArrayLike = 0
    input_shift: ArrayLike = 0
    readout_shift: ArrayLike = 0
    d_shift: ArrayLike = 0
    state_bits: int = 24
    bits: int = 32

    def __post_init__(self) -> None:
        """Check the shapes."""
        shape = np.shape(self.a_re)
        if len(shape) != 2:
            raise InputError(f"a_re: shape {shape}, expected (channels, modes)")
        spread(self, shape, "a_re", "a_im", "c_re", "c_im", "pole_shift", "input_shift")
        spread(self, shape[:1], "d", "d_shift", "readout_shift")

    @classmethod
    def of(cls, A_bar: ArrayLike, B_bar: ArrayLike, C: ArrayLike, D: ArrayLike) -> Modes:
        """Return float modes for `s' = A_bar s + B_bar u`, `y = 2 Re(sum_n C s') + D u`.

        The first three are complex (H, N), D is (H); B_bar may be anything that spreads to that.
        `a = A_bar`, `c = 2 B_bar C`: the states are those of the model divided by B_bar.
        """
        a = np.asarray(A_bar, np.complex128)
        c = 2 * np.asarray(B_bar) * np.asarray(C, np.complex128) * np.ones(a.shape)
        return cls(a.real, a.imag, c.real, c.imag, D)

    @property
    def channels(self) -> int:
        """Number of channels, H."""
        return int(np.shape(self.a_re)[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the states, (H, N)."""
        return np.shape(self.a_re)


@dataclass(frozen=True, eq=False)
class Decoder:
    """`logits = sat(floor((2z + n 2**shift) / (n 2**(shift+1))))`, `z = weight total + bias n`.

    That is `z / (n 2**shift)` to nearest, for the `total` (H) over n steps. `weight` is
    (classes, H), `bias` (classes). Floating: `(weight total / n + bias) 2**-shift`.
    """

    weight: ArrayLike
    bias: ArrayLike
    shift: int = 0
    bits: int = 32

    def __post_init__(self) -> None:
        """Check the shapes."""
        shape = np.shape(self.weight)
        if len(shape) != 2:
            raise InputError(f"weight: shape {shape}, expected (classes, channels)")
        spread(self, shape, "weight")
        spread(self, shape[:1], "bias")
