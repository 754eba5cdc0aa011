"""Bounds follow from docs/fixed-point.md alone: to the last integer, the SSMs' included."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from neurossm.program import SSM, Program, unchecked
from neurossm.program.certificate import certify, derive

FOLDER = Path(__file__).parents[1] / "golden"
FILES = [path for path in sorted(FOLDER.glob("*.h5")) if path.stem != "soft-resets"]
"""Without those of operations that the page bounds by constants, whatever their inputs."""


@pytest.fixture(scope="module")
def page() -> ModuleType:
    path = Path(__file__).with_name("naive_bounds.py")
    spec = importlib.util.spec_from_file_location("naive_bounds", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def differences(naive: ModuleType, page: ModuleType, path: Path) -> list[str]:
    """Return the operations whose derived bounds are not those of the page."""
    found = page.derive(naive.load(path)["operations"])
    wrong = []
    for op in derive(Program.load(path).ops):
        intervals = list(zip(op.out.low.tolist(), op.out.high.tolist(), strict=True))
        if found[op.name] != (intervals, op.out.proved):
            wrong.append(op.name)
    return wrong


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_golden_programs(naive, page, path):
    assert differences(naive, page, path) == []


@pytest.mark.parametrize("seed", range(12))
def test_random_programs(naive, page, networks, tmp_path, seed):
    mixer, norm = networks.MIXERS[seed % 2], ["pre", "layer", "post"][seed // 2 % 3]
    kind, narrow = networks.KINDS[seed % 3], 0.5 * (seed // 6)
    program = networks.random_program(
        40 + seed, mixer=mixer, norm=norm, kind=kind, inputs=2, modes=2, saturating=narrow
    )
    program.save(tmp_path / "p.h5")
    assert differences(naive, page, tmp_path / "p.h5") == []


def test_channels_with_fewer_modes(naive, page, networks, tmp_path):
    """The last mode of every other channel is absent."""
    program = networks.random_program(40, mixer="binary", norm="pre", inputs=2, modes=2)
    ops = []
    for op in program.ops:
        if isinstance(op, SSM):
            kept = np.ones(op.a_re.shape, np.int64)
            kept[::2, -1] = 0
            fields = {name: getattr(op, name) * kept for name in ("a_re", "a_im", "c_re", "c_im")}
            shift, k = op.pole_shift, op.input_shift
            fields |= {"pole_shift": shift * kept + 30 * (1 - kept)}
            fields |= {"input_shift": k * kept - 30 * (1 - kept)}
            op = replace(op, out=unchecked(op.out.bits, op.out.exponent, len(kept)), **fields)
            assert op.mode_counts.tolist() == [1, 2] * (len(kept) // 2) + [1] * (len(kept) % 2)
        ops.append(op)
    certify(program.with_ops(ops)).save(tmp_path / "p.h5")
    assert differences(naive, page, tmp_path / "p.h5") == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("5e-12 *", "1e-11 *"),
        ("/ 2 + 1\n", "/ 2\n"),
        ("proved = all(channel", "proved = any(channel"),
        ("min(u[0], 0) * 2.0**k", "u[0] * 2.0**k"),
        ("min(self.u[0], 0)", "self.u[0]"),
    ],
)
def test_another_way_to_sum_is_noticed(naive, page, networks, tmp_path, old, new):
    path = Path(page.__file__)
    source = path.read_text()
    assert source.count(old) == 1
    altered = ModuleType("altered")
    exec(compile(source.replace(old, new), str(path), "exec"), vars(altered))
    files = [*FILES, tmp_path / "p.h5"]
    networks.random_program(46, mixer="gsu", inputs=2, saturating=0.3).save(files[-1])
    assert any(differences(naive, altered, file) for file in files)
