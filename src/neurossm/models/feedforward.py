"""A feed-forward network of spiking neurons: layers of weights, norm and neuron, then a readout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from neurossm.errors import InputError
from neurossm.models.config import InputSpec, build_config, check_at_least
from neurossm.models.network import UINT8_SCALE, check_input
from neurossm.models.neurons import AdLIFModule, NeuronModule, ResonateFireModule, States

NeuronKind = Literal["adlif", "resonate-fire"]
_NEURONS: dict[NeuronKind, type[NeuronModule]] = {
    "adlif": AdLIFModule,
    "resonate-fire": ResonateFireModule,
}


@dataclass(frozen=True)
class FeedforwardConfig:
    """Everything needed to build a feed-forward network, apart from its weights.

    Parameters
    ----------
    neuron
        ``adlif`` (also SiLIF, constrained AdLIF, LIF) or ``resonate-fire`` (also C-SiLIF).
    input
        Kind and size of the input; not tokens.
    hidden
        Neurons of each layer.
    classes
        Number of outputs.
    norm
        ``batch``, a BatchNorm between weights and neurons, or ``none``.
    """

    neuron: NeuronKind
    input: InputSpec
    hidden: tuple[int, ...]
    classes: int
    norm: Literal["batch", "none"] = "batch"

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        for name, allowed in (("neuron", get_args(NeuronKind)), ("norm", ("batch", "none"))):
            if getattr(self, name) not in allowed:
                listed = ", ".join(allowed)
                raise InputError(f"model: {name} is {getattr(self, name)!r}; known are {listed}")
        if self.input.kind == "tokens":
            raise InputError("model: a feed-forward network reads numbers, not tokens")
        check_at_least("classes", self.classes, 1)
        check_at_least("hidden layers", len(self.hidden), 1)
        for size in self.hidden:
            check_at_least("hidden", size, 1)

    def to_dict(self) -> dict[str, Any]:
        """Return the configuration as plain containers."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FeedforwardConfig:
        """Rebuild a configuration.

        Raises
        ------
        FormatError, InputError
            If a field is missing, unknown, of the wrong type or out of range.
        """
        return build_config(cls, values)


@dataclass(frozen=True)
class FeedforwardState:
    """What a feed-forward network remembers between two time steps.

    Attributes
    ----------
    neurons
        Both states of each layer's neurons, (B, H).
    potential
        Of the readout, (B, classes).
    total
        Sum of its softmax over the steps so far, (B, classes).
    steps
        Number of steps so far.
    """

    neurons: tuple[States, ...]
    potential: Tensor
    total: Tensor
    steps: int


class Weighted(nn.Module):
    """Weights and a norm: what arrives at a layer's neurons."""

    def __init__(self, inputs: int, outputs: int, norm: str) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.norm = nn.BatchNorm1d(outputs) if norm == "batch" else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, O, L) for (B, I, L)."""
        mixed = torch.matmul(self.linear.weight, x) + self.linear.bias.unsqueeze(-1)
        normed: Tensor = self.norm(mixed)
        return normed


class Feedforward(nn.Module):
    """Spiking layers, and a readout of leaky integrators whose softmax is averaged over time.

    ``v_t = decay v_{t-1} + (1 - decay) x_t`` and ``logits = mean_t softmax(v_t)``. Source: Bittar &
    Garner 2022, where the sum over time stands for the mean: with as many steps, the same order.

    Parameters
    ----------
    config
        The configuration; kept as `config`.

    Attributes
    ----------
    layers, neurons
        Weights with norm, and neurons, one of each per layer.
    readout, readout_decay
        Weights with norm, and the decays (classes).
    """

    def __init__(self, config: FeedforwardConfig) -> None:
        super().__init__()
        self.config = config
        sizes = (config.input.size, *config.hidden)
        pairs = pairwise(sizes)
        self.layers = nn.ModuleList(Weighted(a, b, config.norm) for a, b in pairs)
        self.neurons = nn.ModuleList(_NEURONS[config.neuron](size) for size in config.hidden)
        self.readout = Weighted(sizes[-1], config.classes, config.norm)
        self.readout_decay = nn.Parameter(torch.full((config.classes,), 0.9))

    @property
    def dtype(self) -> torch.dtype:
        """Type of the parameters."""
        return self.readout_decay.dtype

    def encode(self, x: Tensor) -> Tensor:
        """Return the numbers (..., size) that raw input of that shape stands for.

        Raises
        ------
        InputError
            If the type or shape does not suit the model's kind of input.
        """
        values = check_input(x, self.config.input).to(self.dtype)
        encoded: Tensor = values * (UINT8_SCALE if self.config.input.kind == "uint8" else 1.0)
        return encoded

    def forward(self, x: Tensor) -> Tensor:
        """Classify whole sequences (B, L, size): (B, classes)."""
        hidden = self.encode(x).transpose(1, 2)  # (B, size, L)
        for layer, neuron in zip(self.layers, self.neurons, strict=True):
            hidden = neuron(layer(hidden))
        arriving = self.readout(hidden)  # (B, classes, L)
        potential = torch.zeros_like(arriving[..., 0])
        total = torch.zeros_like(potential)
        for t in range(arriving.shape[-1]):
            potential = self._integrate(potential, arriving[..., t])
            total = total + potential.softmax(dim=1)
        logits: Tensor = total / arriving.shape[-1]
        return logits

    def _integrate(self, potential: Tensor, arriving: Tensor) -> Tensor:
        mixed: Tensor = self.readout_decay * potential + (1 - self.readout_decay) * arriving
        return mixed

    def initial_state(self, batch: int) -> FeedforwardState:
        """Return the state before the first step."""
        neurons = tuple(neuron.initial_state(batch) for neuron in self.neurons)
        zeros = self.readout_decay.new_zeros(batch, self.config.classes)
        return FeedforwardState(neurons, zeros, zeros, 0)

    def step(self, x: Tensor, state: FeedforwardState) -> tuple[Tensor, FeedforwardState]:
        """Read one time step (B, size), in evaluation mode; return logits so far, and the state."""
        hidden, after = self.encode(x), []
        for layer, neuron, before in zip(self.layers, self.neurons, state.neurons, strict=True):
            hidden, following = neuron.step(layer(hidden.unsqueeze(-1)).squeeze(-1), before)
            after.append(following)
        arriving = self.readout(hidden.unsqueeze(-1)).squeeze(-1)
        potential = self._integrate(state.potential, arriving)
        total, steps = state.total + potential.softmax(dim=1), state.steps + 1
        return total / steps, FeedforwardState(tuple(after), potential, total, steps)

    def parameter_count(self) -> int:
        """Return the number of trained values."""
        return sum(parameter.numel() for parameter in self.parameters())
