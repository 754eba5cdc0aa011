"""Put poles on the integer grid: inside the unit circle, and where the response changes least."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurossm import grid_points
from neurossm.arrays import BoolArray, ComplexArray, FloatArray, IntArray
from neurossm.compile.scaling import fitting_exponent, largest_mantissa
from neurossm.errors import LimitError
from neurossm.graph import SSMNode
from neurossm.grid_points import nearest_poles
from neurossm.program.pole_series import PoleSeries, pole_series
from neurossm.program.ssm import ABSENT_SHIFT

_PULL = 1e-6
_UNMOVED = 1e-13
"""A pole that is so near to its grid point is on it, but for the rounding of double precision."""


def quantise_poles(
    A_bar: ComplexArray, bits: int, margin_log2: int, where: str
) -> tuple[IntArray, IntArray, IntArray]:
    """Put poles (H, N) on integer grids, each as fine as `bits` bits allow.

    A pole is kept as `bits`-bit numbers either itself, with `bits - 1` fractional bits, or as its
    difference from 1, with as many fractional bits as that needs: the slow modes, whose response a
    coarse pole spoils most, are near 1. Every pole `q` obeys `1 / (1 - |q|) <= 2**margin_log2`. Of
    the 16 grid points around the exact pole (moved into the allowed disc if it lies outside) the
    one is taken whose impulse response differs least, see `response_distance`.

    Returns
    -------
    a_re, a_im, pole_shift
        (H, N) each, for the poles `(a_re + i a_im) / 2**pole_shift`.

    Raises
    ------
    LimitError
        The grid is so coarse that no point near a pole is allowed.
    """
    a_re, a_im, shift, allowed = nearest_poles(A_bar, bits, margin_log2, np)
    if not allowed.all():
        h, n = np.argwhere(~allowed)[0]
        raise LimitError(
            f"{where}: no stable {bits}-bit pole near that of channel {h}, mode {n}; "
            "use wider poles"
        )
    return a_re.astype(np.int64), a_im.astype(np.int64), shift.astype(np.int64)


def response_distance(q: ComplexArray, p: ComplexArray) -> FloatArray:
    """Return `sum_t |q^t - p^t|^2` over all t >= 0; infinite for |q| >= 1."""
    distance: FloatArray = grid_points.response_distance(q, p, np)
    return distance


def refit_residues(C: ComplexArray, p: ComplexArray, q: ComplexArray) -> ComplexArray:
    """Return the `C'` whose response with poles `q` is nearest to that of `C` with poles `p`.

    Minimises, per channel and over all modes together, `sum_t (Re sum_n C'_n q_n^t - C_n p_n^t)^2`,
    whose inner products are geometric series: `sum_t conj(a)^t b^t = 1 / (1 - conj(a) b)`. A slight
    pull towards the best `C'` of each mode alone keeps near-equal modes from large opposite values.
    All arrays are (H, N).
    """
    alone = C * (1 - np.abs(q) ** 2) / (1 - p * np.conj(q))
    refitted = C.copy()
    for h in range(len(C)):
        there = C[h] != 0
        modes = int(there.sum())
        own, moved, found = C[h, there], q[h, there], alone[h, there]
        if np.abs(moved - p[h, there]).max(initial=0.0) < _UNMOVED:
            continue  # a model that was trained on the grid: nothing to make up for
        q_pairs = np.concatenate([moved, moved.conj()])  # Re z = (z + conj z) / 2
        p_pairs = np.concatenate([p[h, there], p[h, there].conj()])
        gram = 1 / (1 - np.outer(q_pairs.conj(), q_pairs))
        cross = 1 / (1 - np.outer(q_pairs.conj(), p_pairs))
        pull = _PULL * np.diag(gram).real
        wanted = cross @ np.concatenate([own, own.conj()])
        wanted += pull * np.concatenate([found, found.conj()])
        refitted[h, there] = np.linalg.solve(gram + np.diag(pull), wanted)[:modes]
    return refitted


@dataclass(frozen=True, eq=False)
class Poles:
    """Quantised poles of an SSM with all that follows from them alone."""

    a_re: IntArray
    a_im: IntArray
    shift: IntArray
    series: PoleSeries
    C: ComplexArray
    """C refitted to the quantised poles, the factor 2 of the real part included."""

    @property
    def absent(self) -> BoolArray:
        """Tell the modes (H, N) that stand behind those of a channel with fewer."""
        absent: BoolArray = self.shift == ABSENT_SHIFT
        return absent


def prepare_poles(node: SSMNode, bits: int, margin_log2: int) -> Poles:
    """Quantise the poles of an SSM whose B is folded, and refit C to them.

    Modes whose C is 0 do nothing: behind the last of a channel that does something, they are
    absent.
    """
    there = node.C != 0
    count = (there * np.arange(1, there.shape[1] + 1)).max(axis=1, initial=0)
    absent = np.arange(there.shape[1]) >= count[:, None]
    exact = np.where(absent, 0, node.A_bar)
    a_re, a_im, shift = quantise_poles(exact, bits, margin_log2, node.name)
    q = (a_re + 1j * a_im) * np.exp2(-shift.astype(np.float64))
    C = 2 * refit_residues(node.C, exact, q)
    shift = np.where(absent, ABSENT_SHIFT, shift)
    return Poles(a_re, a_im, shift, pole_series(a_re, a_im, shift), C)


def drive_deficit(
    poles: Poles, drive: FloatArray, state_peak: FloatArray | None, state_bits: int
) -> IntArray:
    """Return by how many bits (H) the input must be narrower so that every state can hold it.

    `drive` is the largest integer input (H) at the exponent tried; `state_peak` the largest
    states (H, N) in units of the input's integers, None for proved scaling.
    """
    shift = input_shift(poles, drive, state_peak, state_bits)
    deficit: IntArray = np.maximum(0, -(poles.shift + shift).min(axis=1))
    return deficit


def input_shift(
    poles: Poles, drive: FloatArray, state_peak: FloatArray | None, state_bits: int
) -> IntArray:
    """Return k (H, N): by what power of two the input enters each mode to fill its state."""
    limit = largest_mantissa(state_bits) - 1.0
    if state_peak is not None:
        shift = fitting_exponent(state_peak, limit)
    else:
        series = np.maximum(poles.series.re_total, poles.series.im_total)
        shift = fitting_exponent(series * drive[:, None], limit - drift(poles))
    return np.where(poles.absent, -ABSENT_SHIFT, shift)


def drift(poles: Poles) -> FloatArray:
    """Return how far the rounding errors of all steps can move a state, (H, N)."""
    return 0.5 * (poles.series.re_total + poles.series.im_total)


def check_drift(name: str, poles: Poles, state_bits: int) -> None:
    """Refuse states that the rounding errors alone could fill, before any input."""
    largest = drift(poles)
    limit = largest_mantissa(state_bits) - 1
    if largest.max() >= limit:
        h, m = np.unravel_index(int(largest.argmax()), largest.shape)
        needed = int(np.ceil(np.log2(largest.max() + 2))) + 2
        raise LimitError(
            f"{name}: states of {state_bits} bits cannot be proved: in channel {h}, mode "
            f"{m} rounding alone can add up to {largest.max():.0f} of {limit}; use at least "
            f"{needed} bits, a smaller pole margin, or calibrated scaling"
        )
