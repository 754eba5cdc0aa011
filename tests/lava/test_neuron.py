"""Neurons for Lava users: steps of a node, integers for it, and the example that shows both."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neurossm.compile import CompileOptions, Widths, integer_neuron
from neurossm.errors import LimitError, UnsupportedError
from neurossm.graph import MeanNode, SSMNode
from neurossm.lava.stepping import initial_states, stepper
from neurossm.program import Tally

EXAMPLE = Path(__file__).parents[2] / "examples" / "lava" / "ssm_neuron.py"


def random_ssm(seed, channels=3, modes=4):
    rng = np.random.default_rng(seed)
    A = -0.5 + 1j * np.pi * np.arange(modes)
    A_bar = np.exp(rng.uniform(0.01, 0.1, (channels, 1)) * A)
    B_bar = (A_bar - 1) / A
    C = rng.normal(size=(channels, modes)) + 1j * rng.normal(size=(channels, modes))
    return SSMNode("ssm", ("u",), A_bar, B_bar, C, rng.normal(size=channels))


def run(member, u):
    """Return y (steps, H), and what was clipped."""
    states, counts = initial_states(member), Tally()
    advance = stepper(member)
    return np.array([advance([row], states, counts) for row in u]), counts


def test_a_node_steps_as_it_runs_whole_sequences():
    node = random_ssm(0)
    u = np.random.default_rng(1).normal(size=(20, 3))
    s, expected = np.zeros(node.A_bar.shape, complex), []
    for row in u:
        s = node.A_bar * s + node.B_bar * row[:, None]
        expected.append(2 * (node.C * s).sum(axis=1).real + node.D * row)
    np.testing.assert_allclose(run(node, u)[0], expected, rtol=1e-12)
    np.testing.assert_allclose(node.apply(u[None])[0], expected, rtol=1e-12)


def test_a_node_that_needs_whole_sequences_does_not_step():
    with pytest.raises(UnsupportedError, match="m: MeanNode cannot run step by step"):
        run(MeanNode("m", ("x",)), np.ones((2, 3)))


@pytest.mark.parametrize("bits", [2, 9, 16])
def test_integer_neurons_follow_the_float_ones_and_never_saturate(bits):
    node = random_ssm(2)
    op = integer_neuron(node, input_bits=bits, input_exponent=3)
    # the input that drives y of channel 0 the furthest: signs of its impulse response, backwards
    impulse = np.zeros((400, 3))
    impulse[0] = 1
    signs = np.sign(run(node, impulse)[0][::-1])
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    u = np.where(signs > 0, high, low).astype(np.int64)
    got, clipped = run(op, u)
    assert not clipped
    expected, _ = run(node, u / 8)
    error = got * 2.0**-op.out.exponent - expected
    assert np.abs(error).max() < 2e-3 * np.abs(expected).max()
    # far from wasting the width: y comes within a factor of eight of the accumulator's 32 bits
    assert np.abs(got).max() > 1 << 28


def test_input_too_wide_for_the_states_is_refused():
    options = CompileOptions(widths=Widths(state=8))
    with pytest.raises(LimitError, match="use wider states"):
        integer_neuron(random_ssm(3), input_bits=40, options=options)


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
