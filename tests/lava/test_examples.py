"""The examples for Lava, all in one process, as a user would run them one by one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "lava"
RUN = """
import runpy, sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    sys.argv = [name, *(["states.png"] if name == "live_signal" else [])]
    runpy.run_path(f"{sys.path[0]}/{name}.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """Run all in a folder; return the folder and what they printed."""
    folder = tmp_path_factory.mktemp("examples")
    names = ["delta_encoder", "live_signal", "netx_file", "nir_file"]
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN, EXAMPLES, *names],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return folder, ran.stdout.splitlines()


def percents(lines):
    return [float(line.split("%")[0].split()[-1]) for line in lines]


def test_every_example_says_what_it_should(printed):
    folder, lines = printed
    deltas = [line for line in lines if line.startswith("threshold")]
    messages = [int(line.split()[2]) for line in deltas]
    assert messages == sorted(messages, reverse=True)
    assert messages[0] > 2 * messages[-1] > 0
    equal = percents(deltas)
    assert equal[0] == 100.0
    assert equal[0] > equal[2] > 50
    (live,) = (line for line in lines if "states and spikes" in line)
    assert int(live.split()[2]) > 100  # spikes
    assert (folder / "states.png").stat().st_size > 10_000
    assert any(line.startswith("layer 1 neurossm (a program of ours)") for line in lines)
    assert any(line.startswith("logits of 3 samples") for line in lines)
    spikes = percents([line for line in lines if line.startswith("cubalif")])
    assert len(spikes) == 2
    assert min(spikes) > 97
