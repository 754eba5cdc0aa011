"""Compare the fused kernels with the reference in Triton's interpreter; print how many integers.

Run with `TRITON_INTERPRET=1`, which Triton reads when the kernels are imported.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neurossm import compile_model
from neurossm.engine import gpu
from neurossm.program import Program, reference

HERE = Path(__file__).parent


def compare(program: Program, data: np.ndarray, names: Sequence[str]) -> int:
    """Run both; return how many integers were equal, or stop at the first that are not."""
    steps = data.shape[1]
    lengths = np.random.default_rng(steps).integers(1, steps + 1, len(data))
    return sum(_compare(program, data, names, some) for some in (None, lengths))


def _compare(
    program: Program, data: np.ndarray, names: Sequence[str], lengths: np.ndarray | None
) -> int:
    expected = reference.run(program, data, names, lengths=lengths)
    how = {"device": "cpu", "kernels": "fused", "memory": 3_000}
    found = gpu.run(program, data, names, lengths=lengths, **how)
    assert found.saturations == expected.saturations
    np.testing.assert_array_equal(found.logits, expected.logits)
    np.testing.assert_array_equal(found.totals, expected.totals)
    for name in names:
        np.testing.assert_array_equal(found.tensors[name], expected.tensors[name], name)
    return expected.logits.size + sum(expected.tensors[name].size for name in names)


def outputs(program: Program) -> list[str]:
    """Return all tensors but states, with which fused kernels would not run."""
    return [name for name, one in program.recordings.items() if one.state is None]


def main() -> None:
    """Compare random networks, operations of tests, and golden vectors."""
    networks = runpy.run_path(str(HERE.parent / "random_networks.py"))
    operations = runpy.run_path(str(HERE / "gpu_operations.py"))
    compared = 0
    for seed in range(9):
        program = networks["random_program"](
            seed,
            channels=3 + seed,
            modes=1 + seed // 2,
            saturating=(0.0, 0.5, 1.0)[seed % 3],
            mixer=("binary", "gsu")[seed % 2],
        )
        data = networks["random_data"](program.input, seed, 3, 7)
        for kept in (outputs(program), ()):  # with nothing to keep, chains are longer
            compared += compare(program, data, kept)
    # In a chain, LayerNorm must not see what a table gives beyond the channels.
    for channels in (5, 6):
        graph = networks["random_graph"](1, channels=channels, mixer="gsu", layer_norm=True)
        data = networks["random_data"](graph.input, 0, 3, 9)
        compared += compare(compile_model(graph, calibration=data), data, ())
    for seed, mixer in enumerate(("gelu", "relu")):
        graph = networks["random_graph"](seed, channels=5 + seed, mixer=mixer, blocks=1)
        data = networks["random_data"](graph.input, 0, 3, 9)
        program = compile_model(graph)
        for kept in (outputs(program), ()):
            compared += compare(program, data, kept)
    for bits, channels in ((6, 5), (25, 1), (36, 33)):
        for program in operations["programs"](bits, channels).values():
            data = operations["data_for"](program, 2, 5)
            for kept in (outputs(program), ()):
                compared += compare(program, data, kept)
    for case in sorted((HERE.parent / "golden").glob("*.h5")):
        program = Program.load(case)
        with np.load(case.with_suffix(".npz")) as golden:
            names = outputs(program)
            found = gpu.run(program, golden["data"], names, device="cpu", kernels="fused")
            np.testing.assert_array_equal(found.logits, golden["logits"])
            for name in names:
                np.testing.assert_array_equal(found.tensors[name], golden["tensors/" + name])
                compared += found.tensors[name].size
    sys.stdout.write(f"{compared}\n")


if __name__ == "__main__":
    main()
