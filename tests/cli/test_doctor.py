from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from neurossm.cli import cli
from neurossm.environment import Environment, Feature, Package


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Environment:
    """A Python 3.12 without h5py, hence without Lava."""
    environment = Environment(
        neurossm="0.1.0",
        python="3.12.1",
        executable="/usr/bin/python3",
        platform="Linux",
        packages=(Package("h5py", None, True), Package("lava-nc", None, False)),
        features=(Feature("lava", False, "Python 3.10 only", "make an environment"),),
    )
    monkeypatch.setattr("neurossm.cli.doctor.inspect_environment", lambda: environment)
    return environment


@pytest.mark.usefixtures("machine")
def test_people_are_told_what_is_missing_and_what_to_do() -> None:
    result = CliRunner().invoke(cli, ["doctor"])
    assert result.exit_code == 1  # h5py is required
    assert result.stdout.startswith("NeuroSSM 0.1.0, Python 3.12.1\n")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "h5py MISSING (required)" in lines
    assert "lava-nc not installed (optional)" in lines
    assert "lava no Python 3.10 only" in lines
    assert "lava: make an environment" in lines


@pytest.mark.usefixtures("machine")
def test_json() -> None:
    result = CliRunner().invoke(cli, ["doctor", "--json", "-"])
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["ok"] is False
    assert found["python"] == "3.12.1"
    assert found["packages"][0] == {"name": "h5py", "version": None, "required": True}
    assert found["features"][0]["advice"] == "make an environment"
