"""Hardware by process models of another package: one that stands in for them, on this machine."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from neurossm import lava
from neurossm.cli import cli
from neurossm.errors import InputError, UnsupportedError
from neurossm.hw_profiles import load_profile
from neurossm.lava import hardware
from neurossm.program import reference

# The first neuron of a network in Python's own integers, from what docs/fixed-point.md says of its
# fields. Every other process is left to the simulation.
STAND_IN = """
import numpy as np
from neurossm.lava import HardwareModels


def _config():
    from lava.magma.core.run_configs import Loihi2SimCfg
    return Loihi2SimCfg(select_tag="fixed_pt")


def _rshift(p, k):
    return (p + (1 << (k - 1))) >> k if k > 0 else p << -k


def _affine(x, gain, shift, offset, bits):
    top = (1 << bits - 1) - 1
    return max(-top - 1, min(top, _rshift(int(gain) * x, int(shift)) + int(offset)))


def _model_of(process):
    unit = getattr(process, "unit", None)
    kinds = ["Affine", "Affine", "SSM", "Spike"]
    if unit is None or [type(member).__name__ for member in unit.members] != kinds:
        return None
    from lava.magma.core.decorator import implements, requires, tag
    from lava.magma.core.resources import CPU
    from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
    from neurossm.lava.stream import StreamModel

    class Chip(StreamModel):
        def advance(self, position):
            x = self.a_in.recv().tolist()
            if position is None:
                self.s_out.send(np.zeros(len(x), int))
                self.y_out.send(np.zeros(len(x), int))
                return
            if self.schedule.begins(position):
                self.state_re[...] = 0
                self.state_im[...] = 0
            spikes, encoded = [], []
            first, second, ssm, spike = unit.members
            for h, value in enumerate(x):
                own = self.affine1_gain[h], self.affine1_shift[h], self.affine1_offset[h]
                u = _affine(value, *own, first.out.bits)
                encoded.append(u)
                own = self.affine2_gain[h], self.affine2_shift[h], self.affine2_offset[h]
                u = _affine(u, *own, second.out.bits)
                y = _rshift(int(self.d[h]) * u, int(self.d_shift[h]))
                for n in range(self.a_re.shape[1]):
                    re, im = int(self.state_re[h, n]), int(self.state_im[h, n])
                    a, b, A = (int(v[h, n]) for v in (self.a_re, self.a_im, self.pole_shift))
                    k, top = int(self.input_shift[h, n]), (1 << ssm.state_bits - 1) - 1
                    new_re = _rshift(a * re - b * im + (u << A + k), A)
                    new_im = _rshift(a * im + b * re, A)
                    new_re, new_im = (max(-top - 1, min(top, v)) for v in (new_re, new_im))
                    self.state_re[h, n], self.state_im[h, n] = new_re, new_im
                    c_re, c_im = int(self.c_re[h, n]), int(self.c_im[h, n])
                    y += _rshift(c_re * new_re - c_im * new_im, int(self.readout_shift[h]))
                spikes.append(y > int(self.threshold[h]))
            self.s_out.send(np.array(spikes, int))
            self.y_out.send(np.array(encoded))
            open("PATH", "a").write("x")

    from neurossm.lava.processes.neuron.process import declared_types
    body = declared_types(unit)
    body["__module__"] = __name__
    chip = type("Chip", (Chip,), body)
    globals()["Chip"] = chip
    for decorate in (requires(CPU), implements(proc=type(process), protocol=LoihiProtocol)):
        chip = decorate(chip)
    return tag("fixed_pt")(chip)


models = HardwareModels("loihi2", _config, _model_of)
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Install a package of process models for as long as a test runs; return what it writes to."""
    used = tmp_path / "used"
    (tmp_path / "loihi2_stand_in.py").write_text(STAND_IN.replace("PATH", str(used)))
    info = tmp_path / "loihi2_stand_in-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: loihi2-stand-in\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{hardware.ENTRY_POINTS}]\nloihi2 = loihi2_stand_in:models\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    hardware.hardware_models.cache_clear()
    yield used
    hardware.hardware_models.cache_clear()
    sys.modules.pop("loihi2_stand_in", None)


@pytest.fixture
def program(networks):
    """One block: its first neuron has two affine functions, an SSM, and a threshold."""
    made = networks.random_program(7, blocks=1, norm="pre")
    return replace(made, target="loihi2", profile=load_profile("loihi2").text)


def test_models_of_another_package_run_a_program_for_the_chip(stand_in, program, networks):
    data = networks.random_data(program.input, 1, batch=2, steps=8)
    got = lava.run(program, data, timeout=100)
    assert np.array_equal(got.logits, reference.run(program, data).logits)
    assert len(stand_in.read_text()) == 2 * 8  # its model has computed every step
    with pytest.raises(InputError, match="models for 'loihi2' record nothing"):
        lava.run(program, data, record=["encoder"])


def test_without_models_one_line_says_what_is_missing(program, networks, tmp_path):
    data = networks.random_data(program.input, 1)
    with pytest.raises(UnsupportedError) as error:
        lava.run(program, data)
    line = str(error.value)
    for part in ("'loihi2'", "Intel", "research community", "loihi2-sim", "same integers"):
        assert part in line
    assert "\n" not in line
    with pytest.raises(InputError, match="'loihi2': no package has models for it; known: none"):
        lava.run_config("loihi2")
    program.save(tmp_path / "p.h5")
    np.savez(tmp_path / "d.npz", x=data)
    files = [str(tmp_path / "p.h5"), "--data", str(tmp_path / "d.npz")]
    ran = CliRunner().invoke(cli, ["run", *files, "--engine", "lava"])
    assert ran.exit_code == 1
    assert len(ran.stderr.splitlines()) == 1
    assert "loihi2-sim" in ran.stderr
