"""Neurons from plain integers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from neurossm import program
from neurossm.arrays import IntArray
from neurossm.errors import InputError
from neurossm.lava.processes.neuron.process import Neuron
from neurossm.lava.schedule import Schedule


def ssm_neuron(
    *,
    a_re: ArrayLike,
    a_im: ArrayLike,
    c_re: ArrayLike,
    c_im: ArrayLike,
    pole_shift: ArrayLike = 16,
    input_shift: ArrayLike = 0,
    readout_shift: ArrayLike = 0,
    d: ArrayLike = 0,
    d_shift: ArrayLike = 0,
    state_bits: int = 24,
    bits: int = 32,
    threshold: ArrayLike | None = None,
    ternary: bool = False,
    schedule: Schedule | None = None,
    name: str = "ssm",
) -> Any:
    """Make state-space neurons, which spike where they have a threshold; see `program.SSM`.

    The pole of a mode is `(a_re + i a_im) / 2**pole_shift`. A neuron sends its sum over the modes,
    `y`, on `s_out`; with a threshold its spikes, and y on `y_out`.

    Parameters
    ----------
    a_re, a_im, c_re, c_im : (H, N) integers
        Poles and readout of H neurons with N complex modes; a list of H numbers is one mode each.
    pole_shift, input_shift : integer or (H, N)
        Bits of the pole behind its point; shift of the input.
    readout_shift, d, d_shift : integer or (H)
        Rounding of the readout, and the direct path.
    state_bits, bits : int
        Widths of the states and of y, which saturate.
    threshold : integer or (H), optional
        Spikes are 1 where `y > threshold`.
    ternary : bool
        Whether they are -1 where `y < -threshold`.
    schedule : Schedule, optional
        When samples begin; by default one sample without end.
    name : str
        Name of the process.

    Raises
    ------
    InputError
        Poles outside the unit circle, shapes that do not fit, numbers out of range.

    Examples
    --------
    >>> neuron = ssm_neuron(a_re=[0], a_im=[58982], c_re=[1], c_im=[0], threshold=50)
    """
    poles = _modes(name, "a_re", a_re)
    channels = len(poles)
    members: list[program.Op] = [
        program.SSM(
            name,
            ("u",),
            program.unchecked(bits, 0, channels),
            a_re=poles,
            a_im=_modes(name, "a_im", a_im),
            c_re=_modes(name, "c_re", c_re),
            c_im=_modes(name, "c_im", c_im),
            pole_shift=_spread(pole_shift, poles.shape),
            input_shift=_spread(input_shift, poles.shape),
            readout_shift=_spread(readout_shift, (channels,)),
            d=_spread(d, (channels,)),
            d_shift=_spread(d_shift, (channels,)),
            state_bits=state_bits,
        )
    ]
    if threshold is not None:
        kind = program.Ternary if ternary else program.Spike
        level = _spread(threshold, (channels,))
        members.append(kind(f"{name}:spike", (name,), program.unchecked(2, 0, channels), level))
    return Neuron(members, schedule=schedule, name=name)


def lif_neuron(
    *,
    decay: ArrayLike,
    threshold: ArrayLike,
    decay_shift: ArrayLike = 12,
    state_bits: int = 24,
    schedule: Schedule | None = None,
    name: str = "lif",
) -> Any:
    """Make leaky integrate-and-fire neurons with hard reset; see `program.LIF`.

    `v' = rshift(decay v, decay_shift) + x`, to the nearest integer; a neuron spikes where
    `v' > threshold`, and begins again at 0.

    Parameters
    ----------
    decay : (H) integers
        What is kept of v in a step, in units of `2**-decay_shift`.
    threshold, decay_shift : integer or (H)
        Level of a spike; bits of the decay behind its point.
    state_bits : int
        Width of v, which saturates.
    schedule : Schedule, optional
        When samples begin; by default one sample without end.
    name : str
        Name of the process.

    Raises
    ------
    InputError
        Numbers out of range, or shapes that do not fit.
    """
    kept = np.atleast_1d(np.asarray(decay))
    neuron = program.LIF(
        name,
        ("x",),
        program.unchecked(2, 0, len(kept)),
        decay=kept,
        decay_shift=_spread(decay_shift, kept.shape),
        threshold=_spread(threshold, kept.shape),
        state_bits=state_bits,
    )
    return Neuron(neuron, schedule=schedule, name=name)


def _modes(name: str, field: str, values: ArrayLike) -> IntArray:
    """Return (H, N) for (H, N), or for (H) of one mode each."""
    array = np.asarray(values)
    if array.ndim not in (1, 2) or array.dtype.kind not in "iu":
        raise InputError(
            f"{name}: {field} of shape {array.shape} and type {array.dtype}; expected integers "
            "(neurons, modes)"
        )
    return array if array.ndim == 2 else array[:, None]


def _spread(values: ArrayLike, shape: tuple[int, ...]) -> Any:
    """Return one number as an array of a shape, and an array as it is."""
    array = np.asarray(values)
    return np.full(shape, array) if array.ndim == 0 else array
