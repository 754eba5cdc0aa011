"""One reading of a file: its weights, what they mean, and the float network they then are.

`logits` computes a reading whether or not it can be compiled: spikes, GELU and ReLU after the SSM,
any norm, with or without residual.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from neurossm.importers.network import Found
from neurossm.models.config import InputSpec
from neurossm.models.convolution import causal_convolution
from neurossm.models.network import UINT8_SCALE
from neurossm.models.spiking_ssm import SOMA_DECAY
from neurossm.models.ssm import discretise, impulse_response
from neurossm.models.valid import pooled

_GSU_FACTOR = 0.15


@dataclass(frozen=True, eq=False)
class Reading:
    """What a file is taken for.

    Attributes
    ----------
    found
        What its names say.
    activation
        After the SSM, or after the norm of a GSU.
    norm, norm_eps, prenorm
        Kind of the blocks' norms, what they add to the variance, and their place.
    residual
        ``sum`` or ``none``.
    discretization
        ``bilinear`` or ``zoh``.
    input
        What it reads.
    exact
        Whether the weights are the file's, digit by digit.
    state
        The weights under the names of `neurossm.models.network.Network`.
    """

    found: Found
    activation: str
    norm: str
    norm_eps: float
    prenorm: bool
    residual: str
    discretization: str
    input: InputSpec
    exact: bool
    state: dict[str, Tensor]

    @torch.no_grad()
    def logits(self, x: Tensor, pool: str = "mean") -> Tensor:
        """Return what the float network computes.

        Parameters
        ----------
        x
            Raw input (B, L, size), or (B, L) for tokens.
        pool
            What the decoder reads: "mean", "last" or "max" of all steps.

        Returns
        -------
        Tensor
            (B, classes), of the type of the weights.
        """
        hidden = self._encode(x).transpose(1, 2)  # (B, H, L)
        for index in range(self.found.blocks):
            hidden = self._block(f"blocks.{index}.", hidden)
        if self.found.final_norm:
            hidden = self._normed("norm.", hidden)
        return F.linear(
            pooled(hidden, None, pool), self.state["decoder.weight"], self.state["decoder.bias"]
        )

    def _encode(self, x: Tensor) -> Tensor:
        weight = self.state["encoder.weight"]
        if self.input.kind == "tokens":
            return F.embedding(x.long(), weight)
        scale = UINT8_SCALE if self.input.kind == "uint8" else 1.0
        return F.linear(x.to(weight.dtype) * scale, weight, self.state["encoder.bias"])

    def _block(self, name: str, x: Tensor) -> Tensor:
        norm = f"{name}norm."
        u = self._normed(norm, x) if self.prenorm else x
        y = self._ssm(f"{name}mixer.ssm.", u)
        mix = self._gsu if self.found.layer == "gsu" else self._glu
        out = mix(f"{name}mixer.", y)
        total = x + out if self.residual == "sum" else out
        return total if self.prenorm else self._normed(norm, total)

    def _ssm(self, name: str, u: Tensor) -> Tensor:
        w = {key: self.state[name + key] for key in ("log_dt", "A_real_log", "A_imag", "B", "C")}
        rule = self.discretization
        a_bar, b_bar = discretise(rule, w["log_dt"], w["A_real_log"], w["A_imag"], w["B"])  # type: ignore[arg-type]
        c = torch.view_as_complex(w["C"].double())
        kernel = impulse_response(a_bar, b_bar * c, u.shape[-1])  # (H, L)
        kernel[:, 0] += self.state[f"{name}D"].double()
        return causal_convolution(u, kernel.to(u.dtype))

    def _glu(self, name: str, y: Tensor) -> Tensor:
        if self.found.layer == "spiking-ssm":
            return self._mixed(name, self._soma(name, y))
        after = {"spike": lambda v: (v > 0).to(v.dtype), "gelu": F.gelu, "relu": F.relu}
        return self._mixed(name, after[self.activation](y))

    def _soma(self, name: str, y: Tensor) -> Tensor:
        driven, v = (
            y / self.state[f"{name}log_threshold"].exp()[:, None],
            torch.zeros_like(y[..., 0]),
        )
        spikes = []
        for t in range(y.shape[-1]):
            u = SOMA_DECAY * v + driven[..., t]
            spikes.append((u >= 1).to(y.dtype))
            v = torch.where(u >= 1, 0.0, u)
        return torch.stack(spikes, dim=-1)

    def _mixed(self, name: str, activity: Tensor) -> Tensor:
        mixed = self.state[f"{name}dense.weight"] @ activity
        return F.glu(mixed + self.state[f"{name}dense.bias"][:, None], dim=1)

    def _gsu(self, name: str, y: Tensor) -> Tensor:
        weight = self.state[f"{name}weight"]

        def ternary(values: Tensor, limit: Tensor) -> Tensor:
            return (values > limit).to(y.dtype) - (values < -limit).to(y.dtype)

        spikes = ternary(y, _GSU_FACTOR * y.abs().amax(1, keepdim=True))
        second = ternary(weight, _GSU_FACTOR * weight.abs().max())
        product = (weight.T @ spikes + self.state[f"{name}bias"][:, None]) * (second.T @ y)
        out = self._affine(f"{name}norm.", _layer_norm(product, 1e-5))
        return F.gelu(out) if self.activation == "gelu" else out

    def _normed(self, name: str, x: Tensor) -> Tensor:
        if self.norm == "none":
            return x
        if self.norm == "batch":
            mean, var = (self.state[f"{name}running_{key}"][:, None] for key in ("mean", "var"))
            return self._affine(name, (x - mean) / torch.sqrt(var + self.norm_eps))
        if self.norm == "layer":
            return self._affine(name, _layer_norm(x, self.norm_eps))
        over = (1, 2) if self.norm == "group" else (2,)
        var, mean = torch.var_mean(x, dim=over, correction=0, keepdim=True)
        return self._affine(name, (x - mean) / torch.sqrt(var + self.norm_eps))

    def _affine(self, name: str, x: Tensor) -> Tensor:
        weight, bias = (self.state[name + key][:, None] for key in ("weight", "bias"))
        return x * weight + bias


def _layer_norm(x: Tensor, eps: float) -> Tensor:
    var, mean = torch.var_mean(x, dim=1, correction=0, keepdim=True)
    return (x - mean) / torch.sqrt(var + eps)
