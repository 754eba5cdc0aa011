"""Run other people's code, in a process of its own, and write down what it computes.

    python original.py official CHECKOUT RESULTS.pt
    python original.py s4 CHECKOUT RESULTS.pt

CHECKOUT is the folder that holds their package `src`. It needs einops, opt_einsum, omegaconf and
hydra-core besides torch. What those projects import only for training is replaced by stubs:
PyTorch Lightning, and snnTorch, whose spike with a surrogate gradient is a comparison in evaluation
(the original returns float32 whatever it gets, and so cannot run in double precision).
"""

from __future__ import annotations

import ast
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

SAMPLES, STEPS, CLASSES = 3, 120, 4
DIAG = {"mode": "diag", "d_state": 8}
OFFICIAL: dict[str, dict[str, Any]] = {
    "binary-s4d": {
        "layer": {"_name_": "s4_surrogate", **DIAG, "measure": "diag-inv", "n_ssm": 3},
        "norm": "batch",
        "prenorm": True,
    },
    "binary-s4d-postnorm": {
        "layer": {"_name_": "s4_surrogate", **DIAG, "measure": "diag-lin", "disc": "zoh"},
        "norm": "layer",
        "prenorm": False,
    },
    "binary-s4d-softplus-tokens": {
        "layer": {"_name_": "s4_surrogate", **DIAG, "measure": "diag", "real_type": "softplus"},
        "norm": "batch",
        "prenorm": True,
        "transposed": True,
        "tokens": 11,
    },
    "gsu": {
        "layer": {"_name_": "s4_gsu", **DIAG, "measure": "diag-inv"},
        "norm": "batch",
        "prenorm": True,
    },
    "gsu-postnorm-no-activation": {
        "layer": {"_name_": "s4_gsu", **DIAG, "measure": "diag-lin", "activation": None},
        "norm": "layer",
        "prenorm": False,
    },
    "gsu-stand-alone": {
        "layer": {"_name_": "s4dfunnel", "d_state": 8},
        "norm": "none",
        "prenorm": True,
    },
    "bidirectional": {
        "layer": {"_name_": "s4_surrogate", **DIAG, "measure": "diag", "bidirectional": True},
        "norm": "batch",
        "prenorm": True,
    },
    "nplr": {
        "layer": {"_name_": "s4_surrogate", "d_state": 8, "mode": "nplr", "measure": "legs"},
        "norm": "batch",
        "prenorm": True,
    },
}
S4: dict[str, dict[str, Any]] = {
    "example-s4d": {"layer": "S4D", "prenorm": False},
    "example-s4d-prenorm": {"layer": "S4D", "prenorm": True},
    "example-s4": {
        "layer": "S4Block",
        "prenorm": True,
        "args": {"mode": "diag", "init": "diag-lin"},
    },
    "example-s4-transforms": {
        "layer": "S4Block",
        "prenorm": False,
        "args": {
            "mode": "s4d",
            "init": "diag-inv",
            "n_ssm": 3,
            "disc": "bilinear",
            "dt_tie": False,
            "dt_transform": "softplus",
            "real_transform": "sigmoid",
        },
    },
    "train-s4": {
        "layer": {"_name_": "s4", "d_state": 8, "mode": "diag", "init": "diag-inv", "n_ssm": 2},
        "norm": "batch",
        "prenorm": True,
    },
    "train-s4d": {"layer": {"_name_": "s4d", "d_state": 8}, "norm": "layer", "prenorm": False},
    "example-s4-nplr": {"layer": "S4Block", "prenorm": False, "args": {"mode": "nplr"}},
}


class Recorder:
    """Records the arguments and results of the spikes, in the order in which they are computed."""

    def __init__(self) -> None:
        self.calls: list[tuple[Tensor, Tensor]] = []

    def spike(self, z: Tensor) -> Tensor:
        result = (z > 0).to(z.dtype)
        self.calls.append((z.detach(), result))
        return result


RECORDER = Recorder()


class Spike(nn.Module):
    """What is used in place of GELU."""

    def forward(self, z: Tensor) -> Tensor:
        return RECORDER.spike(z)


def stub(name: str, **attributes: object) -> None:
    module = types.ModuleType(name)
    module.__dict__.update(attributes)
    sys.modules[name] = module
    parent, _, last = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], last, module)


def prepare(checkout: Path) -> None:
    sys.path.insert(0, str(checkout))
    stub("pytorch_lightning")
    stub("pytorch_lightning.utilities", rank_zero_only=lambda f: f, rank_zero_warn=print)
    stub("snntorch")
    for name in ("backprop", "functional", "utils", "spikeplot"):
        stub(f"snntorch.{name}")
    stub("snntorch.surrogate", fast_sigmoid=lambda slope: RECORDER.spike)


class Chain(nn.Module):
    """Encoder, backbone and decoder, as the Lightning module of either project chains them."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        from src.models import sequence
        from src.models.nn.utils import PassthroughSequential
        from src.tasks.decoders import SequenceDecoder

        if not hasattr(sequence, "SequenceModel"):
            from src.models.sequence.backbones import model as sequence
        size, tokens = 6, config.pop("tokens", 0)
        encoder = nn.Embedding(tokens, size) if tokens else nn.Linear(2, size)
        self.encoder = PassthroughSequential(encoder)
        self.model = sequence.SequenceModel(
            d_model=size,
            n_layers=2,
            residual="R",
            pool={"_name_": "pool", "stride": 1, "expand": None},
            **config,
        )
        decoder = SequenceDecoder(size, CLASSES, l_output=0, mode="pool")
        self.decoder = PassthroughSequential(decoder)

    @property
    def blocks(self) -> nn.ModuleList:
        return self.model.layers

    def forward(self, x: Tensor) -> Tensor:
        x, _ = self.encoder(x)
        x, _ = self.model(x)
        x, _ = self.decoder(x)
        return x


def chain(config: dict[str, Any]) -> nn.Module:
    model = Chain({**config, "layer": dict(config["layer"])})
    if config["layer"]["_name_"] in ("s4", "s4d"):
        for block in model.blocks:
            block.layer.activation = Spike()
    return model


def example(checkout: Path, config: dict[str, Any]) -> nn.Module:
    """Build the class `S4Model` of ``example.py``, without running that script."""
    if isinstance(config["layer"], dict):
        return chain(config)
    from models.s4 import s4, s4d

    tree = ast.parse((checkout / "example.py").read_text())
    (found,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "S4Model")
    code = compile(ast.Module([found], []), "example.py", "exec")

    def layer(d_model: int, **ignored: object) -> nn.Module:
        if config["layer"] == "S4D":
            made = s4d.S4D(d_model, d_state=8)
            made.activation = Spike()
            return made
        made = s4.S4Block(d_model, d_state=8, verbose=False, **config["args"])
        made.layer.activation = Spike()
        return made

    arguments = types.SimpleNamespace(lr=0.01)
    names: dict[str, Any] = {"nn": nn, "S4D": layer, "dropout_fn": nn.Dropout, "args": arguments}
    exec(code, names)
    model: nn.Module = names["S4Model"](2, CLASSES, 6, 2, 0.0, config["prenorm"])
    return model


def randomise(model: nn.Module) -> None:
    """Shake everything that is trained or counted, so that no part is at a special value."""
    with torch.no_grad():
        for name, value in (*model.named_parameters(), *model.named_buffers()):
            if name.endswith("running_var"):
                value.uniform_(0.4, 2.5)
            elif name.endswith("num_batches_tracked"):
                value.fill_(17)
            elif name.endswith(("log_dt", "inv_dt", "A_real", "A_imag")):
                value.mul_(1 + 0.05 * torch.rand_like(value)).sub_(0.03 * torch.rand_like(value))
            elif value.is_floating_point():
                value.add_(0.4 * torch.randn_like(value))


def trace(model: nn.Module, x: Tensor) -> dict[str, Any]:
    """Return logits, every spike's argument and value, and the arguments of every block."""
    RECORDER.calls.clear()
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    handles = []
    blocks = model.blocks if isinstance(model, Chain) else model.s4_layers
    for block in blocks:
        handles.append(block.register_forward_pre_hook(lambda _, a: inputs.append(a[0].detach())))
        handles.append(block.register_forward_hook(lambda _, a, r: outputs.append(r[0].detach())))
    with torch.no_grad():
        logits = model(x)
    for handle in handles:
        handle.remove()
    return {"logits": logits, "spikes": list(RECORDER.calls), "in": inputs, "out": outputs}


def run(make: Callable[[dict[str, Any]], nn.Module], config: dict[str, Any], seed: int) -> Any:
    torch.manual_seed(seed)
    model = make(config).eval()
    randomise(model)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    if config.get("tokens"):
        x = torch.randint(0, config["tokens"], (SAMPLES, STEPS))
        return {"state": state, "x": x, "f32": trace(model, x), "f64": trace(model.double(), x)}
    x = torch.randint(0, 256, (SAMPLES, STEPS, 2), dtype=torch.uint8)
    single = trace(model, x.float() / 255)
    return {"state": state, "x": x, "f32": single, "f64": trace(model.double(), x.double() / 255)}


def main() -> None:
    kind, checkout, results = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    prepare(checkout)
    cases = OFFICIAL if kind == "official" else S4
    made: dict[str, Any] = {}
    for seed, (name, config) in enumerate(cases.items()):
        make = chain if kind == "official" else (lambda c: example(checkout, c))
        made[name] = {"config": config, **run(make, config, seed)}
    torch.save(made, results)


if __name__ == "__main__":
    main()
