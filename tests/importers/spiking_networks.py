"""SpArch's networks written down again from their formulas: NumPy, float64, step by step.

`random_state` makes a state dict with the names and shapes that the code gives; `evaluate` computes
its function from zero states.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

INPUTS, HIDDEN, CLASSES = 7, (12, 9), 5
KINDS = ("silif", "csilif", "rf", "cadlif", "adlif", "lif")
RANGES: dict[str, dict[str, tuple[float, float]]] = {
    "silif": {
        "dt": (-6.0, -3.0),
        "alpha": (2.3, 5.5),
        "beta": (0.9, 2.3),
        "a": (-0.1, 1.1),
        "b": (-0.1, 2.1),
    },
    "csilif": {
        "log_dt": (-4.0, -0.7),
        "log_log_alpha": (-3.0, 1.0),
        "alpha_img": (-4.0, 4.0),
        "b": (0.1, 2.0),
    },
    "rf": {"alpha_real": (-10.0, 0.1), "alpha_im": (5.0, 40.0)},
    "cadlif": {"alpha": (0.3, 1.0), "beta": (0.9, 1.03), "a": (-0.1, 1.1), "b": (-0.1, 2.1)},
    "adlif": {"alpha": (0.8, 1.0), "beta": (0.95, 1.0), "a": (-0.3, 1.1), "b": (-0.1, 2.1)},
    "lif": {"alpha": (0.8, 1.0)},
}
"""Of the parameters, by kind: some lie beyond what the code clamps to."""


@dataclass
class Trace:
    """Spikes of each hidden layer (B, L, H), and the sum over time of the softmax (B, classes)."""

    spikes: list[np.ndarray]
    outputs: np.ndarray


def random_state(kind: str, seed: int = 0, *, norm: bool = True) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(seed)
    state: dict[str, torch.Tensor] = {}

    def put(name: str, *shape: int, low: float, high: float) -> None:
        state[name] = torch.from_numpy(rng.uniform(low, high, shape).astype(np.float32))

    sizes = (INPUTS, *HIDDEN, CLASSES)
    for i, (before, size) in enumerate(pairwise(sizes)):
        last = i == len(HIDDEN)
        for name, (low, high) in RANGES["lif" if last else kind].items():
            put(f"snn.{i}.{name}", size, low=low, high=high)
        strong = {"rf": 40.0, "csilif": 0.4}.get(kind, 2.0) if not last else 1.0
        put(f"snn.{i}.W.weight", size, before, low=-strong, high=strong)
        if norm:
            put(f"snn.{i}.norm.weight", size, low=0.8, high=2.0)
            put(f"snn.{i}.norm.bias", size, low=-0.2, high=0.8)
            put(f"snn.{i}.norm.running_mean", size, low=-0.5, high=0.5)
            put(f"snn.{i}.norm.running_var", size, low=0.5, high=2.0)
            state[f"snn.{i}.norm.num_batches_tracked"] = torch.tensor(3)
    return state


def random_counts(seed: int = 0, samples: int = 3, steps: int = 60) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.minimum(
        rng.poisson(rng.gamma(0.8, 0.8, (samples, 1, INPUTS)), (samples, steps, INPUTS)), 9
    )


def evaluate(kind: str, state: dict[str, torch.Tensor], x: np.ndarray) -> Trace:
    w = {name: value.double().numpy() for name, value in state.items()}
    spikes, hidden = [], x.astype(float)
    for i in range(len(HIDDEN)):
        hidden = CELLS[kind](w, f"snn.{i}.", arriving(w, f"snn.{i}.", hidden))
        spikes.append(hidden)
    last = f"snn.{len(HIDDEN)}."
    current, alpha = arriving(w, last, hidden), np.clip(w[f"{last}alpha"], *LIF)
    u, total = np.zeros_like(current[:, 0]), 0.0
    for t in range(current.shape[1]):
        u = alpha * u + (1 - alpha) * current[:, t]
        powers = np.exp(u)
        total = total + powers / powers.sum(axis=1, keepdims=True)
    return Trace(spikes, total)


def arriving(w: dict[str, np.ndarray], layer: str, x: np.ndarray) -> np.ndarray:
    z = x @ w[f"{layer}W.weight"].T
    if f"{layer}norm.weight" not in w:
        return z
    mean, var = w[f"{layer}norm.running_mean"], w[f"{layer}norm.running_var"]
    return (z - mean) / np.sqrt(var + 1e-5) * w[f"{layer}norm.weight"] + w[f"{layer}norm.bias"]


LIF = (np.exp(-1 / 5), np.exp(-1 / 25))


def adaptive(
    alpha: np.ndarray, beta: np.ndarray, a: np.ndarray, b: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """The spike of the step before enters both states, as the code has it."""
    u = w = s = np.zeros_like(x[:, 0])
    spikes = []
    for t in range(x.shape[1]):
        w = beta * w + a * u + b * s
        u = alpha * (u - s) + (1 - alpha) * (x[:, t] - w)
        s = (u > 1).astype(float)
        spikes.append(s)
    return np.stack(spikes, axis=1)


def silif(w: dict[str, np.ndarray], layer: str, x: np.ndarray) -> np.ndarray:
    dt = np.exp(w[f"{layer}dt"])
    alpha, beta = (np.exp(-np.exp(w[layer + name]) * dt) for name in ("alpha", "beta"))
    a, b = np.clip(w[f"{layer}a"], 0, 1), np.clip(w[f"{layer}b"], 0, 2)
    return adaptive(alpha, beta, a, b, x)


def cadlif(w: dict[str, np.ndarray], layer: str, x: np.ndarray) -> np.ndarray:
    limits = {"alpha": (0.36, 0.96), "beta": (0.96, 0.99), "a": (0, 1), "b": (0, 2)}
    return adaptive(*(np.clip(w[layer + name], *limits[name]) for name in limits), x)


def adlif(w: dict[str, np.ndarray], layer: str, x: np.ndarray) -> np.ndarray:
    slow = (np.exp(-1 / 30), np.exp(-1 / 120))
    limits = {"alpha": LIF, "beta": slow, "a": (-1, 1), "b": (0, 2)}
    return adaptive(*(np.clip(w[layer + name], *limits[name]) for name in limits), x)


def lif(w: dict[str, np.ndarray], layer: str, x: np.ndarray) -> np.ndarray:
    zero = np.zeros(x.shape[2])
    return adaptive(np.clip(w[f"{layer}alpha"], *LIF), zero, zero, zero, x)


def csilif(w: dict[str, np.ndarray], layer: str, x: np.ndarray) -> np.ndarray:
    rate = -np.exp(w[f"{layer}log_log_alpha"]) + 1j * w[f"{layer}alpha_img"]
    alpha = np.exp(rate * np.exp(w[f"{layer}log_dt"]))
    u, s = np.zeros(x[:, 0].shape, complex), np.zeros_like(x[:, 0])
    spikes = []
    for t in range(x.shape[1]):
        u = alpha * (u - 0.5 * s) + w[f"{layer}b"] * x[:, t]
        s = (2 * u.real > 1).astype(float)
        spikes.append(s)
    return np.stack(spikes, axis=1)


def rf(w: dict[str, np.ndarray], layer: str, x: np.ndarray) -> np.ndarray:
    rate = np.minimum(w[f"{layer}alpha_real"], -0.1) + 1j * w[f"{layer}alpha_im"]
    u, s = np.zeros(x[:, 0].shape, complex), np.zeros_like(x[:, 0])
    spikes = []
    for t in range(x.shape[1]):
        u = u + 0.004 * (rate * u + x[:, t]) - s
        s = (u.real > 1).astype(float)
        spikes.append(s)
    return np.stack(spikes, axis=1)


CELLS = {"silif": silif, "csilif": csilif, "rf": rf, "cadlif": cadlif, "adlif": adlif, "lif": lif}


H, N, CHANNELS = 6, 4, 2
"""Of SpikingSSM: channels, modes, and values per step."""


def spikingssm_state(
    seed: int = 0, norm: str = "layer", *, shared: bool = False, neuron: bool = False
) -> dict[str, torch.Tensor]:
    """Return the weights of a SpikingSSM in its Lightning module, without bidirectional kernels."""
    rng = np.random.default_rng(seed)
    state: dict[str, torch.Tensor] = {}

    def put(name: str, *shape: int, low: float = -1.0, high: float = 1.0) -> None:
        state[name] = torch.from_numpy(rng.uniform(low, high, shape).astype(np.float32))

    put("encoder.0.weight", H, CHANNELS, low=-3.0, high=3.0)
    put("encoder.0.bias", H)
    for i in range(2):
        layer = f"model.s4_layers.{i}."
        put(f"{layer}D", 1, H)
        put(f"{layer}ln_vth", *((1,) if shared else (H, 1)), low=-0.5, high=0.5)
        put(f"{layer}kernel.C", 1, H, N, 2, low=-2.0, high=2.0)
        put(f"{layer}kernel.log_dt", H, low=-4.0, high=-1.0)
        put(f"{layer}kernel.log_A_real", H, N)
        put(f"{layer}kernel.A_imag", H, N, low=0.0, high=9.0)
        put(f"{layer}output_linear.0.weight", 2 * H, H, 1)
        put(f"{layer}output_linear.0.bias", 2 * H)
        if neuron:
            put(f"{layer}neuron.model.conv1.weight", 8, 1, 8)
        if norm != "none":
            put(f"model.norms.{i}.weight", H, low=0.5, high=1.5)
            put(f"model.norms.{i}.bias", H)
        if norm == "batch":
            put(f"model.norms.{i}.running_mean", H)
            put(f"model.norms.{i}.running_var", H, low=0.3, high=2.0)
            state[f"model.norms.{i}.num_batches_tracked"] = torch.tensor(4)
    put("decoder.0.output_transform.weight", CLASSES, H)
    put("decoder.0.output_transform.bias", CLASSES)
    return state


def spikingssm(state: dict[str, torch.Tensor], x: np.ndarray, prenorm: bool) -> Trace:
    """Compute spikes and logits of bytes x (B, L, CHANNELS); recurrences, no convolution."""
    w = {name: value.double().numpy() for name, value in state.items()}
    z = x / 255.0 @ w["encoder.0.weight"].T + w["encoder.0.bias"]
    spikes = []
    for i in range(2):
        layer, norm = f"model.s4_layers.{i}.", f"model.norms.{i}."
        u = _normed(w, norm, z) if prenorm else z  # after the layer, norms change nothing
        fired = _soma(_s4d(w, layer, u) / np.exp(w[f"{layer}ln_vth"].reshape(-1)))
        mixed = fired @ w[f"{layer}output_linear.0.weight"][..., 0].T
        mixed = mixed + w[f"{layer}output_linear.0.bias"]
        z = z + mixed[..., :H] / (1 + np.exp(-mixed[..., H:]))
        spikes.append(fired)
    logits = z.mean(axis=1) @ w["decoder.0.output_transform.weight"].T
    return Trace(spikes, logits + w["decoder.0.output_transform.bias"])


def _s4d(w: dict[str, np.ndarray], layer: str, u: np.ndarray) -> np.ndarray:
    dt = np.exp(w[f"{layer}kernel.log_dt"])[:, None]
    A = -np.exp(w[f"{layer}kernel.log_A_real"]) + 1j * w[f"{layer}kernel.A_imag"]
    C = (w[f"{layer}kernel.C"][0] * np.array([1, 1j])).sum(axis=-1)
    turn, enter = np.exp(dt * A), (np.exp(dt * A) - 1) / A
    state, y = np.zeros((len(u), H, N), complex), []
    for t in range(u.shape[1]):
        state = turn * state + enter * u[:, t, :, None]
        y.append(2 * (C * state).sum(axis=-1).real + w[f"{layer}D"][0] * u[:, t])
    return np.stack(y, axis=1)


def _soma(y: np.ndarray) -> np.ndarray:
    v, spikes = np.zeros_like(y[:, 0]), []
    for t in range(y.shape[1]):
        v = 0.125 * v + y[:, t]
        spikes.append((v >= 1).astype(float))
        v = v * (1 - spikes[-1])
    return np.stack(spikes, axis=1)


def _normed(w: dict[str, np.ndarray], norm: str, x: np.ndarray) -> np.ndarray:
    if f"{norm}weight" not in w:
        return x
    if f"{norm}running_mean" in w:
        mean, var = w[f"{norm}running_mean"], w[f"{norm}running_var"]
    else:
        mean, var = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-5) * w[f"{norm}weight"] + w[f"{norm}bias"]
