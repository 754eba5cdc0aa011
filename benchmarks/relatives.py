"""Compile the trained networks of SSM-inspired-LIF: `python benchmarks/relatives.py CHECKOUT`.

Spikes and predictions of the integers are compared with those of the float network, on synthetic
counts of the shape of their data (300 steps of 140 channels): no accuracy follows from these. With
`--sdn CHECKOUT` of SDN, its learned neuron is compared with the LIF neuron that it approximates;
that runs the neuron's TorchScript.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch

from neurossm.compile import CompileOptions, compile_model
from neurossm.errors import LimitError
from neurossm.graph.evaluate import evaluate
from neurossm.importers import ImportOptions, import_checkpoint
from neurossm.models.export import export

FILES = {"SiLIF": None, "CSiLIF": None, "RF": None, "CadLIF": "cadlif"}
LAYERS = ("layers.0.spike", "layers.1.spike")
STEPS, CHANNELS, MOST = 300, 140, 15


def counts(samples: int, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return Poisson counts of a few bumps that move over channels, about 0.13 on average."""
    rng = np.random.default_rng(seed)
    t, c = np.arange(STEPS)[:, None], np.arange(CHANNELS)
    rate = np.full((samples, STEPS, CHANNELS), 0.01)
    for sample in rate:
        for _ in range(rng.integers(3, 8)):
            start, width = rng.uniform(20, 200), rng.uniform(8, 40)
            centre, spread, drift = rng.uniform(0, 140), rng.uniform(4, 20), rng.normal(0, 0.3)
            place = (c - centre - drift * (t - start)) / spread
            sample += rng.gamma(2, 0.6) * np.exp(-(((t - start) / width) ** 2) - place**2)
    return np.minimum(rng.poisson(rate), MOST).astype(np.uint8)


def compared(path: Path, neuron: str | None, samples: int) -> None:
    """Print how far integers follow floats, for both scalings."""
    options = ImportOptions(input=f"counts:{MOST}", neuron=neuron)
    model = import_checkpoint(path, options=options).model
    x = counts(samples, 1)
    found = evaluate(export(model), x, (*LAYERS, "readout.potential"))
    wanted = found["decoder"].argmax(axis=1)
    mean = found["readout.potential"].mean(axis=1).argmax(axis=1)
    rates = " / ".join(f"{100 * found[name].mean():.1f}" for name in LAYERS)
    print(f"{path.parents[1].name}: firing rates {rates} %; mean of potentials in place of the")
    print(f"  softmax: {100 * (mean == wanted).mean():.1f} % same top-1")
    for scaling in ("proved", "calibrated"):
        try:
            chosen = CompileOptions(scaling=scaling)
            program = compile_model(model, options=chosen, calibration=counts(64, 100))
        except LimitError as error:
            print(f"  {scaling}: {str(error)[:70]}...")
            continue
        ran = program.run(x, record=LAYERS)
        same = 100 * (ran.logits.argmax(axis=1) == wanted).mean()
        spikes = " / ".join(
            f"{100 * (ran.tensors[name] == found[name]).mean():.2f}" for name in LAYERS
        )
        clipped = sum(ran.saturations.values())
        print(f"  {scaling}: {same:.1f} % same top-1, equal spikes {spikes} %, {clipped} clipped")


def lif(y: torch.Tensor) -> torch.Tensor:
    """Return the spikes of the LIF neuron that SDN approximates, for y (..., L)."""
    v, spikes = torch.zeros_like(y[..., 0]), []
    for t in range(y.shape[-1]):
        u = 0.125 * v + y[..., t]
        spikes.append((u >= 1).to(y.dtype))
        v = u * (1 - spikes[-1])
    return torch.stack(spikes, dim=-1)


def approximated(checkout: Path) -> None:
    """Print how many spikes of the learned neuron are the LIF neuron's, on white noise."""
    (path,) = (checkout / "src/models/spike").glob("mem_pred_*.pkl")
    learned = torch.jit.load(str(path)).eval()  # type: ignore[no-untyped-call]
    torch.manual_seed(0)
    for deviation in (0.3, 0.5, 1.0, 2.0, 4.0):
        for name, weight in (("white", 0.0), ("slow", 0.95)):
            y = noise(deviation, weight)
            with torch.no_grad():
                spikes = (learned(y).view(y.shape) + y - 1 >= 0).to(y.dtype)
            exact = lif(y)
            equal, rate = (spikes == exact).double().mean(), exact.mean()
            print(f"SDN, {name} noise of {deviation}: equal {equal:.3%}, firing rate {rate:.1%}")


def noise(deviation: float, weight: float) -> torch.Tensor:
    """Return noise (64, 1, 1024), each step of which keeps a share of the one before."""
    y = torch.randn(64, 1, 1024)
    for t in range(1, y.shape[-1]):
        y[..., t] = weight * y[..., t - 1] + (1 - weight**2) ** 0.5 * y[..., t]
    return deviation * y


@click.command()
@click.argument("checkout", type=click.Path(path_type=Path))
@click.option("--sdn", type=click.Path(path_type=Path), help="A checkout of SDN.")
@click.option("--samples", default=300, show_default=True)
def main(checkout: Path, sdn: Path | None, samples: int) -> None:
    """Compare the four networks in CHECKOUT with their integers."""
    if sdn is not None:
        approximated(sdn)
    for name, neuron in FILES.items():
        folder = checkout / "reference_models" / f"ref_SSC_{name}"
        compared(folder / "checkpoints" / "best_model.pth", neuron, samples)


if __name__ == "__main__":
    main()
