"""Neurons for Lava users: modes of a model, integers for them, and the example that shows both."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neurossm.compile import CompileOptions, Widths
from neurossm.errors import LimitError
from neurossm.lava import Modes, fixed, floating, integer_modes

EXAMPLE = Path(__file__).parents[2] / "examples" / "lava" / "ssm_neuron.py"


def random_modes(seed, channels=3, modes=4):
    rng = np.random.default_rng(seed)
    A = -0.5 + 1j * np.pi * np.arange(modes)
    A_bar = np.exp(rng.uniform(0.01, 0.1, (channels, 1)) * A)
    B_bar = (A_bar - 1) / A
    C = rng.normal(size=(channels, modes)) + 1j * rng.normal(size=(channels, modes))
    return A_bar, B_bar, C, rng.normal(size=channels)


def run(modes, u):
    """Return y (steps, H) in floating point."""
    re, im = (np.zeros(modes.shape) for _ in range(2))
    coefficients = floating.coefficients(modes)
    return np.array([floating.step(coefficients, row, re, im) for row in u])


def test_modes_of_a_model_are_its_recurrence():
    A_bar, B_bar, C, D = random_modes(0)
    u = np.random.default_rng(1).normal(size=(20, 3))
    s, expected = np.zeros(A_bar.shape, complex), []
    for row in u:
        s = A_bar * s + B_bar * row[:, None]
        expected.append(2 * (C * s).sum(axis=1).real + D * row)
    np.testing.assert_allclose(run(Modes.of(A_bar, B_bar, C, D), u), expected, rtol=1e-12)


@pytest.mark.parametrize("bits", [2, 9, 16])
def test_integer_modes_follow_the_float_ones_and_never_saturate(bits):
    modes = Modes.of(*random_modes(2))
    integers, exponent = integer_modes(modes, input_bits=bits, input_exponent=3)
    # the input that drives y of channel 0 the furthest: signs of its impulse response, backwards
    impulse = np.zeros((400, 3))
    impulse[0] = 1
    signs = np.sign(run(modes, impulse)[::-1])
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    u = np.where(signs > 0, high, low).astype(np.int64)
    re, im = (np.zeros(modes.shape, np.int64) for _ in range(2))
    got = []
    for row in u:
        y, states, outputs = fixed.step(integers, row, re, im)
        assert states == outputs == 0
        got.append(y)
    expected = run(modes, u / 8)
    error = np.array(got) * 2.0**-exponent - expected
    assert np.abs(error).max() < 2e-3 * np.abs(expected).max()
    # far from wasting the width: y comes within a factor of eight of the accumulator's 32 bits
    assert np.abs(got).max() > 1 << 28


def test_input_too_wide_for_the_states_is_refused():
    modes = Modes.of(*random_modes(3))
    options = CompileOptions(widths=Widths(state=8))
    with pytest.raises(LimitError, match="use wider states"):
        integer_modes(modes, input_bits=40, options=options)


def test_the_example_tells_four_tones_apart():
    ran = subprocess.run(
        [sys.executable, EXAMPLE], capture_output=True, text=True, timeout=100, check=True
    )
    rows = [line.split() for line in ran.stdout.splitlines()[2:6]]
    counts = np.array(rows, float)[:, 1:]  # neuron, tone
    own = np.diag(counts)
    assert (own >= 40).all()  # of 300 steps
    assert (counts - np.diag(own)).sum() == 0
    assert ran.stdout.splitlines()[-1] == "100.00% of 4800 spikes as in floating point"
