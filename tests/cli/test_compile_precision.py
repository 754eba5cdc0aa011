"""`compile --precision`: the file's widths and scaling hold, and contradictions are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from neurossm.cli import cli
from neurossm.compile.precision import load_precision
from neurossm.program import SSM, Program

HEAD = 'schema = "neurossm-precision"\nversion = 1\n'


@pytest.fixture
def compiled(networks, tmp_path: Path) -> Callable[..., Result]:
    networks.random_graph(0, channels=3, modes=2, blocks=1).save(tmp_path / "m.h5")

    def invoke(text: str, *options: str) -> Result:
        (tmp_path / "p.toml").write_text(HEAD + text)
        paths = [str(tmp_path / name) for name in ("m.h5", "p.h5", "p.toml")]
        arguments = ["--target", "loihi2-sim", "-o", paths[1], "--precision", paths[2], *options]
        return CliRunner().invoke(cli, ["compile", paths[0], *arguments])

    return invoke


def test_the_widths_of_the_file_are_compiled_shown_and_recorded(compiled, tmp_path):
    done = compiled("[default]\nweight = 6\n[layers.'blocks.0']\nstate = 21\n")
    assert done.exit_code == 0, done.output
    assert "weight 6" in done.output
    assert "blocks.0: state 21" in done.output
    program = Program.load(tmp_path / "p.h5")
    ssm = program["blocks.0.ssm"]
    assert isinstance(ssm, SSM)
    assert ssm.state_bits == 21
    assert program.provenance["options"]["layers"] == {"blocks.0": {"state": 21}}
    assert program.provenance["options"]["widths"]["weight"] == 6
    assert load_precision(tmp_path / "p.toml").scaling is None


def test_the_scaling_of_the_file_holds_and_is_not_contradicted(compiled):
    calibrated = "scaling = 'calibrated'\n"
    done = compiled(calibrated)
    assert done.exit_code == 1
    assert "calibrated scaling needs data" in done.output  # a graph brings none
    done = compiled(calibrated, "--scaling", "proved")
    assert done.exit_code == 1
    assert "chosen for calibrated scaling, not for proved" in done.output
    assert compiled("scaling = 'proved'\n", "--scaling", "proved").exit_code == 0


def test_other_widths_beside_the_file_are_wrong_usage(compiled, tmp_path):
    done = compiled("", "--pole-bits", "12")
    assert done.exit_code == 2
    assert "drop --pole-bits" in done.output
    assert not (tmp_path / "p.h5").exists()
    assert compiled("", "--headroom-bits", "2").exit_code == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[default]\nweight = 9\n", "p.toml: width of weight: 9 bits, must be an integer from 2"),
        (
            "[layers.'blocks.9']\nweight = 7\n",
            "p.toml: the model has no layer 'blocks.9'; it has encoder, blocks.0",
        ),
        ("[layers.decoder]\npole = 12\n", "p.toml: layer decoder: pole = 12, but nothing there"),
    ],
)
def test_what_is_wrong_in_the_file_is_said_in_one_line(compiled, tmp_path, text, said):
    done = compiled(text)
    assert done.exit_code == 1
    assert said in done.output
    assert len(done.output.strip().splitlines()) == 1
    assert not (tmp_path / "p.h5").exists()
