"""The golden vectors notice readings of the specification that an engine survived before."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from neurossm import registry
from neurossm.program import Program

FOLDER = Path(__file__).parents[1] / "golden"
SOURCE = Path(__file__).with_name("naive_interpreter.py")

READINGS: dict[str, tuple[str, str, str]] = {
    "LayerNorm's estimate is rounded down": (
        "norm-edges",
        "139592 - rshift(79299 * v, 28)",
        "139592 - (79299 * v >> 28)",
    ),
    "v is cut off, not rounded": (
        "norm-edges",
        "v = rshift(V, 2 * p)",
        "v = V >> 2 * p if p > 0 else V << -2 * p",
    ),
    "nothing is added where V is 0": (
        "norm-edges",
        "            g = [0] * len(x)",
        "            return [0] * len(x)",
    ),
    "the root of V is taken where V is 0": (
        "norm-edges",
        "            g = [0] * len(x)",
        "            g = [value // V for value in d]",
    ),
    "eps is left out where deviations are shifted": (
        "norm-edges",
        'op["eps"] // 2 ** (2 * r)',
        '(op["eps"] if r == 0 else 0)',
    ),
    "eps is left out for shifts beyond 31": (
        "norm-edges",
        'op["eps"] // 2 ** (2 * r)',
        '(op["eps"] >> 2 * r if 2 * r < 32 else 0)',
    ),
    "eps is not shifted": ("norm-edges", 'op["eps"] // 2 ** (2 * r)', 'op["eps"]'),
    "eps is shifted as a processor shifts words of 64 bits": (
        "norm-edges",
        'op["eps"] // 2 ** (2 * r)',
        '(op["eps"] >> (2 * r) % 64)',
    ),
    "eps is shifted as a processor shifts words of 32 bits": (
        "norm-edges",
        'op["eps"] // 2 ** (2 * r)',
        '(op["eps"] >> (2 * r) % 32)',
    ),
    "a value at the lower limit counts as clipped": (
        "limits",
        "if clipped != value:",
        "if clipped != value or value == low:",
    ),
    "a value at the upper limit counts as clipped": (
        "limits",
        "if clipped != value:",
        "if clipped != value or value == high:",
    ),
    "widths are symmetric": ("limits", "-(1 << (bits - 1)), (", "1 - (1 << (bits - 1)), ("),
    "products with poles are of 32 bits": (
        "slow-poles",
        "rshift(a_re * s_im + a_im * s_re, A)",
        "rshift((a_re * s_im + a_im * s_re + 2**31) % 2**32 - 2**31, A)",
    ),
    "the mean is over all steps of the data": (
        "gsu-bytes.lengths",
        "self._logits(total, len(sample))",
        "self._logits(total, 12)",
    ),
}
"""Golden vectors that must notice it, a text of the interpreter, and what it becomes."""


def vectors(case: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / f"{case}.npz") as file:
        return {name.replace(".state", ":state"): file[name] for name in file.files}


def ends(wanted: dict[str, np.ndarray]) -> list[int]:
    """Return the steps of each sample."""
    samples, steps = wanted["data"].shape[:2]
    return wanted["lengths"].tolist() if "lengths" in wanted else [steps] * samples


def interpreter(old: str = "", new: str = "") -> ModuleType:
    source = SOURCE.read_text()
    assert not old or source.count(old) == 1, old
    module = ModuleType("altered")
    exec(compile(source.replace(old, new) if old else source, str(SOURCE), "exec"), vars(module))
    return module


def differs(naive: Any, case: str) -> bool:
    wanted = vectors(case)
    machine = naive.Machine(naive.load(FOLDER / f"{case.split('.')[0]}.h5"))
    for sample, n in enumerate(ends(wanted)):
        try:
            logits, tensors = machine.run(wanted["data"][sample, :n].tolist())
        except ArithmeticError:
            return True
        for name, values in tensors.items():
            if values != wanted[f"tensors/{name}"][sample, :n].tolist():
                return True
        if logits != wanted["logits"][sample].tolist():
            return True
    counts = {f"saturations/{name}": n for name, n in machine.counts.items()}
    return counts != {name: n for name, n in wanted.items() if name.startswith("saturations/")}


@pytest.mark.parametrize("reading", READINGS)
def test_misreadings_are_noticed(reading):
    case, old, new = READINGS[reading]
    assert not differs(interpreter(), case)
    assert differs(interpreter(old, new), case)


def test_values_reach_and_pass_both_limits_of_every_operation_that_saturates():
    wanted = vectors("limits")
    for name in ("affine", "table", "product", "add", "ssm", "states:state_re"):
        values = set(wanted[f"tensors/{name}"].ravel().tolist())
        assert {-128, -127, 126, 127} <= values, name
    assert wanted["tensors/layernorm"].tolist() == [[[-128]] * 12] * 2
    assert -128 in wanted["tensors/states:state_im"]
    # of its 12 values, -300, -129, 128 and 300 are beyond the limits, in both samples
    for name in ("affine", "table", "product", "add", "ssm", "lif:state"):
        assert wanted[f"saturations/{name}"] == 8, name
    assert wanted["saturations/relu"] == 4
    assert "saturations/layernorm" not in wanted
    assert wanted["logits"][0].tolist() == [-128, -128, 127, 127]


@pytest.mark.parametrize("case", sorted(path.stem for path in FOLDER.glob("*.lengths.npz")))
@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_samples_end_where_they_do(case, engine):
    wanted = vectors(case)
    program = Program.load(FOLDER / f"{case.split('.')[0]}.h5")
    for sample, n in enumerate(ends(wanted)):
        data = wanted["data"][sample : sample + 1, :n]
        ran = registry.run(program, data, engine, record=program.recordings)
        assert ran.logits.tolist() == wanted["logits"][sample : sample + 1].tolist()
        for name, values in ran.tensors.items():
            assert values[0].tolist() == wanted[f"tensors/{name}"][sample, :n].tolist()
            assert not wanted[f"tensors/{name}"][sample, n:].any()
