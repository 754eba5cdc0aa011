"""Time a training step on a GPU in one run: Triton kernels, modules, and the paper's own layers.

    python benchmarks/training.py [--lengths 784,2048] [--tokens 100352] [--official CHECKOUT]

CHECKOUT is the folder `state_spaces` of the paper's code, which runs as it does in its own trainer,
without capture, and needs what examples/official/train.py names.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from neurossm.models import InputSpec, ModelConfig, Network, fused


def step_ms(layer: str, batch: int, length: int, kernels: bool, repeats: int = 20) -> float:
    """Return milliseconds of forward, backward and AdamW, replayed as one CUDA graph."""
    torch.manual_seed(0)
    config = ModelConfig(layer, InputSpec.uint8(1), 10, dropout=0.1)  # type: ignore[arg-type]
    model = Network(config).cuda().train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True, capturable=True)
    x = torch.randint(0, 256, (batch, length, 1), dtype=torch.uint8, device="cuda")
    y = torch.randint(0, 10, (batch,), device="cuda")

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    return replayed_ms(step, kernels, model, repeats)


def replayed_ms(step: Callable[[], None], kernels: bool, model: Network, repeats: int) -> float:
    """Return milliseconds of a step that is replayed as one CUDA graph."""
    usable = fused.usable
    if not kernels:
        fused.usable = lambda hidden, modes: False
        for block in model.blocks:
            block.mixer.mix = torch.compile(block.mixer.mix, dynamic=False)
    try:
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            for _ in range(3):
                step()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
    finally:
        fused.usable = usable
    return timed_ms(graph.replay, repeats)


def timed_ms(step: Callable[[], object], repeats: int) -> float:
    """Return milliseconds of one of many steps."""
    step()
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(repeats):
        step()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / repeats


def official_ms(
    checkout: str, layer: str, batch: int, length: int, repeats: int = 10
) -> float | None:
    """Return milliseconds of a step of the paper's layers; None if they exceed the memory."""
    place = Path(__file__).parents[1] / "examples" / "official" / "train.py"
    spec = importlib.util.spec_from_file_location("official_train", place)
    code: Any = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(code)  # type: ignore[union-attr]
    code.find_code(Path(checkout))
    torch.manual_seed(0)
    options = argparse.Namespace(layer=layer, d_state=64, d_model=128, layers=4)
    model = code.SequenceClassifier(code.configuration(options), 10).cuda().train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    x = torch.rand(batch, length, 1, device="cuda")
    y = torch.randint(0, 10, (batch,), device="cuda")

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    try:
        for _ in range(3):
            step()
        return timed_ms(step, repeats)
    except torch.OutOfMemoryError:
        return None


def main() -> None:
    """Print a table: 4 blocks of 128 channels with 32 modes, dropout 0.1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lengths", default="784,2048,4096,16384")
    parser.add_argument("--tokens", type=int, default=128 * 784, help="samples times steps")
    parser.add_argument("--official", help="folder state_spaces of the paper's code")
    options = parser.parse_args()
    torch.set_float32_matmul_precision("high")
    print(torch.cuda.get_device_name(), "torch", torch.__version__, flush=True)
    head = "layer | steps | batch | kernels, samples/s | modules | ratio"
    print(f"| {head}{' | official | ratio' if options.official else ''} |", flush=True)
    for length in map(int, options.lengths.split(",")):
        batch = max(1, options.tokens // length)
        for layer in ("binary-s4d", "gsu"):
            kernels = step_ms(layer, batch, length, kernels=True)
            modules = step_ms(layer, batch, length, kernels=False)
            row = f"{layer} | {length} | {batch} | {1000 * batch / kernels:,.0f}"
            row += f" | {1000 * batch / modules:,.0f} | {modules / kernels:.2f}"
            if options.official:
                theirs = official_ms(options.official, layer, batch, length)
                rate = "out of memory | " if theirs is None else f"{1000 * batch / theirs:,.0f} | "
                row += f" | {rate}" + ("" if theirs is None else f"{theirs / kernels:.2f}")
            print(f"| {row} |", flush=True)


if __name__ == "__main__":
    main()
