"""Time a training step on a GPU: blocks as Triton kernels, and as modules, in one run.

python benchmarks/training.py [--lengths 784,2048] [--tokens 100352]
"""

from __future__ import annotations

import argparse

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
    graph.replay()
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(repeats):
        graph.replay()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / repeats


def main() -> None:
    """Print a table: 4 blocks of 128 channels with 32 modes, dropout 0.1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lengths", default="784,2048,4096,16384")
    parser.add_argument("--tokens", type=int, default=128 * 784, help="samples times steps")
    options = parser.parse_args()
    torch.set_float32_matmul_precision("high")
    print(torch.cuda.get_device_name(), "torch", torch.__version__, flush=True)
    print("| layer | steps | batch | kernels, samples/s | modules, samples/s | ratio |", flush=True)
    for length in map(int, options.lengths.split(",")):
        batch = max(1, options.tokens // length)
        for layer in ("binary-s4d", "gsu"):
            kernels = step_ms(layer, batch, length, kernels=True)
            modules = step_ms(layer, batch, length, kernels=False)
            rates = f"{1000 * batch / kernels:,.0f} | {1000 * batch / modules:,.0f}"
            print(
                f"| {layer} | {length} | {batch} | {rates} | {modules / kernels:.2f} |", flush=True
            )


if __name__ == "__main__":
    main()
