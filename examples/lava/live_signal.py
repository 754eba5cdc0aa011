"""A live signal: samples go in one by one while the network runs; then a plot of its states.

    python examples/lava/live_signal.py [states.png]

Lava's Injector takes what Python sends it at every step, here a chirp that stands for a sensor. A
Monitor records the states of the SSM and the spikes. Half way the signal is another one, and the
network begins a new sample with it, as if it had just been started.
"""

from __future__ import annotations

import logging
import sys

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
import numpy as np
from block import small_program
from lava.magma.core.run_conditions import RunSteps
from lava.proc.io.injector import Injector, PyLoihiInjectorModel
from lava.proc.monitor.process import Monitor

from neurossm.lava import guarded, run_config

STEPS = 150  # of each half


def main() -> None:
    """Feed a signal step by step, and plot what it did."""
    logging.getLogger().setLevel(logging.ERROR)
    path = sys.argv[1] if len(sys.argv) > 1 else "states.png"
    program = small_program()
    network = program.to_lava(output="spike", name="live")
    sensor = Injector(shape=(1,))
    sensor.out_port.connect(network.a_in)
    states, spikes = Monitor(), Monitor()
    state = network.variable("ssm", "state_re")
    states.probe(state, 2 * STEPS)
    spikes.probe(network.s_out, 2 * STEPS)
    time = np.arange(STEPS)
    signal = np.concatenate([np.cos(0.0008 * time**2), np.where(time % 50 < 5, 1.0, 0.0)])
    config = run_config()
    # its only model is a floating-point one, which passes integers on as they are
    config.exception_proc_model_map[Injector] = PyLoihiInjectorModel
    with guarded(network):
        network.create_runtime(config)
        for half in (signal[:STEPS], signal[STEPS:]):
            network.reset()
            for value in half:
                sensor.send(program.encode(np.full((1, 1, 1), value))[0, 0])
                network.run(RunSteps(1))
        recorded = states.get_data()["live"][state.name]  # (steps, channels, modes)
        fired = spikes.get_data()["live"]["s_out"]
    figure, rows = plt.subplots(3, 1, sharex=True, figsize=(8, 6), layout="constrained")
    rows[0].plot(signal, color="black")
    rows[0].set_ylabel("input")
    rows[1].plot(recorded[:, -1])
    rows[1].set_ylabel("states of one neuron, Re")
    rows[2].eventplot([np.flatnonzero(row) for row in fired.T], linelengths=0.8)
    rows[2].set(ylabel="spikes", xlabel="step")
    figure.savefig(path, dpi=120)
    print(f"{2 * STEPS} steps, {int(fired.sum())} spikes; states and spikes: {path}")


if __name__ == "__main__":
    main()
