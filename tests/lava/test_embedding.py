"""Our processes in networks of Lava's own, run in this process, against the reference."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.dense.process import Dense
from lava.proc.io.dataloader import SpikeDataloader
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
from lava.proc.lif.process import LIF
from lava.proc.monitor.process import Monitor
from lava.proc.sdn.process import Delta, Sigma

from neurossm.errors import InputError, RunError
from neurossm.lava import Gate, Schedule, guarded, lif_neuron, ssm_neuron
from neurossm.lava.failures import actors_of
from neurossm.program import Interval, reference

pytestmark = pytest.mark.filterwarnings("ignore")  # networkx and Lava warn about themselves


STEPS = 6
MANY = 100_000  # steps, more than any test waits for


def fixed():
    return Loihi2SimCfg(select_tag="fixed_pt")


@pytest.fixture(scope="module")
def program(networks):
    return networks.random_program(16, blocks=2, inputs=3, kind="float")


@pytest.fixture(scope="module")
def data(program, networks):
    """(steps of six samples, channels)."""
    return networks.random_data(program.input, 1, batch=6, steps=STEPS).reshape(6 * STEPS, 3)


def played(rows):
    return Source(data=np.asarray(rows).T)


def logits_of(program, data):
    """Return the logits of one sample (steps, channels)."""
    return reference.run(program, data[None]).logits[0]


def test_a_network_is_one_process_with_states_to_watch_numbers_to_set_and_a_reset(program, data):
    network = program.to_lava(schedule=Schedule(reset_period=STEPS), name="net")
    source, sink = played(program.encode(data[None])[0]), Sink(shape=network.s_out.shape, buffer=64)
    source.s_out.connect(network.a_in)
    network.s_out.connect(sink.a_in)
    late, state = network.latency_steps, network.variable("blocks.1.ssm", "state_re")
    states, logits = Monitor(), Monitor()
    states.probe(state, 64)
    logits.probe(network.s_out, 64)
    with guarded(network):
        network.run(RunSteps(2 * STEPS + 4), fixed())
        network.reset()  # in the middle of the third sample
        first = 2 * STEPS + 4
        network.run(RunSteps(STEPS + late), fixed())
        after_reset = network.logits.get()
        network.reset()
        second = first + STEPS + late
        threshold = network.variable("blocks.0.spike", "threshold")
        threshold.set(threshold.get() + 1000)
        network.run(RunSteps(STEPS + late), fixed())
        after_both = network.logits.get()
        seen = states.get_data()["net"][state.name]
        sent = logits.get_data()["net"]["s_out"]
        arrived = sink.data.get().T

    names = ["blocks.1.ssm:state_re"]
    expected = reference.run(program, data[: 2 * STEPS].reshape(2, STEPS, 3), record=names)
    ends = [STEPS + late - 1, 2 * STEPS + late - 1]
    assert np.array_equal(arrived[ends], expected.logits)
    assert not np.delete(arrived, ends, axis=0)[: 2 * STEPS].any()
    assert np.array_equal(sent, arrived)
    (depth,) = (s.depth for s in network.plan.stages if "blocks.1.ssm:state_re" in s.recorded)
    wanted = expected.tensors[names[0]].reshape(2 * STEPS, *state.shape)
    assert np.abs(wanted).max() > 100
    assert np.array_equal(seen[depth : depth + 2 * STEPS], wanted)

    assert np.array_equal(after_reset, logits_of(program, data[first : first + STEPS]))
    spike = program["blocks.0.spike"]
    changed = replace(spike, threshold=spike.threshold + 1000)
    other = program.with_ops(changed if op is spike else op for op in program.ops)
    again = data[second : second + STEPS]
    assert np.array_equal(after_both, logits_of(other, again))
    assert not np.array_equal(after_both, logits_of(program, again))


def integrate_and_fire(drive, level):
    """Return the spikes of Lava's LIF without leak: v = v + drive; at `level` it fires and is 0."""
    v, spikes = np.zeros(drive.shape[1], int), np.zeros(drive.shape, int)
    for t, row in enumerate(drive):
        v = v + row
        spikes[t] = v >= level
        v = np.where(v >= level, 0, v)
    return spikes


def test_networks_stand_anywhere_between_lavas_own_processes(program, data):
    """Delta, Sigma, a first network to its residual, a Dense, a second network, a Dense, a LIF."""
    rows = program.encode(data[None])[0]
    residual = "blocks.0.add"
    first = program.to_lava(output=residual, schedule=Schedule(reset_period=STEPS), name="first")
    channels = first.s_out.shape[0]
    bits = program[residual].message_bits
    # even weights, which Dense keeps; the second network sees the sign of what the first sends
    middle = Dense(weights=2 * np.eye(3, channels, dtype=int), weight_exp=-1, num_message_bits=bits)
    small = ssm_neuron(
        a_re=np.zeros(3, int), a_im=np.zeros(3, int), c_re=np.ones(3, int), c_im=np.zeros(3, int),
        threshold=0, name="sign", schedule=Schedule(first.latency_steps + 1, STEPS),
    )  # fmt: skip
    late = first.latency_steps + 1
    second = program.to_lava(schedule=Schedule(late, STEPS), name="second")
    weight = np.array([[2, -4, 6], [-8, 2, 2]])
    last = Dense(weights=weight, num_message_bits=32)
    lif = LIF(shape=(2,), du=4095, dv=0, vth=1000)
    delta, sigma = Delta(shape=(3,), vth=0), Sigma(shape=(3,))
    source, sink = played(rows), Sink(shape=(2,), buffer=64)
    raw = Sink(shape=second.s_out.shape, buffer=64)
    source.s_out.connect(delta.a_in)
    delta.s_out.connect(sigma.a_in)
    sigma.s_out.connect(first.a_in)
    first.s_out.connect(middle.s_in)
    middle.a_out.connect(small.a_in)
    small.s_out.connect(second.a_in)
    second.s_out.connect(raw.a_in)
    second.s_out.connect(last.s_in)
    last.a_out.connect(lif.a_in)
    lif.s_out.connect(sink.a_in)
    late += second.latency_steps
    total = len(rows) + late + 1
    with guarded(first):
        first.run(RunSteps(total), fixed())
        spikes, logits = sink.data.get().T, raw.data.get().T

    samples = data.reshape(6, STEPS, 3)
    sent = reference.run(program, samples, record=[residual]).tensors[residual]
    signs = (sent[..., :3] > 0).astype(float)
    assert 0.1 < signs.mean() < 0.9
    # an encoded 1 is a datum of 2^-exponent
    ones = np.ldexp(signs, -program.input.out.exponent[0])
    assert np.array_equal(program.encode(ones), signs)
    expected = reference.run(program, ones).logits
    ends = STEPS * np.arange(1, 7) + late - 1
    assert np.array_equal(logits[ends], expected)
    drive = np.zeros((64, 2), int)
    drive[ends + 1] = expected @ weight.T
    assert np.array_equal(spikes[:total], integrate_and_fire(drive, 1000)[:total])
    assert spikes.any()


class Samples:
    """A dataset for Lava's dataloader: encoded samples (channels, steps), and a label."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, number):
        return self.rows[number].T, number


def test_a_network_behind_lavas_dataloader(program, data):
    """It loads a sample at the end of a step, and begins to send it with the next."""
    samples = data.reshape(6, STEPS, 3)
    loader = SpikeDataloader(dataset=Samples(program.encode(samples)), interval=STEPS)
    network = program.to_lava(schedule=Schedule(reset_offset=1, reset_period=STEPS))
    sink = Sink(shape=network.s_out.shape, buffer=64)
    loader.s_out.connect(network.a_in)
    network.s_out.connect(sink.a_in)
    late = 1 + network.latency_steps
    with guarded(network):
        network.run(RunSteps(6 * STEPS + late), fixed())
        logits = sink.data.get().T[STEPS * np.arange(1, 7) + late - 1]
    assert np.array_equal(logits, reference.run(program, samples).logits)


def test_neurons_from_plain_integers():
    neuron = ssm_neuron(a_re=[0], a_im=[58982], c_re=[1], c_im=[0], threshold=50, ternary=True)
    assert [port.name for port in neuron.out_ports] == ["s_out", "y_out"]
    assert neuron.pole_shift.get().tolist() == [[16]]
    with pytest.raises(InputError, match="mine: a_re of shape .* expected integers"):
        ssm_neuron(a_re=[0.5], a_im=[0], c_re=[1], c_im=[0], name="mine")
    with pytest.raises(InputError, match="mine: "):
        ssm_neuron(a_re=[1 << 16], a_im=[0], c_re=[1], c_im=[0], name="mine")
    lif = lif_neuron(decay=[2048], threshold=10)
    source, sink = Source(data=np.full((1, 9), 6)), Sink(shape=(1,), buffer=9)
    source.s_out.connect(lif.a_in)
    lif.s_out.connect(sink.a_in)
    with guarded(lif):
        lif.run(RunSteps(9), fixed())
        # v = 6, 9, 10.5 -> 11 and back to 0
        assert sink.data.get()[0].tolist() == [0, 0, 1] * 3


def test_wrong_wiring_is_refused_by_the_name_of_the_process(program):
    network = program.to_lava(output="blocks.0.add", name="net")
    wide = program["blocks.0.add"].message_bits
    (size,) = network.s_out.shape
    with pytest.raises(InputError, match=r"net\.a_in: has shape \(3,\), .* shape \(5,\)"):
        played(np.zeros((1, 5), int)).s_out.connect(network.a_in)
    with pytest.raises(InputError, match=r"net\.s_out: has shape"):
        network.s_out.connect(Sink(shape=(9,), buffer=1).a_in)
    for given, what in ((0, "true or false"), (2, "2 bits")):
        next_one = Dense(weights=np.ones((1, size)), num_message_bits=given, name="next")
        with pytest.raises(InputError, match=rf"net\.s_out: .* next\.s_in takes {what}.*={wide}"):
            network.s_out.connect(next_one.s_in)
    network.s_out.connect(Dense(weights=np.ones((1, size)), num_message_bits=wide).s_in)
    spikes = program.to_lava(output="blocks.0.spike", name="spiking")
    spikes.s_out.connect(Dense(weights=np.ones((1, size)), num_message_bits=0).s_in)
    lif = lif_neuron(decay=[1], threshold=1, name="integers only")
    with pytest.raises(AssertionError, match=r"with tag 'floating_pt' for Process integers only"):
        lif.run(RunSteps(1), Loihi2SimCfg(select_tag="floating_pt"))


def test_what_a_network_cannot_be_is_refused(program):
    with pytest.raises(InputError, match="net: logits need samples that end"):
        program.to_lava(name="net")
    with pytest.raises(InputError, match="output: 'nothing' is none of"):
        program.to_lava(output="nothing")
    with pytest.raises(InputError, match=r"'blocks\.0\.value\.sum' is the sum of a Dense"):
        program.to_lava(output="blocks.0.value.sum")
    with pytest.raises(InputError, match="traces and lengths are of data"):
        program.to_lava(lengths=[3])
    with pytest.raises(InputError, match="are of a process without data"):
        program.to_lava(np.zeros((1, 2, 3)), output="blocks.0.add")
    network = program.to_lava(output="blocks.0.spike", name="net")
    with pytest.raises(InputError, match="net: no neuron computes an operation 'decoder'"):
        network.variable("decoder", "weight")


def children():
    """Return the processes that this one has started, but Python's own resource tracker."""
    mine = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    named = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in mine}
    return {pid for pid, words in named.items() if b"resource_tracker" not in words}


def left():
    """Return what a network could leave: processes and shared memory."""
    return children(), {block.name for block in Path("/dev/shm").iterdir()}


def gated(bad):
    """Return a gate for four bits behind a source that plays 7, and 99 at step 5 if bad."""
    data = np.full((1, 10), 7)
    data[0, 4] = 99 if bad else 7
    gate, source = Gate(1, interval=Interval.of_bits(4, 1), name="door"), Source(data=data)
    source.s_out.connect(gate.a_in)
    return gate


def when_running(process, action):
    """Act as soon as all processes of a network run, from a thread."""

    def wait():
        while process.runtime is None or not process.runtime._is_running:
            time.sleep(0.05)
        action()

    threading.Thread(target=wait, daemon=True).start()


def test_a_failing_process_is_named_and_leaves_nothing():
    before = left()
    gate = gated(bad=True)
    said = r"door, step 5: value 99 does not fit \[-8, 7\]"
    with pytest.raises(RunError, match=said), guarded(gate):
        gate.run(RunSteps(10), fixed())
    assert left() == before


def test_a_killed_process_is_named_and_leaves_nothing():
    before = left()
    gate = gated(bad=False)
    when_running(gate, lambda: os.kill(actors_of(gate)[0].pid, signal.SIGKILL))
    with pytest.raises(RunError, match=r"its process died \(exit code -9\)"), guarded(gate):
        gate.run(RunSteps(MANY), fixed())
    assert left() == before


def test_ctrl_c_leaves_nothing():
    before = left()
    gate = gated(bad=False)
    when_running(gate, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt), guarded(gate):
        gate.run(RunSteps(MANY), fixed())
    assert left() == before


def resources(process):
    """Return the kilobytes and open files of all processes that run a network, and their number."""
    pids = [actor.pid for actor in actors_of(process)]
    kilobytes, files = 0, 0
    for pid in [os.getpid(), *pids]:
        (line,) = (
            line
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if line.startswith("VmRSS")
        )
        kilobytes += int(line.split()[1])
        files += len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return kilobytes, files, len(children())


def test_samples_follow_each_other_without_growth(program, data, say):
    """A thousand with NEUROSSM_CONFORMANCE=full; resets and numbers read in between."""
    samples = 1000 if os.environ.get("NEUROSSM_CONFORMANCE") == "full" else 240
    network = program.to_lava(schedule=Schedule(reset_period=STEPS))
    played(program.encode(data[None])[0]).s_out.connect(network.a_in)
    expected = reference.run(program, data.reshape(6, STEPS, 3)).logits[4]
    assert network.latency_steps < STEPS
    with guarded(network):
        before = None
        for start in range(0, samples, 12):
            network.run(RunSteps(12 * STEPS), fixed())
            assert np.array_equal(network.logits.get(), expected), start  # the last is on its way
            network.reset()
            before = before or resources(network)
        after = resources(network)
    say(f"{samples} samples: (kB, files, processes) from {before} to {after}")
    assert after[1:] == before[1:]
    assert after[0] <= before[0] + 2048  # kB, of all processes together
