"""Train Binary S4D or a GSU on sequential MNIST with the layers of the paper's own code.

    python examples/official/train.py CHECKOUT DIGITS binary-s4d OUT.ckpt
    python examples/official/train.py CHECKOUT DIGITS gsu OUT.ckpt

CHECKOUT is the folder `state_spaces` of github.com/stanmatei/learning_long_sequences_snns, DIGITS a
folder with MNIST's four IDX files (.gz). Needs torch, NumPy, einops, opt_einsum, omegaconf,
hydra-core, and best a GPU. NeuroSSM is not used: what comes out is a checkpoint as that project's
Lightning trainer writes it, for `neurossm import`.

What their modules import for logging only is replaced where it is missing, and so is snnTorch, of
which they take one function: the spike with the gradient of a fast sigmoid, slope 25.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

LAYERS = {"binary-s4d": "s4_surrogate", "gsu": "s4_gsu"}
POOL = {"_name_": "pool", "stride": 1, "expand": None}


class Spike(torch.autograd.Function):
    """1 above zero; the gradient is that of a fast sigmoid."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        """Return the spikes."""
        ctx.save_for_backward(z)
        return (z > 0).to(z.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Return the surrogate gradient."""
        (z,) = ctx.saved_tensors
        return gradients[0] / (25 * z.abs() + 1) ** 2


def stand_in(name: str, **attributes: object) -> None:
    """Provide a module that is not installed."""
    try:
        importlib.import_module(name)
    except ImportError:
        module = types.ModuleType(name)
        module.__dict__.update(attributes)
        sys.modules[name] = module
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, module)


def find_code(checkout: Path) -> None:
    """Make `src` of the checkout importable."""
    sys.path.insert(0, str(checkout))
    stand_in("pytorch_lightning")
    stand_in("pytorch_lightning.utilities", rank_zero_only=lambda f: f, rank_zero_warn=print)
    stand_in("snntorch")
    for name in ("backprop", "functional", "utils", "spikeplot"):
        stand_in(f"snntorch.{name}")
    stand_in("snntorch.surrogate", fast_sigmoid=lambda slope: Spike.apply)


def configuration(options: argparse.Namespace) -> dict[str, Any]:
    """Return the network's configuration, in their names."""
    layer = {
        "_name_": LAYERS[options.layer],
        "d_state": options.d_state,
        "channels": 1,
        "bidirectional": False,
        "mode": "diag",
        "measure": "diag-inv",
        "disc": "bilinear",
        "lr": {"dt": 0.001, "A": 0.001, "B": 0.001},
    }
    return {
        "d_model": options.d_model,
        "n_layers": options.layers,
        "norm": "batch",
        "prenorm": True,
        "dropout": 0.0,
        "residual": "R",
        "pool": POOL,
        "layer": layer,
    }


class SequenceClassifier(nn.Module):
    """Encoder, backbone and decoder, chained as their Lightning module does."""

    def __init__(self, config: dict[str, Any], classes: int) -> None:
        super().__init__()
        from src.models import sequence
        from src.models.nn.utils import PassthroughSequential
        from src.tasks.decoders import SequenceDecoder

        width = config["d_model"]
        self.encoder = PassthroughSequential(nn.Linear(1, width))
        self.model = sequence.SequenceModel(**config)
        decoder = SequenceDecoder(width, classes, l_output=0, mode="pool")
        self.decoder = PassthroughSequential(decoder)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, classes) of x (B, L, 1)."""
        x, _ = self.encoder(x)
        x, _ = self.model(x)
        x, _ = self.decoder(x)
        return x


def read_digits(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    """Return pixels (S, 784, 1) uint8 and labels (S) of the training or the test set."""
    images = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())[8:]
    x = np.frombuffer(images, np.uint8).reshape(-1, 784, 1)
    y = np.frombuffer(labels, np.uint8).astype(np.int64)
    return torch.from_numpy(x.copy()), torch.from_numpy(y)


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return the share that is classified correctly."""
    model.eval()
    with torch.no_grad():
        right = [
            (model(a.float() / 255).argmax(dim=-1) == b).sum()
            for a, b in zip(x.split(500), y.split(500), strict=True)
        ]
    return int(torch.stack(right).sum()) / len(y)


def train(model: nn.Module, x: Tensor, y: Tensor, options: argparse.Namespace) -> None:
    """Train with AdamW and one cycle of the learning rate; save after every epoch."""
    held = max(1, len(x) // 12)  # 5,000 of 60,000
    held_x, held_y, x, y = x[-held:], y[-held:], x[:-held], y[:-held]
    special = [p for p in model.parameters() if hasattr(p, "_optim")]
    plain = [p for p in model.parameters() if not hasattr(p, "_optim")]
    groups = [
        {"params": plain, "weight_decay": 0.01},
        {"params": special, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.01)
    per_epoch = len(x) // options.batch
    if per_epoch == 0:
        raise SystemExit(
            f"train.py: --batch {options.batch} exceeds the {len(x)} digits to train on"
        )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [0.01, 0.001], total_steps=options.epochs * per_epoch
    )
    started = time.perf_counter()
    for epoch in range(options.epochs):
        model.train()
        order = torch.randperm(len(x), device=x.device)
        for number in range(per_epoch):
            chosen = order[number * options.batch : (number + 1) * options.batch]
            loss = nn.functional.cross_entropy(model(x[chosen].float() / 255), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        held_out = accuracy(model, held_x, held_y)
        seconds = time.perf_counter() - started
        print(f"epoch {epoch + 1}: held out {held_out:.2%}, {seconds:.0f} s", flush=True)
        save(model, options, epoch, (epoch + 1) * per_epoch)


def save(model: nn.Module, options: argparse.Namespace, epoch: int, step: int) -> None:
    """Write a checkpoint with the fields that Lightning gives it."""
    hyper_parameters = {
        "model": {"_name_": "model", **configuration(options)},
        "encoder": "linear",
        "decoder": {"_name_": "sequence", "mode": "pool"},
        "dataset": {"_name_": "mnist", "permute": False},
        "train": {"seed": options.seed},
    }
    state = {name: value.cpu() for name, value in model.state_dict().items()}
    checkpoint = {
        "epoch": epoch,
        "global_step": step,
        "pytorch-lightning_version": "1.5.10",
        "state_dict": state,
        "hyper_parameters": hyper_parameters,
    }
    partial = options.out.with_name(options.out.name + ".part")
    torch.save(checkpoint, partial)
    partial.replace(options.out)


def main() -> None:
    """Read the options, train, test."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("digits", type=Path)
    parser.add_argument("layer", choices=LAYERS)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--d-model", type=int, default=128)
    parser.add_argument("--d-state", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="train on so many digits only, for a trial")
    options = parser.parse_args()
    if not (options.checkout / "src" / "models").is_dir():
        parser.error(f"{options.checkout}: no folder src/models; give the project's state_spaces")
    find_code(options.checkout)
    torch.manual_seed(options.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = SequenceClassifier(configuration(options), classes=10).to(device)
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"{options.layer}: {count:,} parameters, on {device}", flush=True)
    x, y = (part[: options.limit].to(device) for part in read_digits(options.digits, "train"))
    train(model, x, y, options)
    x, y = (part.to(device) for part in read_digits(options.digits, "t10k"))
    torch.backends.cuda.matmul.allow_tf32 = False
    print(f"test: {accuracy(model, x, y):.2%}")


if __name__ == "__main__":
    main()
