"""The shipped and the official models in C, on real digits: every tensor and state.

`make test` takes one digit of a small model; `make conformance` 100 of each, with states of some.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import neurossm
from neurossm.c import STYLES, engine
from neurossm.program import Program, reference

EXAMPLES = Path(__file__).parents[2] / "examples"
FULL = os.environ.get("NEUROSSM_CONFORMANCE") == "full"
SHIPPED = (
    "smnist/binary_s4d_small.pt",
    "smnist/gsu_small.pt",
    "smnist/binary_s4d.pt",
    "smnist/gsu.pt",
)
OFFICIAL = ("official/binary_s4d.ckpt", "official/gsu.ckpt")
MODELS = (*SHIPPED, *OFFICIAL) if FULL else SHIPPED[:1]
DIGITS, WITH_STATES, BATCH = (100, 4, 4) if FULL else (1, 1, 1)


def compiled(name: str) -> Program:
    path = EXAMPLES / name
    if name in SHIPPED:
        return neurossm.compile_model(path)
    return neurossm.compile_model(neurossm.import_checkpoint(path).model, target="cpu")


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_integer(
    name: str, monkeypatch: pytest.MonkeyPatch, say: Callable[[str], None]
) -> None:
    monkeypatch.setenv("CFLAGS", "-O2 -march=native" if FULL else "-O1")
    program = compiled(name)
    with np.load(EXAMPLES / "smnist" / "mnist_test.npz") as file:
        digits = file["x"][:DIGITS]
    every = tuple(program.recordings)
    tensors = tuple(name for name in every if program.recordings[name].state is None)
    integers = 0
    for first in range(0, DIGITS, BATCH):
        x = digits[first : first + BATCH]
        names = every if first < WITH_STATES else tensors
        expected = reference.run(program, x, record=names)
        for style in STYLES:
            found = engine.run(program, x, names, style=style)
            unwatched = engine.run(program, x, style=style)
            for one in (found, unwatched):
                np.testing.assert_array_equal(one.logits, expected.logits)
                np.testing.assert_array_equal(one.totals, expected.totals)
                assert one.saturations == expected.saturations
            for tensor in names:
                wanted = expected.tensors[tensor]
                np.testing.assert_array_equal(found.tensors[tensor], wanted, tensor)
                integers += wanted.size
    say(f"{name} in C, {DIGITS} digits, {len(STYLES)} styles: {integers:,} integers equal")
