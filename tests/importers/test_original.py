"""Run the original code, where it is at hand, and compare it with what its checkpoints become.

``NEUROSSM_OFFICIAL_CODE`` and ``NEUROSSM_S4_CODE`` name checkouts of the paper's code and of
state-spaces/s4 (the folders that hold their `src`); see docs/importing.md for what they need.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from neurossm.errors import UnsupportedError
from neurossm.graph.evaluate import evaluate
from neurossm.importers import Imported, ImportOptions, import_checkpoint
from neurossm.models.export import export

VARIABLES = {"official": "NEUROSSM_OFFICIAL_CODE", "s4": "NEUROSSM_S4_CODE"}
CASES = (
    ("official", "binary-s4d"),
    ("official", "binary-s4d-postnorm"),
    ("official", "binary-s4d-softplus-tokens"),
    ("official", "gsu"),
    ("official", "gsu-postnorm-no-activation"),
    ("official", "gsu-stand-alone"),
    ("s4", "example-s4d"),
    ("s4", "example-s4d-prenorm"),
    ("s4", "example-s4"),
    ("s4", "example-s4-transforms"),
    ("s4", "train-s4"),
    ("s4", "train-s4d"),
)
REFUSED = (
    ("official", "bidirectional", "bidirectional"),
    ("official", "nplr", "nplr"),
    ("s4", "example-s4-nplr", "nplr"),
)
FLOAT32 = 2e-4  # of scale: what single precision costs over 120 steps


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Any]:
    """Return a function that gives what the original computed for a case."""
    results: dict[str, Any] = {}

    def get(project: str, case: str) -> Any:
        checkout = os.environ.get(VARIABLES[project])
        if not checkout:
            pytest.skip(f"set {VARIABLES[project]} to a checkout of the original code")
        if project not in results:
            script = Path(__file__).parent / "original.py"
            file = tmp_path_factory.mktemp(project) / "results.pt"
            command = [sys.executable, str(script), project, checkout, str(file)]
            child = subprocess.run(command, capture_output=True, text=True)
            assert child.returncode == 0, child.stderr[-2000:]
            results[project] = torch.load(file, weights_only=False)
        return results[project][case]

    return get


def _import(record: Any, folder: Path) -> Imported:
    path = folder / "state.pt"
    torch.save(record["state"], path)
    return import_checkpoint(path, options=_options(record["config"]))


def _options(config: dict[str, Any]) -> ImportOptions:
    """Say what the names do not tell, except for what each code's defaults are."""
    layer = config["layer"]
    arguments = layer if isinstance(layer, dict) else config.get("args", {})
    return ImportOptions(
        input=None if "tokens" in config else "uint8",
        discretization=arguments.get("disc"),
        real_transform=arguments.get("real_type", arguments.get("real_transform")),
        dt_transform=arguments.get("dt_transform"),
        activation=_activation(layer),
        prenorm=None if isinstance(layer, dict) else config["prenorm"],
        norm=None if config.get("norm") == "batch" else config.get("norm", "layer"),
        residual="sum",
    )


def _activation(layer: Any) -> str | None:
    """The spike that `original.py` puts in place of GELU; of a GSU, what it is made with."""
    if isinstance(layer, dict) and layer["_name_"] in ("s4_gsu", "s4dfunnel"):
        return "none" if "activation" in layer else None
    return "spike"


def _spikes(imported: Imported, run: Any, block: int, steps: int) -> tuple[Any, Any]:
    """Return the SSM's output and the spikes that the original had in a block, (B, L, H)."""
    calls = [tuple(_time_major(value, steps) for value in call) for call in run["spikes"]]
    if imported.model.config.layer == "binary-s4d":
        return calls[block]
    # Per layer: H(y - d), H(-y - d), and the same for the weights.
    (above, plus), (below, minus) = calls[4 * block : 4 * block + 2]
    return (above - below) / 2, plus - minus


def _time_major(value: torch.Tensor, steps: int) -> torch.Tensor:
    return value.transpose(1, 2) if value.ndim == 3 and value.shape[1] != steps else value


@pytest.mark.parametrize(("project", "case"), CASES)
def test_float64(
    project: str, case: str, original: Callable[[str, str], Any], tmp_path: Path
) -> None:
    record = original(project, case)
    imported, x = _import(record, tmp_path), record["x"]
    with torch.no_grad():
        logits = imported.model.double()(x)
    torch.testing.assert_close(logits, record["f64"]["logits"], rtol=0, atol=1e-9)
    name = "spike" if imported.model.config.layer == "binary-s4d" else "ternary"
    names = [f"blocks.{i}.{name}" for i in range(imported.model.config.n_layers)]
    got = evaluate(export(imported.model), x.numpy(), names)
    for i, spikes in enumerate(names):
        _, wanted = _spikes(imported, record["f64"], i, x.shape[1])
        assert 0.05 < float(wanted.abs().mean()) < 0.95
        np.testing.assert_array_equal(got[spikes], wanted.numpy())


@pytest.mark.parametrize(("project", "case"), CASES)
def test_float32_layer_by_layer(
    project: str, case: str, original: Callable[[str, str], Any], tmp_path: Path
) -> None:
    record = original(project, case)
    run, steps = record["f32"], record["x"].shape[1]
    imported = _import(record, tmp_path)
    model = imported.model.float()
    for i, block in enumerate(model.blocks):
        x = _time_major(run["in"][i], steps).transpose(1, 2)  # (B, H, L)
        wanted = _time_major(run["out"][i], steps)
        with torch.no_grad():
            # In example.py the layer is recorded, elsewhere the whole block.
            whole = isinstance(record["config"]["layer"], dict)
            inner = block.norm(x) if whole and block.prenorm else x
            y = block.mixer.ssm(inner).transpose(1, 2)
            out = (block(x) if whole else block.mixer(x)).transpose(1, 2)
        y_wanted, spikes = _spikes(imported, run, i, steps)
        scale = float(y_wanted.abs().max())
        torch.testing.assert_close(y, y_wanted, rtol=0, atol=FLOAT32 * scale)
        limit = 0.15 * y.abs().amax(-1, keepdim=True) if model.config.layer == "gsu" else 0.0
        ours = (y > limit).float() - (y < -limit).float() * (model.config.layer == "gsu")
        flipped = ours != spikes
        assert int(flipped.sum()) <= 3
        assert bool(((y.abs() - limit).abs()[flipped] < FLOAT32 * scale).all())
        same = ~flipped.any(dim=-1)  # steps at which all spikes agree
        tolerance = FLOAT32 * float(wanted.abs().max())
        torch.testing.assert_close(out[same], wanted[same], rtol=0, atol=tolerance)


@pytest.mark.parametrize(("project", "case", "reason"), REFUSED)
def test_refused(
    project: str, case: str, reason: str, original: Callable[[str, str], Any], tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedError, match=reason):
        _import(original(project, case), tmp_path)
