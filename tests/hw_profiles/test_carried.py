"""A program carries the profile it was compiled for, whose file may be gone or have changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from neurossm.cli import cli
from neurossm.compile import compile_model
from neurossm.cost import profile
from neurossm.errors import FormatError, InputError
from neurossm.graph import Graph
from neurossm.hw_profiles import load_profile, profile_of
from neurossm.program import Program
from neurossm.storage import seal

GOLDEN = Path(__file__).parents[1] / "golden" / "compiled.h5"


@pytest.fixture
def graph(networks: ModuleType) -> Graph:
    graph: Graph = networks.random_graph(5, channels=4, modes=2, blocks=1, classes=3)
    return graph


@pytest.fixture
def mychip(tmp_path: Path) -> Path:
    """Loihi 2 under another name, with a price of its own: 7 pJ per synaptic operation."""
    text = load_profile("loihi2-sim").text.replace('name = "loihi2-sim"', 'name = "mychip"')
    head, _, rest = text.partition("[proxy]")
    sources = rest[rest.index("[source.") :]
    prices = '[event_energy]\nsource = "brief"\nsynop_energy_pj = 7.0\n'
    path = tmp_path / "mychip.toml"
    path.write_text(f"{head}{prices}{sources}")
    return path


def test_a_program_for_a_profile_of_the_users_own_needs_its_file_no_more(
    graph: Graph, mychip: Path, networks: ModuleType, tmp_path: Path
) -> None:
    data = networks.random_data(graph.input, 1)
    program = compile_model(graph, mychip)
    program.save(tmp_path / "p.h5")
    wanted = profile(program, data, hw=mychip).to_json()
    assert wanted["hw"] == "mychip"
    mychip.unlink()
    loaded = Program.load(tmp_path / "p.h5")
    assert loaded.same_as(program)
    assert profile(loaded, data).to_json() == wanted
    assert profile(loaded, data, hw="cmos45").cores  # placed on the chip, priced by another
    # on the command line, too
    np.savez(tmp_path / "d.npz", x=data)
    words = ["profile", str(tmp_path / "p.h5"), "--data", str(tmp_path / "d.npz"), "--json", "-"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    assert '"hw": "mychip"' in done.output


def test_what_a_program_carries_goes_before_what_is_called_so_now(graph: Graph) -> None:
    text = load_profile("loihi2-sim").text.replace("cores_per_chip = 120", "cores_per_chip = 77")
    program = replace(compile_model(graph), profile=text)
    limits = profile_of(program).limits
    assert limits is not None
    assert limits.cores_per_chip == 77


def test_older_files_take_the_profile_of_their_target_s_name() -> None:
    program = Program.load(GOLDEN)
    assert program.profile is None
    assert profile_of(program) is load_profile("loihi2-sim")
    with pytest.raises(InputError, match="'mychip' is unknown"):
        profile_of(replace(program, target="mychip"))


@pytest.mark.parametrize(
    ("text", "message"),
    [("x =", "inside the program: not a TOML file"), ("", r"inside the program: name")],
)
def test_a_damaged_profile_is_refused(text: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        profile_of(replace(Program.load(GOLDEN), profile=text))


def test_a_profile_that_is_no_text_is_refused(graph: Graph, tmp_path: Path) -> None:
    compile_model(graph).save(tmp_path / "p.h5")
    with h5py.File(tmp_path / "p.h5", "r+") as file:
        del file["profile"]
        file["profile"] = 3
    seal(tmp_path / "p.h5")
    with pytest.raises(FormatError, match=r"p\.h5: "):
        Program.load(tmp_path / "p.h5")
