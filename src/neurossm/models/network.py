"""The whole network: encoder, blocks, final norm, pool over time, decoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurossm.errors import InputError
from neurossm.models import fused
from neurossm.models.block import Block, make_norm
from neurossm.models.config import InputSpec, ModelConfig
from neurossm.models.grids import rows_on_grid
from neurossm.models.ssm import kernels
from neurossm.models.valid import normed, pooled, valid_steps

UINT8_SCALE = 1.0 / 255.0


@dataclass(frozen=True)
class NetworkState:
    """What a network remembers between two time steps.

    Attributes
    ----------
    ssm
        State of each block's mixer, complex128: of its SSM (B, H, N), and one more column for the
        soma of a SpikingSSM.
    total
        What is kept of the steps so far for the decoder, (B, H): their sum, or what is pooled.
    steps
        Number of steps so far.
    """

    ssm: tuple[Tensor, ...]
    total: Tensor
    steps: int


class Network(nn.Module):
    """A spiking state-space classifier of sequences.

    Parameters
    ----------
    config
        The configuration; kept as `config`.

    Attributes
    ----------
    encoder
        ``nn.Linear`` from the input's size to H, or ``nn.Embedding`` for tokens.
    blocks, norm, decoder
        Blocks, final norm (identity in postnorm networks and without one) and linear readout.
    encoder_limit
        Largest integer of an encoder's weight in quantisation-aware training; None without.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        size = config.d_model
        self.encoder: nn.Module = (
            nn.Embedding(config.input.size, size)
            if config.input.kind == "tokens"
            else nn.Linear(config.input.size, size)
        )
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        final = config.prenorm and config.final_norm
        self.norm = make_norm(config) if final else nn.Identity()
        self.decoder = nn.Linear(size, config.classes)
        self.encoder_limit: int | None = None

    @property
    def dtype(self) -> torch.dtype:
        """Type of the parameters."""
        return self.decoder.weight.dtype

    def encode(self, x: Tensor) -> Tensor:
        """Return the encoder's output, time-major (..., H), for raw input values.

        Parameters
        ----------
        x
            ``uint8`` (..., size), ``tokens`` (...) or ``float`` (..., size).

        Raises
        ------
        InputError
            If the type or shape does not suit the model's kind of input.
        """
        values = check_input(x, self.config.input)
        if self.config.input.kind != "tokens":
            values = values.to(self.dtype)
        if self.config.input.kind == "uint8":
            values = values * UINT8_SCALE
        if self.encoder_limit is None:
            encoded: Tensor = self.encoder(values)
            return encoded
        if self.config.input.kind == "tokens":
            return F.embedding(values, self.encoder_weight())
        return F.linear(values, self.encoder_weight(), self.encoder.bias)

    def encoder_weight(self) -> Tensor:
        """Return the encoder's weights, on their grid if there is one."""
        weight: Tensor = self.encoder.weight
        if self.config.input.kind == "tokens":  # a feature's weights are a row of the program
            return rows_on_grid(weight.mT, self.encoder_limit).mT
        return rows_on_grid(weight, self.encoder_limit)

    def features(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Return what is pooled over time, (B, H, L), for raw input (B, L, size).

        What stands at steps that valid (B, L) does not name may be anything; None: all are valid.
        """
        if valid is not None:  # before anything is computed: NaN has no gradient of zero
            check_input(x, self.config.input)
            x = torch.where(valid if x.ndim == 2 else valid.unsqueeze(2), x, 0)
        hidden = self.encode(x).transpose(1, 2).contiguous()  # (B, H, L)
        if self.training and fused.usable(hidden, self.config.modes):
            return fused.run_blocks(list(self.blocks), self.norm, hidden, valid)
        return normed(self.norm, self._run_blocks(hidden, valid), valid)

    def _run_blocks(self, hidden: Tensor, valid: Tensor | None) -> Tensor:
        layers = [block.mixer.ssm for block in self.blocks]
        responses = kernels(layers, hidden.shape[-1]).to(hidden.dtype)  # (layers, H, L)
        for block, response in zip(self.blocks, responses, strict=True):
            hidden = block(hidden, response, valid)
        return hidden

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Classify whole sequences.

        Parameters
        ----------
        x
            Raw input: (B, L, size), or (B, L) for tokens.
        lengths
            Steps (B) of each sequence, which the pool and, in training, all statistics are over;
            None: all. What stands behind them may be anything.

        Returns
        -------
        Tensor
            Logits (B, classes), or (B, L, classes) where every step has its own.
        """
        valid = None if lengths is None else valid_steps(lengths, x.shape[1])  # (B, L)
        logits: Tensor = self.decoder(pooled(self.features(x, valid), lengths, self.config.pool))
        return logits

    def initial_state(self, batch: int) -> NetworkState:
        """Return the state before the first step."""
        ssm = tuple(block.mixer.initial_state(batch) for block in self.blocks)
        shape = (batch, self.config.d_model)
        total = torch.zeros(shape, dtype=self.dtype, device=self.decoder.weight.device)
        return NetworkState(ssm, total, 0)

    def step(self, x: Tensor, state: NetworkState) -> tuple[Tensor, NetworkState]:
        """Read one time step; use in evaluation mode.

        Parameters
        ----------
        x
            Raw input of one step: (B, size), or (B,) for tokens.
        state
            From `initial_state` or the step before.

        Returns
        -------
        tuple
            Logits (B, classes) of the steps so far, or of this one where every step has its own,
            and the next state.
        """
        hidden = self.encode(x)  # (B, H)
        ssm = []
        for block, block_state in zip(self.blocks, state.ssm, strict=True):
            hidden, block_state = block.step(hidden, block_state)
            ssm.append(block_state)
        hidden = self.norm(hidden.unsqueeze(-1)).squeeze(-1)
        pool, first = self.config.pool, state.steps == 0
        if pool == "mean":
            total = state.total + hidden
        else:
            total = hidden if first or pool != "max" else torch.maximum(state.total, hidden)
        after = NetworkState(tuple(ssm), total, state.steps + 1)
        logits: Tensor = self.decoder(total / after.steps if pool == "mean" else total)
        return logits, after

    def parameter_count(self) -> int:
        """Return the number of trained values."""
        return sum(parameter.numel() for parameter in self.parameters())


def check_input(x: Tensor, spec: InputSpec) -> Tensor:
    """Return raw input, tokens as int64.

    Raises
    ------
    InputError
        If its type or its last axis does not suit.
    """
    if spec.kind == "tokens":
        if x.is_floating_point() or x.dtype == torch.bool:
            raise InputError(f"input: expected integer tokens, found {x.dtype}")
        return x.long()
    if spec.kind == "uint8" and x.dtype != torch.uint8:
        raise InputError(f"input: expected uint8 (the model scales it), found {x.dtype}")
    if spec.kind == "counts" and (x.is_floating_point() or x.dtype == torch.bool):
        raise InputError(f"input: expected integer counts, found {x.dtype}")
    if spec.kind == "float" and not x.is_floating_point():
        raise InputError(f"input: expected floating point, found {x.dtype}")
    if x.ndim < 1 or x.shape[-1] != spec.size:
        raise InputError(f"input: last axis of {tuple(x.shape)} must have size {spec.size}")
    return x
