"""The networks of other projects, written down again from their formulas: NumPy, float64, steps.

The SSM is a recurrence here and a convolution there and in `neurossm.models`: what agrees is not
the code. `Kind` names a combination, `random_state` makes a state dict with the names and shapes
that the code of that project gives, and `evaluate` computes the function of one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import erf
from typing import Any

import numpy as np
import torch

H, N, CLASSES, INPUTS, TOKENS = 6, 4, 3, 2, 9


@dataclass(frozen=True)
class Kind:
    """What a network is made of; what stands from `rule` to `residual` is not in its names."""

    dialect: str = "official"  # official, s4d, s4
    layer: str = "binary-s4d"
    backbone: str = "sequence"  # sequence, example
    norm: str = "batch"
    prenorm: bool = True
    rule: str = "bilinear"
    gelu: bool = True
    activation: str = "spike"  # after the SSM: spike, gelu, relu
    norm_as: str = ""  # of a norm with weights alone: layer unless group or instance
    eps: float = 1e-5
    residual: bool = True
    tokens: bool = False
    independent: int = H
    blocks: int = 2

    @property
    def layer_prefix(self) -> str:
        return "model.layers.{}.layer." if self.backbone == "sequence" else "s4_layers.{}."

    @property
    def norm_prefix(self) -> str:
        return "model.layers.{}.norm.norm." if self.backbone == "sequence" else "norms.{}."

    @property
    def final_norm(self) -> str:
        return "model.norm.norm." if self.prenorm and self.backbone == "sequence" else ""

    @property
    def ends(self) -> tuple[str, str]:
        if self.backbone == "sequence":
            return "encoder.0.", "decoder.0.output_transform."
        return "encoder.", "decoder."


KINDS = {
    "official binary-s4d": Kind(independent=3),
    "official binary-s4d, postnorm": Kind(norm="layer", prenorm=False, rule="zoh"),
    "official binary-s4d, tokens, no norm": Kind(norm="none", tokens=True),
    "official gsu": Kind(layer="gsu"),
    "official gsu, postnorm, no activation": Kind(layer="gsu", prenorm=False, gelu=False),
    "official gsu, stand-alone kernel": Kind("s4d", "gsu", rule="zoh", gelu=False),
    "s4d.py in example.py": Kind("s4d", "binary-s4d", "example", "layer", False, "zoh"),
    "s4 in example.py, prenorm": Kind("s4", "binary-s4d", "example", "layer", True, "zoh"),
    "s4 in train.py": Kind("s4", "binary-s4d", rule="zoh", independent=2),
    "s4d.py in train.py": Kind("s4d", "binary-s4d", norm="layer", prenorm=False, rule="zoh"),
}


@dataclass
class Step:
    """What a block computes, all (B, L, H): the SSM's output, spikes, residual sum, output."""

    y: np.ndarray
    spikes: np.ndarray
    sum: np.ndarray
    out: np.ndarray


@dataclass
class Trace:
    """What a network computes: the input of each block and what it makes of it, and logits."""

    inputs: list[np.ndarray] = field(default_factory=list)
    blocks: list[Step] = field(default_factory=list)
    logits: np.ndarray = field(default_factory=lambda: np.zeros(0))


def random_state(kind: Kind, seed: int = 0) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(seed)
    state: dict[str, torch.Tensor] = {}

    def put(name: str, *shape: int, low: float = -1.0, high: float = 1.0) -> None:
        values = rng.uniform(low, high, shape).astype(np.float32)
        state[name] = torch.from_numpy(values)

    def put_norm(prefix: str, norm: str) -> None:
        if norm == "none":
            return
        put(f"{prefix}weight", H, low=0.5, high=1.5)
        put(f"{prefix}bias", H)
        if norm == "batch":
            put(f"{prefix}running_mean", H)
            put(f"{prefix}running_var", H, low=0.3, high=3.0)
            state[f"{prefix}num_batches_tracked"] = torch.tensor(5)

    def put_kernel(layer: str) -> None:
        lead = () if kind.dialect == "s4d" else (1,)
        inner = {"official": "kernel.kernel.", "s4d": "kernel.", "s4": "layer.kernel."}
        kernel, m = layer + inner[kind.dialect], kind.independent
        dt, real = {
            "official": ("log_dt", "inv_A_real"),
            "s4d": ("log_dt", "log_A_real"),
            "s4": ("inv_dt", "A_real"),
        }[kind.dialect]
        put(f"{layer}layer.D" if kind.dialect == "s4" else f"{layer}D", *lead, H)
        put(f"{kernel}{dt}", *((H, 1) if kind.dialect == "s4" else (H,)), low=-4.0, high=-1.0)
        put(f"{kernel}{real}", m, N)
        put(f"{kernel}A_imag", m, N, low=0.0, high=12.0)
        put(f"{kernel}C", *lead, H, N, 2)
        if kind.dialect != "s4d":
            put(f"{kernel}B", *(lead if kind.dialect == "s4" else ()), m, N, 2)

    encoder, decoder = kind.ends
    put(f"{encoder}weight", *((TOKENS, H) if kind.tokens else (H, INPUTS)))
    if not kind.tokens:
        put(f"{encoder}bias", H)
    for i in range(kind.blocks):
        layer = kind.layer_prefix.format(i)
        put_kernel(layer)
        if kind.layer == "gsu":
            put(f"{layer}GSU", H, H)
            put(f"{layer}GSU_bias", H)
            put_norm(f"{layer}norm.", "layer")
        else:
            put(
                f"{layer}output_linear.0.weight", 2 * H, H, *((1,) if kind.dialect == "s4d" else ())
            )
            put(f"{layer}output_linear.0.bias", 2 * H)
        put_norm(kind.norm_prefix.format(i), kind.norm)
    if kind.final_norm:
        put_norm(kind.final_norm, kind.norm)
    put(f"{decoder}weight", CLASSES, H)
    put(f"{decoder}bias", CLASSES)
    return state


def random_input(kind: Kind, seed: int = 0, samples: int = 3, steps: int = 50) -> np.ndarray:
    rng = np.random.default_rng(seed + 1)
    if kind.tokens:
        return rng.integers(0, TOKENS, (samples, steps))
    return rng.integers(0, 256, (samples, steps, INPUTS), dtype=np.uint8)


def evaluate(
    kind: Kind,
    state: dict[str, torch.Tensor],
    x: np.ndarray,
    mean: np.ndarray | float = 0.0,
    std: np.ndarray | float = 1.0,
) -> Trace:
    """Compute a network in evaluation; pixels are divided by 255, then normalised."""
    w = double(state)
    encoder, decoder = kind.ends
    trace = Trace()
    if kind.tokens:
        z = w[f"{encoder}weight"][x]  # (B, L, H)
    else:
        z = (x / 255 - mean) / std @ w[f"{encoder}weight"].T + w[f"{encoder}bias"]
    for i in range(kind.blocks):
        trace.inputs.append(z)
        trace.blocks.append(block(kind, w, i, z))
        z = trace.blocks[-1].out
    if kind.final_norm:
        z = normed(kind.norm_as or kind.norm, w, kind.final_norm, z, kind.eps)
    trace.logits = z.mean(axis=1) @ w[f"{decoder}weight"].T + w[f"{decoder}bias"]
    return trace


def double(state: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    return {name: value.numpy().astype(np.float64) for name, value in state.items()}


def block(kind: Kind, w: dict[str, Any], i: int, z: np.ndarray) -> Step:
    """Compute block i of its input z (B, L, H)."""
    layer, norm = kind.layer_prefix.format(i), kind.norm_prefix.format(i)
    of = kind.norm_as or kind.norm
    y = ssm(kind, w, layer, normed(of, w, norm, z, kind.eps) if kind.prenorm else z)
    mix = gsu if kind.layer == "gsu" else binary
    out, spikes = mix(kind, w, layer, y)
    total = z + out if kind.residual else out
    after = total if kind.prenorm else normed(of, w, norm, total, kind.eps)
    return Step(y, spikes, total, after)


def ssm(kind: Kind, w: dict[str, Any], layer: str, u: np.ndarray) -> np.ndarray:
    """y (B, L, H) of u (B, L, H), one step after the other."""
    h_of = [h % kind.independent for h in range(H)]
    if kind.dialect == "official":
        k = f"{layer}kernel.kernel."
        a = (-np.exp(w[f"{k}inv_A_real"]) + 1j * w[f"{k}A_imag"])[h_of]
        b, c, dt = w[f"{k}B"][h_of], w[f"{k}C"][0], np.exp(w[f"{k}log_dt"])
        d = w[f"{layer}D"][0]
    elif kind.dialect == "s4d":
        k = f"{layer}kernel."
        a = (-np.exp(w[f"{k}log_A_real"]) + 1j * w[f"{k}A_imag"])[h_of]
        b, c, dt = np.array([1.0, 0.0]), w[f"{k}C"], np.exp(w[f"{k}log_dt"])
        d = w[f"{layer}D"]
    else:
        k = f"{layer}layer.kernel."
        a = (-np.exp(w[f"{k}A_real"]) - 1j * w[f"{k}A_imag"])[h_of]
        b, c, dt = w[f"{k}B"][0][h_of], w[f"{k}C"][0], np.exp(w[f"{k}inv_dt"][:, 0])
        d = w[f"{layer}layer.D"][0]
    b, c, dt = b[..., 0] + 1j * b[..., 1], c[..., 0] + 1j * c[..., 1], dt[:, None]
    s = np.zeros((len(u), H, N), complex)
    y = np.empty_like(u)
    for t in range(u.shape[1]):
        drive = u[:, t, :, None]
        if kind.rule == "bilinear":
            s = ((1 + dt * a / 2) * s + dt * b * drive) / (1 - dt * a / 2)
        else:
            s = np.exp(dt * a) * s + (np.exp(dt * a) - 1) / a * b * drive
        y[:, t] = 2 * (c * s).sum(-1).real + d * u[:, t]
    return y


def binary(kind: Kind, w: dict[str, Any], layer: str, y: np.ndarray) -> Any:
    after = {
        "spike": lambda v: np.where(v > 0, 1.0, 0.0),
        "gelu": lambda v: v * 0.5 * (1 + np.vectorize(erf)(v / np.sqrt(2))),
        "relu": lambda v: np.maximum(v, 0.0),
    }
    spikes = after[kind.activation](y)
    weight = w[f"{layer}output_linear.0.weight"].reshape(2 * H, H)
    mixed = spikes @ weight.T + w[f"{layer}output_linear.0.bias"]
    return mixed[..., :H] / (1 + np.exp(-mixed[..., H:])), spikes


def gsu(kind: Kind, w: dict[str, Any], layer: str, y: np.ndarray) -> Any:
    weight = w[f"{layer}GSU"]
    limit = 0.15 * np.abs(y).max(axis=-1, keepdims=True)
    spikes = (y > limit) * 1.0 - (y < -limit) * 1.0
    cut = 0.15 * np.abs(weight).max()
    ternary = (weight > cut) * 1.0 - (weight < -cut) * 1.0
    out = (spikes @ weight + w[f"{layer}GSU_bias"]) * (y @ ternary)
    out = normed("layer", w, f"{layer}norm.", out)
    if kind.gelu:
        out = out * 0.5 * (1 + np.vectorize(erf)(out / np.sqrt(2)))
    return out, spikes


def normed(
    norm: str, w: dict[str, Any], prefix: str, z: np.ndarray, eps: float = 1e-5
) -> np.ndarray:
    if norm == "none":
        return z
    if norm == "batch":
        mean, var = w[f"{prefix}running_mean"], w[f"{prefix}running_var"]
    else:
        over = {"layer": (2,), "group": (1, 2), "instance": (1,)}[norm]  # of (B, L, H)
        mean, var = z.mean(over, keepdims=True), z.var(over, keepdims=True)
    weight, bias = w.get(f"{prefix}weight", np.ones(H)), w.get(f"{prefix}bias", np.zeros(H))
    return (z - mean) / np.sqrt(var + eps) * weight + bias
