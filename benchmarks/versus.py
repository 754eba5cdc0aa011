"""The fast engine against float PyTorch and against Lava, on the same samples in one run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from measuring import seconds, summary

from neurossm.engine import cpu as fast
from neurossm.models import load
from neurossm.models.convolution import fft_length
from neurossm.models.ssm import kernels
from neurossm.program import Program


class FloatNetwork:
    """The trained network in PyTorch's convolution form, its kernels' spectra precomputed."""

    def __init__(self, checkpoint: Path, length: int) -> None:
        self.model = load(checkpoint).model.eval().float()
        self.length, self.size = length, fft_length(length)
        with torch.inference_mode():
            layers = [block.mixer.ssm for block in self.model.blocks]
            responses = kernels(layers, length).float()
            self.spectra = [torch.fft.rfft(one, n=self.size) for one in responses]

    @torch.inference_mode()
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Classify (B, L, size)."""
        hidden = self.model.encode(x).transpose(1, 2).contiguous()  # (B, H, L)
        for block, spectrum in zip(self.model.blocks, self.spectra, strict=True):
            u = block.norm(hidden) if block.prenorm else hidden
            y = torch.fft.irfft(torch.fft.rfft(u, n=self.size) * spectrum, n=self.size)
            out = hidden + block.mixer.mix(y[..., : self.length])
            hidden = out if block.prenorm else block.norm(out)
        logits: torch.Tensor = self.model.decoder(self.model.norm(hidden).mean(dim=-1))
        return logits


def against_pytorch(
    program: Program, checkpoint: Path, x: np.ndarray, batches: list[int], repeats: int, cores: int
) -> list[dict[str, float]]:
    """Return samples per second of both, by batch; every repeat times one after the other."""
    torch.set_num_threads(cores)
    network = FloatNetwork(checkpoint, x.shape[1])
    rows = []
    for batch in batches:
        theirs, ours = _interleaved(network, program, x[:batch], repeats)
        rows.append(
            {
                "batch": batch,
                "pytorch_per_second": batch / theirs,
                "fast_per_second": batch / ours,
            }
        )
    return rows


def _interleaved(
    network: FloatNetwork, program: Program, x: np.ndarray, repeats: int
) -> tuple[float, float]:
    """Return the median seconds of both, timed one after the other again and again."""
    tensor = torch.from_numpy(x)
    calls = max(1, 8 // len(x))  # short calls are repeated: one alone is mostly noise

    def theirs() -> None:
        for _ in range(calls):
            network(tensor)

    def ours() -> None:
        for _ in range(calls):
            fast.run(program, x)

    theirs(), ours()
    times = [(seconds(theirs), seconds(ours)) for _ in range(repeats)]
    return tuple(summary([pair[i] for pair in times]).median / calls for i in (0, 1))


def agreement_with_pytorch(program: Program, checkpoint: Path, x: np.ndarray) -> float:
    """Return how often both decide alike: the float network timed is the right one."""
    network = FloatNetwork(checkpoint, x.shape[1])
    ours = fast.run(program, x).logits.argmax(axis=1)
    theirs = network(torch.from_numpy(x)).argmax(dim=1).numpy()
    return float(np.mean(ours == theirs))


def against_lava(program: Program, x: np.ndarray, repeats: int) -> dict[str, object] | None:
    """Return samples per second of Lava, its worker started beforehand; None without Lava.

    Two runs of different length: what both have in common is start-up, and is taken off.
    """
    from neurossm.errors import MissingDependencyError
    from neurossm.lava.engine import run
    from neurossm.lava.worker import Worker

    try:
        worker = Worker()
    except MissingDependencyError:
        return None
    few, many = x[:1], x[:4]
    with worker:
        equal = np.array_equal(
            run(program, few, worker=worker).logits, fast.run(program, few).logits
        )
        differences, fast_times = [], []
        for _ in range(repeats):
            short = seconds(lambda: run(program, few, worker=worker))
            long = seconds(lambda: run(program, many, worker=worker))
            differences.append((long - short) / (len(many) - len(few)))
            fast_times.append(seconds(lambda: fast.run(program, x[:64])) / 64)
    lava, ours = summary(differences), summary(fast_times)
    return {
        "lava_seconds_per_sample": lava.median,
        "fast_seconds_per_sample": ours.median,
        "ratio": lava.median / ours.median,
        "same_logits": equal,
    }
