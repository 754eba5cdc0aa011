"""Files of netx: read, explained, run, with programs of ours as layers.

With NEUROSSM_LAVA_DL naming the folder `tests/lava/lib/dl/netx` of lava-dl's repository, its own
networks give their stored outputs.
"""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from neurossm import inspect
from neurossm.cli import cli
from neurossm.errors import FormatError, InputError, UnsupportedError
from neurossm.interchange import export_netx
from neurossm.lava import Schedule, guarded, run_config, run_netx
from neurossm.program import reference
from neurossm.storage.netx import read_layers

pytestmark = pytest.mark.filterwarnings("ignore")  # networkx, Lava and lava-dl warn

LAVA_DL = os.environ.get("NEUROSSM_LAVA_DL")
STEPS = 5


@pytest.fixture(scope="module")
def program(networks):
    return networks.random_program(16, blocks=1, inputs=3, kind="float")


def add_dense(file, number, weight, threshold):
    """Add a layer of integrate-and-fire neurons that keep nothing of their currents."""
    group = file.create_group(f"layer/{number}")
    group["type"] = np.bytes_("dense")
    group["shape"] = np.array([len(weight)])
    group["weight"] = weight
    neuron = group.create_group("neuron")
    neuron["type"] = np.bytes_("CUBA")
    for name, value in (("iDecay", 4096), ("vDecay", 0), ("vThMant", threshold), ("refDelay", 1)):
        neuron[name] = value


@pytest.fixture
def spiking(tmp_path):
    """Write a network of one layer: three neurons that read two spikes."""
    path = tmp_path / "spiking.net"
    with h5py.File(path, "w") as file:
        add_dense(file, 0, WEIGHT, 95)
    return path


WEIGHT = np.array([[60, -20], [30, 40], [-10, 120]])


def fired(data, weight=WEIGHT, threshold=95, every=None):
    """Return spikes (neurons, steps): v += W x; above the threshold a neuron fires, and is 0."""
    v, out = np.zeros(len(weight), int), []
    for step, row in enumerate(data.T):
        if every is not None and step % every == 0:
            v[:] = 0
        v = v + weight @ row
        out.append(v > threshold)
        v = np.where(v > threshold, 0, v)
    return np.array(out, int).T


def test_a_program_behind_slayers_neurons_gives_the_references_logits(spiking, program, tmp_path):
    path = tmp_path / "mixed.net"
    export_netx(program, path, behind=spiking)
    assert [one.type for one in read_layers(path)] == ["dense", "neurossm"]
    data = np.random.default_rng(0).integers(0, 2, (2, 4 * STEPS))
    sent = run_netx(path, data, reset_interval=STEPS)
    spikes = fired(data, every=STEPS)
    assert 0.1 < spikes.mean() < 0.9
    samples = spikes.T.reshape(4, STEPS, 3)
    values = np.ldexp(samples.astype(float), -program.input.out.exponent[0])
    assert np.array_equal(program.encode(values), samples)
    late = 1 + program.to_lava(schedule=Schedule(reset_period=STEPS)).latency_steps
    ends = STEPS * np.arange(1, 5) + late - 1
    assert np.array_equal(sent.T[ends], reference.run(program, values).logits)


def test_files_are_explained(spiking, program, tmp_path):
    path = tmp_path / "mixed.net"
    program.save(tmp_path / "p.h5")
    words = ["export", tmp_path / "p.h5", "-o", path, "--format", "netx", "--behind", spiking]
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    found = inspect(path)
    assert found.kind == "netx network"
    assert found.rows[0] == (0, "dense", "CUBA", "3", "weight 3x2")
    assert found.rows[1][:2] == (1, "neurossm (a program of ours)")
    done = CliRunner().invoke(cli, ["export", "x.pt", "-o", "y.h5", "--tensor", "a"])
    assert "go with --format netx" in done.output


def test_what_netx_does_not_run_is_refused_with_a_list(spiking, program, tmp_path):
    with h5py.File(spiking, "r+") as file:
        file.create_group("layer/1")["type"] = np.bytes_("pool")
        add_dense(file, 2, WEIGHT, 1)
        del file["layer/2/neuron/type"]
        file["layer/2/neuron/type"] = np.bytes_("SPECIAL")
    with pytest.raises(UnsupportedError, match="layer 1: type 'pool'; layer 2: neuron 'SPECIAL'"):
        run_netx(spiking, steps=1)
    (tmp_path / "none.net").write_bytes(b"nothing")
    with pytest.raises(FormatError, match="no netx file"):
        run_netx(tmp_path / "none.net", steps=1)
    with pytest.raises(InputError, match="no tensor 'nothing'"):
        export_netx(program, tmp_path / "x.net", output="nothing")


def test_programs_that_do_not_fit_are_refused(spiking, networks, tmp_path):
    with pytest.raises(InputError, match="reads 1 channels, but layer 0 .* sends 3"):
        export_netx(networks.random_program(1, inputs=1), tmp_path / "x.net", behind=spiking)
    with pytest.raises(InputError, match=r"data of shape \(5, 1\), expected \(2,\) and steps"):
        run_netx(spiking, np.zeros((5, 1), int))
    with pytest.raises(InputError, match="give steps, or data"):
        run_netx(spiking)


@pytest.mark.skipif(LAVA_DL is None, reason="NEUROSSM_LAVA_DL names no folder of lava-dl")
def test_networks_of_lava_dl_give_their_stored_outputs():
    from lava.magma.core.run_conditions import RunSteps

    from neurossm.lava import NetxNetwork

    folder = Path(str(LAVA_DL))
    bias = np.load(folder / "gts/tinynet/input_bias.npy")
    sent = run_netx(folder / "tiny.net", steps=37, bias=bias, reset_interval=17)
    stored = np.load(folder / "gts/tinynet/output.npy")[0].transpose([2, 1, 0, 3])[..., 1:]
    assert stored.any()
    for start in (2, 19):  # two samples of 17 steps
        assert np.array_equal(sent[..., start : start + 15], stored)

    folder = folder / "gts/pilotnet_lif"
    network = NetxNetwork(folder / "network.net", reset_interval=16)
    network.in_layer.neuron.bias_mant.init = np.load(folder / "image.npy").astype(int)
    with guarded(network):
        network.run(RunSteps(15), run_config())
        currents = [network.layers[number].neuron.u.get() for number in (6, 7, 8)]
    for number, got in enumerate(currents):
        assert got.any()
        assert np.array_equal(got, np.load(folder / f"fc-{number}-u.npy")[..., 14])
