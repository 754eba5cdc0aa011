"""A public S4D checkpoint against its own code: floats, integers, engines.

    python benchmarks/public_s4d.py CHECKOUT SCRIPT FILE pictures|waves [--scaling calibrated]

CHECKOUT is a checkout of the repository, SCRIPT the script of it that defines `S4Model` (only the
class is run, on the S4D of its `models/s4/s4d.py`), FILE the checkpoint. Needs einops, opt_einsum
and omegaconf, which that code imports. The data are made here, in the shape of what the network was
trained on, as the data themselves are not in the repositories:

- pictures: CIFAR-10's form, 1,024 steps of 3 bytes, normalised as the scripts do: fields whose
  amplitudes fall as f^-a, of many contrasts and colours, half of them with a disc or a rectangle;
- waves: 100 steps of a square wave of 0 and 1 with half waves of 5 steps, as the repository's
  generator makes; every fourth has half waves of 2 to 12.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

import neurossm
from neurossm.compile import CompileOptions
from neurossm.graph.evaluate import evaluate
from neurossm.importers import ImportOptions, import_checkpoint
from neurossm.models.export import export

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
SPREAD = np.array((0.247, 0.243, 0.261))


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("script")
    parser.add_argument("file")
    parser.add_argument("data", choices=("pictures", "waves"))
    parser.add_argument("--scaling", choices=("proved", "calibrated"), default="proved")
    parser.add_argument("--samples", type=int, default=1000)
    given = parser.parse_args()
    make = pictures if given.data == "pictures" else waves
    x = make(np.random.default_rng(0), given.samples)
    model = original(given.checkout, given.script, given.file)
    wanted = computed(model, (x / 255 - MEAN) / STD if given.data == "pictures" else x)

    mean, std = (",".join(map(str, part)) for part in (MEAN, STD))
    pixels = {"input": "uint8", "mean": mean, "std": std}
    reads: dict[str, Any] = pixels if given.data == "pictures" else {"input": "float:0:1"}
    options = ImportOptions(activation="gelu", prenorm=False, norm="layer", residual="sum", **reads)
    graph = export(import_checkpoint(given.checkout / given.file, options=options).model)
    floats = evaluate(graph, x[:3], ["decoder"])["decoder"].reshape(3, -1)
    calibration = make(np.random.default_rng(9), 64) if given.scaling == "calibrated" else None
    program = neurossm.compile_model(
        graph, options=CompileOptions(scaling=given.scaling), calibration=calibration
    )
    logits = program.readout.out.to_float(program.run(x, "fast").logits)
    same = np.mean(logits.argmax(1) == wanted.argmax(1))
    print(
        f"{given.file}: floats differ by {np.abs(floats - wanted[:3]).max():.1e} of "
        f"{np.abs(wanted).max():.1f}; {same:.1%} same top-1 of {given.samples} "
        f"({len(set(wanted.argmax(1)))} classes), {np.mean((logits > 0) == (wanted > 0)):.2%} same "
        f"signs of outputs; fast equals reference in {compared(program, x[:1]):,} integers"
    )


def original(checkout: Path, script: str, file: str) -> nn.Module:
    """Return the network of a checkout, with the weights of a file, in float64."""
    sys.path.insert(0, str(checkout))
    from models.s4.s4d import S4D  # type: ignore[import-not-found]

    text = (checkout / script).read_text("utf-8")
    begin = text.index("class S4Model")
    space = {"nn": nn, "S4D": S4D, "dropout_fn": nn.Dropout1d, "args": SimpleNamespace(lr=0.01)}
    exec(text[begin : text.index("\n# Model\n", begin)].replace("# %%", ""), space)
    content = torch.load(checkout / file, map_location="cpu", weights_only=True)
    weights = content.get("model", content.get("model_state_dict", content))
    weights = {name.removeprefix("module."): value for name, value in weights.items()}
    channels, inputs = weights["encoder.weight"].shape
    layers = len({name.split(".")[1] for name in weights if name.startswith("s4_layers.")})
    sizes = {"d_model": channels, "n_layers": layers, "dropout": 0.0, "prenorm": False}
    made: nn.Module = space["S4Model"](  # type: ignore[operator]
        d_input=inputs, d_output=len(weights["decoder.weight"]), **sizes
    )
    made.load_state_dict(weights)
    return made.double().eval()


@torch.no_grad()
def computed(model: nn.Module, x: np.ndarray) -> np.ndarray:
    """Return its logits, 25 samples at a time."""
    values = torch.from_numpy(np.asarray(x, np.float64))
    with contextlib.redirect_stdout(io.StringIO()):  # some print the shapes they see
        parts = [model(values[i : i + 25]) for i in range(0, len(values), 25)]
    return torch.cat(parts).numpy()


def compared(program: neurossm.Program, x: np.ndarray) -> int:
    """Return how many integers of every tensor and state are equal; stop at one that is not."""
    names = tuple(program.recordings)
    fast, reference = (program.run(x, engine, record=names) for engine in ("fast", "reference"))
    for name, values in reference.tensors.items():
        np.testing.assert_array_equal(fast.tensors[name], values, name)
    np.testing.assert_array_equal(program.run(x, "fast").logits, reference.logits)
    return sum(values.size for values in reference.tensors.values())


def pictures(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return bytes (count, 1024, 3)."""
    rows = []
    y, x = np.mgrid[:32, :32]
    for i in range(count):
        one = picture(rng)
        if i % 2:
            other, (row, column) = picture(rng), rng.uniform(8, 24, 2)
            height, width = rng.uniform(4, 14, 2)
            inside = (
                ((y - row) / height) ** 2 + ((x - column) / width) ** 2 < 1
                if i % 4 == 1
                else (abs(y - row) < height) & (abs(x - column) < width)
            )
            one = np.where(inside[..., None], other, one)
        rows.append(one)
    pixels = np.clip(np.round(255 * np.array(rows)), 0, 255)
    return pixels.astype(np.uint8).reshape(count, 1024, 3)


def picture(rng: np.random.Generator) -> np.ndarray:
    """Return one without shapes, (32, 32, 3), as shares of the brightest."""
    steps = np.fft.fftfreq(32)
    frequency = np.hypot(*np.meshgrid(steps, steps))
    frequency[0, 0] = 1 / 48
    slope, contrast, shared = rng.uniform(0.5, 2), rng.uniform(0.3, 1.3), rng.uniform(0.3, 1)

    def field() -> np.ndarray:
        noise = np.fft.fft2(rng.normal(size=(32, 32)))
        found = np.fft.ifft2(noise * frequency**-slope).real
        return found / found.std()

    common, rest = field(), np.sqrt(1 - shared**2)
    colours = np.stack([shared * common + rest * field() for _ in range(3)], -1)
    shade = rng.normal(0, 0.15) + rng.normal(0, 0.1, 3)
    return np.array(MEAN) + shade + contrast * colours * SPREAD


def waves(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return 0 and 1, (count, 100, 1)."""
    rows = []
    for i in range(count):
        half = 5 if i % 4 else int(rng.integers(2, 13))
        rows.append(((np.arange(100) + int(rng.integers(0, 2 * half))) // half) % 2)
    return np.array(rows, np.float32)[..., None]


if __name__ == "__main__":
    main()
