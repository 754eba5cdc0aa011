"""State-space neurons in a Lava network of your own: four resonators tell four tones apart.

    python examples/lava/ssm_neuron.py

A source plays four tones, one after the other. Lava's own Dense sends them to four SSM neurons
with one complex mode each, whose pole `r exp(i w)` makes it resonate at one of the tones; a neuron
spikes where its output exceeds 1/2. The same network runs in floating point and in integers, in
which nothing can overflow.
"""

from __future__ import annotations

import logging

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.dense.process import Dense
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source

from neurossm import program
from neurossm.compile import integer_neuron
from neurossm.graph import Node, SpikeNode, SSMNode
from neurossm.lava import Neuron, Schedule
from neurossm.program import Op, unchecked

TONES = np.array([0.1, 0.25, 0.5, 1.0])  # radians per step
STEPS = 300  # of each tone
RADIUS = 0.97
THRESHOLD = 0.5
INPUT_EXPONENT = 7  # an integer u stands for u / 128


def resonators() -> SSMNode:
    """One mode per channel, scaled so that its own tone comes out as loud as it came in."""
    A_bar = RADIUS * np.exp(1j * TONES[:, None])  # (channels, modes)
    B_bar, C = np.ones(A_bar.shape), np.full(A_bar.shape, 1 - RADIUS)
    return SSMNode("ssm", ("u",), A_bar, B_bar, C, D=np.zeros(len(TONES)))


def run(tag: str, wave: np.ndarray, members: list[Node] | list[Op]) -> np.ndarray:
    """Play a wave (steps) to neurons and return their spikes, (channels, steps)."""
    source = Source(data=wave[None])
    fan_out = Dense(weights=np.ones((len(TONES), 1)), num_message_bits=9)
    # A Dense delays by one step; states start from zero at the beginning of each tone.
    schedule = Schedule(reset_offset=1, reset_period=STEPS)
    neurons = Neuron(members, channels=len(TONES), schedule=schedule)
    sink = Sink(shape=(len(TONES),), buffer=wave.size + 1)
    source.s_out.connect(fan_out.s_in)
    fan_out.a_out.connect(neurons.a_in)
    neurons.s_out.connect(sink.a_in)
    neurons.run(RunSteps(wave.size + 1), Loihi2SimCfg(select_tag=tag))
    spikes = sink.data.get()[:, 1:]  # without the step that fills the Dense
    neurons.stop()
    return np.asarray(spikes, dtype=int)


def main() -> None:
    """Run both models and show who spikes at what."""
    logging.getLogger().setLevel(logging.ERROR)
    phase = np.arange(STEPS) * TONES[:, None]
    wave = np.round(100 * np.cos(phase)).astype(int).ravel()  # one tone after the other

    ssm = resonators()
    spike = SpikeNode("spike", ("ssm",), np.full(len(TONES), THRESHOLD))
    floating = run("floating_pt", wave / 2**INPUT_EXPONENT, [ssm, spike])

    integers = integer_neuron(ssm, input_bits=9, input_exponent=INPUT_EXPONENT)
    threshold = np.floor(np.ldexp(THRESHOLD, integers.out.exponent)).astype(np.int64)
    spikes = program.Spike("spike", ("ssm",), unchecked(2, 0, len(TONES)), threshold)
    fixed = run("fixed_pt", wave, [integers, spikes])

    print("Spikes of each neuron (row) at each tone (column), in integers:")
    print("  tuned to " + "".join(f"{tone:8.2f}" for tone in TONES))
    for tone, spikes in zip(TONES, fixed.reshape(len(TONES), len(TONES), STEPS), strict=True):
        print(f"  {tone:8.2f} " + "".join(f"{count:8d}" for count in spikes.sum(axis=1)))
    equal = float((fixed == floating).mean())
    print(f"{equal:.2%} of {fixed.size} spikes as in floating point")


if __name__ == "__main__":
    main()
