from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from neurossm.cli import cli


@pytest.fixture(scope="session")
def foreign() -> ModuleType:
    """The networks of other projects: `KINDS`, `random_state`, `random_input`, `evaluate`."""
    name = "importers_transcription"
    if name not in sys.modules:
        path = Path(__file__).parent / "transcription.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[object], Path]:
    """Return a function that writes a file as torch.save does."""

    def write_it(content: object, name: str = "source.ckpt") -> Path:
        path = tmp_path / name
        torch.save(content, path)
        return path

    return write_it


@pytest.fixture
def options() -> Callable[[Any], Any]:
    """Return a function that says of a kind what its names do not tell."""
    from neurossm.importers import ImportOptions

    def options_of(kind: Any) -> ImportOptions:
        return ImportOptions(
            input=None if kind.tokens else "uint8",
            discretization=kind.rule,
            activation="spike" if kind.layer != "gsu" else None if kind.gelu else "none",
            prenorm=kind.prenorm if kind.backbone == "example" else None,
            norm=None if kind.norm == "batch" else kind.norm,
            residual="sum",
        )

    return options_of


@pytest.fixture
def run_import(tmp_path: Path) -> Callable[..., Result]:
    """Return a function that runs `neurossm import FILE`; when that fails, it leaves no file."""

    def run(source: Path, *arguments: str) -> Result:
        model = tmp_path / "model.pt"
        result = CliRunner().invoke(cli, ["import", str(source), "-o", str(model), *arguments])
        assert model.exists() == (result.exit_code == 0)
        return result

    return run


@pytest.fixture
def refused(run_import: Callable[..., Result]) -> Callable[..., str]:
    """Return a function that imports in vain and returns the one line on stderr."""

    def message(source: Path, *arguments: str) -> str:
        result = run_import(source, *arguments)
        assert result.exit_code == 1, result.output
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1
        assert result.stderr.startswith("neurossm: ")
        assert "internal error" not in result.stderr
        return result.stderr

    return message


@pytest.fixture
def changed(foreign: ModuleType) -> Callable[..., dict[str, torch.Tensor]]:
    """Return a function that makes the state dict of a Binary S4D and changes some of its keys."""

    def change(
        changes: Mapping[str, torch.Tensor | None], kind: str = "official binary-s4d"
    ) -> dict[str, torch.Tensor]:
        state = dict(foreign.random_state(foreign.KINDS[kind]))
        for name, value in changes.items():
            if value is None:
                del state[name]
            else:
                state[name] = value
        return state

    return change
