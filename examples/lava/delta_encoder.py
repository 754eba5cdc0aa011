"""A Binary S4D block behind Lava's delta encoder: messages where the signal changes, only there.

    python examples/lava/delta_encoder.py

Lava's Delta sends what changed since it last sent, if that is more than its threshold, and Sigma
adds it up again on the other side. With a threshold of 0 the block gets the signal itself, and its
spikes are those of the reference; with a higher one it gets fewer messages, and an approximation.
"""

from __future__ import annotations

import logging

import numpy as np
from block import small_program
from lava.magma.core.run_conditions import RunSteps
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
from lava.proc.sdn.process import Delta, Sigma

from neurossm.lava import Schedule, guarded, run_config
from neurossm.program import Program, reference

STEPS = 200


def run(program: Program, rows: np.ndarray, threshold: int) -> tuple[int, np.ndarray]:
    """Return how many messages a threshold lets pass, and the block's spikes (steps, channels)."""
    source, delta, sigma = Source(data=rows.T), Delta(shape=(1,), vth=threshold), Sigma(shape=(1,))
    block = program.to_lava(output="spike", schedule=Schedule(reset_period=STEPS), name="block")
    total = STEPS + block.latency_steps
    messages, spikes = Sink(shape=(1,), buffer=total), Sink(shape=block.s_out.shape, buffer=total)
    source.s_out.connect(delta.a_in)
    delta.s_out.connect(sigma.a_in)
    delta.s_out.connect(messages.a_in)
    sigma.s_out.connect(block.a_in)
    block.s_out.connect(spikes.a_in)
    with guarded(block):
        block.run(RunSteps(total), run_config())
        sent = np.count_nonzero(messages.data.get()[:, :STEPS])
        return sent, spikes.data.get().T[block.latency_steps :]


def main() -> None:
    """Play a signal with pauses at three thresholds."""
    logging.getLogger().setLevel(logging.ERROR)
    program = small_program()
    time = np.arange(STEPS)
    signal = 0.8 * np.sin(2 * np.pi * time / 50) * (time % 100 < 50)
    data = signal[None, :, None]
    expected = reference.run(program, data, record=["spike"]).tensors["spike"][0]
    one = 1 << program.input.out.exponent[0]  # the integer that stands for 1.0
    for threshold in (0.0, 0.1, 0.25):
        sent, spikes = run(program, program.encode(data)[0], int(threshold * one))
        equal = (spikes == expected).mean()
        print(f"threshold {threshold:4.2f}: {sent:3d} messages, {equal:7.2%} of the spikes equal")


if __name__ == "__main__":
    main()
