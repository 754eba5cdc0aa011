"""The fused kernels compile for a GPU, which Triton can do where there is none.

Its interpreter, which runs them in other tests, accepts what its compiler refuses.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from neurossm.engine import gpu
from neurossm.engine.gpu import device_program, fused

pytestmark = [
    pytest.mark.triton,
    pytest.mark.skipif(not fused.available(), reason="no Triton of 3.4 or newer"),
]
HOPPER = ("cuda", 90, 32)
"""Backend, compute capability, threads of a warp."""


class Launcher:
    def __init__(self, call: Callable[..., None]) -> None:
        self.call = call

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        """Take the number of programs."""
        return self.call


def signature(value: Any, path: tuple[int, ...], aligned: dict[tuple[int, ...], Any]) -> Any:
    """Return the type of an argument as Triton writes it; note which addresses are aligned."""
    if isinstance(value, tuple):
        return tuple(signature(one, (*path, i), aligned) for i, one in enumerate(value))
    if not isinstance(value, torch.Tensor):
        return "i32"
    aligned[path] = [["tt.divisibility", 16]]
    kind = "fp" if value.dtype.is_floating_point else "u" if value.dtype == torch.uint8 else "i"
    return f"*{kind}{8 * value.dtype.itemsize}"


def compile_only(name: str, done: dict[str, int]) -> Any:
    """Return what is called as a kernel is, and compiles it instead; `done` counts lines of PTX."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from neurossm.engine.gpu import kernels

    function = getattr(kernels, name)

    def call(*args: Any, num_warps: int, enable_fp_fusion: bool, **constants: Any) -> None:
        aligned: dict[tuple[int, ...], Any] = {}
        types = {
            name: signature(args[i], (i,), aligned) if i < len(args) else "constexpr"
            for i, name in enumerate(function.arg_names)
        }
        known = {(function.arg_names.index(name),): value for name, value in constants.items()}
        options = {"num_warps": num_warps, "enable_fp_fusion": enable_fp_fusion}
        source = ASTSource(function, types, known, aligned)
        made = triton.compile(source, target=GPUTarget(*HOPPER), options=options)
        done[name] = done.get(name, 0) + len(made.asm["ptx"].splitlines())

    return Launcher(call)


def test_kernels_compile(networks: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    done: dict[str, int] = {}
    names = ("pointwise", "scan", "multiply", "recur")
    jit = SimpleNamespace(**{name: compile_only(name, done) for name in names})
    monkeypatch.setattr(device_program, "fused_kernels", lambda: fused.FusedKernels(jit))
    operations = runpy.run_path(str(Path(__file__).with_name("gpu_operations.py")))
    cases = [(p, operations["data_for"](p, 1, 2)) for p in operations["programs"](18, 5).values()]
    for mixer, saturating in (("binary", 1.0), ("gsu", 0.5)):
        program = networks.random_program(1, mixer=mixer, saturating=saturating, kind="float")
        cases.append((program, networks.random_data(program.input, 0, 1, 2)))
    for program, data in cases:
        gpu.run(program, data, device="cpu", kernels="fused")
    assert set(done) == set(names)
