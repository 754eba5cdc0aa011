"""The diagonal state-space model S4D: one independent linear recurrence per channel and mode.

Symbols, as in Gu et al. 2022 (arXiv 2206.11893) and Stan & Rhodes 2024 (arXiv 2401.00955)::

    B, L, H     batch, time steps, channels (d_model)
    N           complex modes per channel, half of d_state: the other half are their conjugates
    M           independent state matrices (n_ssm); channel h uses number h mod M
    u, y        input and output of the SSM, real
    s           state, complex, (H, N) per sample
    A           continuous-time poles, complex, real part negative
    B           continuous-time input weights, complex (in formulas; elsewhere B is the batch)
    C           readout weights, complex
    D           direct path from input to output, real
    dt          step size per channel
    A_bar, B_bar  the poles and input weights in discrete time

    s_t = A_bar s_{t-1} + B_bar u_t
    y_t = 2 Re( sum_n C_n s_{t,n} ) + D u_t
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from neurossm.models.config import Discretization, Initialisation, ModelConfig
from neurossm.models.convolution import causal_convolution
from neurossm.models.grids import SSMGrid


def initial_poles(kind: Initialisation, modes: int) -> Tensor:
    """Return the poles A of a fresh S4D layer.

    ``inv``: ``A_n = -1/2 + i (N'/pi) (N'/(2n+1) - 1)`` with ``N' = 2 modes``;
    ``lin``: ``A_n = -1/2 + i pi n``.

    Parameters
    ----------
    kind
        S4D-Inv or S4D-Lin.
    modes
        N.

    Returns
    -------
    Tensor
        Complex128 (N,).
    """
    n = torch.arange(modes, dtype=torch.float64)
    if kind == "lin":
        imag = math.pi * n
    else:
        d_state = 2 * modes
        imag = (d_state / math.pi) * (d_state / (2 * n + 1) - 1)
    return torch.complex(torch.full_like(imag, -0.5), imag)


def powers(base: Tensor, count: int) -> Tensor:
    """Return ``base**0 .. base**(count-1)`` along a new last axis.

    By doubling: log2(count) products deep, and correct (gradients too) where a pole is 0.

    Parameters
    ----------
    base
        Complex, any shape.
    count
        How many powers, at least 1.
    """
    result = torch.ones_like(base).unsqueeze(-1)
    step = base.unsqueeze(-1)
    while result.shape[-1] < count:
        missing = count - result.shape[-1]
        result = torch.cat([result, result[..., :missing] * step], dim=-1)
        step = step * step
    return result


def impulse_response(a_bar: Tensor, weight: Tensor, length: int) -> Tensor:
    """Return ``K_l = 2 Re( sum_n weight_n A_bar_n**l )`` for l = 0 .. length-1.

    The power is split, ``l = P i + j`` with ``P ~ sqrt(length)``, so that the sum over modes is one
    matrix product per channel and no (H, N, L) tensor exists.

    Parameters
    ----------
    a_bar, weight
        Complex (H, N).
    length
        L.

    Returns
    -------
    Tensor
        Real (H, L).
    """
    block = math.isqrt(max(length - 1, 0)) + 1  # P
    rows = -(-length // block)
    inner = powers(a_bar, block)  # (H, N, P)
    outer = powers(inner[..., -1] * a_bar, rows) * weight.unsqueeze(-1)  # (H, N, rows)
    left = torch.cat([outer.real, -outer.imag], dim=1)  # (H, 2N, rows)
    right = torch.cat([inner.real, inner.imag], dim=1)  # (H, 2N, P)
    return 2.0 * torch.bmm(left.mT, right).flatten(1)[:, :length]


def discretise(
    kind: Discretization, log_dt: Tensor, a_real_log: Tensor, a_imag: Tensor, b: Tensor
) -> tuple[Tensor, Tensor]:
    """Return A_bar and B_bar, complex128 (..., H, N), of one layer or of several stacked.

    bilinear: ``A_bar = (1 + dt A/2) / (1 - dt A/2)``, ``B_bar = dt B / (1 - dt A/2)``.
    zoh: ``A_bar = exp(dt A)``, ``B_bar = B (exp(dt A) - 1) / A``.

    Parameters
    ----------
    kind
        The rule.
    log_dt
        (..., H).
    a_real_log, a_imag
        (..., M, N): ``A = -exp(a_real_log) + i a_imag``.
    b
        (..., M, N, 2): real and imaginary part of B.
    """
    channels = log_dt.shape[-1]
    dt = torch.exp(log_dt.double()).unsqueeze(-1)  # (..., H, 1)
    a = _tie(torch.complex(-torch.exp(a_real_log.double()), a_imag.double()), channels)
    b = _tie(torch.view_as_complex(b.double()), channels)
    if kind == "bilinear":
        half = 0.5 * dt * a
        return (1.0 + half) / (1.0 - half), dt * b / (1.0 - half)
    a_bar = torch.exp(dt * a)
    return a_bar, b * (a_bar - 1.0) / a


def _tie(values: Tensor, channels: int) -> Tensor:
    """Repeat (..., M, N) to (..., H, N): channel h gets number h mod M."""
    *lead, independent, modes = values.shape
    shape = (*lead, channels // independent, independent, modes)
    return values.unsqueeze(-3).expand(shape).flatten(-3, -2)


def discretise_layers(layers: Sequence[S4D]) -> tuple[Tensor, Tensor]:
    """Return A_bar and ``w = B_bar C`` of several layers of the same sizes.

    At once, because each is made of some tiny operations, whose cost is starting them.

    Returns
    -------
    tuple
        Complex128 (layers, H, N) each.
    """

    def stack(name: str) -> Tensor:
        return torch.stack([getattr(layer, name) for layer in layers])

    parameters = (stack(name) for name in ("log_dt", "A_real_log", "A_imag", "B"))
    a_bar, b_bar = discretise(layers[0].discretization, *parameters)
    weight = b_bar * torch.view_as_complex(stack("C").double())
    grids = [layer.grid for layer in layers]
    if any(grid is not None for grid in grids):
        a_bar, weight = (
            torch.stack([part if grid is None else put(grid, part) for grid, part in each])
            for put, each in (
                (SSMGrid.poles, zip(grids, a_bar, strict=True)),
                (SSMGrid.weights, zip(grids, weight, strict=True)),
            )
        )
    return a_bar, weight


def kernels(layers: Sequence[S4D], length: int) -> Tensor:
    """Return the impulse responses of several layers of the same sizes, D included.

    At once, because each is made of some hundred tiny operations, whose cost is starting them.

    Parameters
    ----------
    layers
        The layers; all have the same configuration.
    length
        L.

    Returns
    -------
    Tensor
        float64 (layers, H, L).
    """
    a_bar, weight = discretise_layers(layers)
    response = impulse_response(a_bar.flatten(0, 1), weight.flatten(0, 1), length)
    # D u_t is the kernel's entry at lag 0: adding it there costs no pass over the data.
    direct = F.pad(
        torch.stack([layer.direct() for layer in layers]).double().unsqueeze(-1), (0, length - 1)
    )
    return response.view_as(direct) + direct


class S4D(nn.Module):
    """One S4D layer, in convolution form (`forward`) and in step form (`step`).

    Poles, input weights and the kernel are always worked out in double precision, whatever the
    type of the parameters: a pole of modulus 0.9999 raised to the power of a thousand loses too
    many digits otherwise.

    Parameters
    ----------
    config
        Uses d_model, d_state, n_ssm, initialisation, discretization, dt_min and dt_max.

    Attributes
    ----------
    log_dt (H), A_real_log (M, N), A_imag (M, N), B (M, N, 2), C (H, N, 2), D (H)
        Parameters: ``A = -exp(A_real_log) + i A_imag``, ``dt = exp(log_dt)``; the last axis of B
        and C holds real and imaginary part.
    grid
        Where the program will have poles, C and D, in quantisation-aware training; else None.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels, modes, independent = config.d_model, config.modes, config.independent_ssms
        self.discretization = config.discretization
        self.channels = channels
        low, high = math.log(config.dt_min), math.log(config.dt_max)
        poles = initial_poles(config.initialisation, modes).expand(independent, modes)
        ones = torch.tensor([1.0, 0.0]).expand(independent, modes, 2)
        self.log_dt = nn.Parameter(low + (high - low) * torch.rand(channels))
        self.A_real_log = nn.Parameter(torch.log(-poles.real).float())
        self.A_imag = nn.Parameter(poles.imag.float())
        self.B = nn.Parameter(ones.clone())
        self.C = nn.Parameter(torch.randn(channels, modes, 2) * math.sqrt(0.5))
        self.D = nn.Parameter(torch.randn(channels))
        self.grid: SSMGrid | None = None

    def discretise(self) -> tuple[Tensor, Tensor]:
        """Return A_bar and B_bar, complex128 (H, N); see the function of that name."""
        parameters = (self.log_dt, self.A_real_log, self.A_imag, self.B)
        a_bar, b_bar = discretise(self.discretization, *parameters)
        return a_bar, b_bar

    def direct(self) -> Tensor:
        """Return D (H), on its grid if there is one."""
        return self.D if self.grid is None else self.grid.direct(self.D)

    def readout(self) -> Tensor:
        """Return C, complex128 (H, N)."""
        return torch.view_as_complex(self.C.double())

    def kernel(self, length: int) -> Tensor:
        """Return the impulse response with D, float64 (H, length)."""
        response: Tensor = kernels([self], length)[0]
        return response

    def forward(self, u: Tensor, kernel: Tensor | None = None) -> Tensor:
        """Apply the SSM to whole sequences.

        Parameters
        ----------
        u
            Input (B, H, L), from t = 0 with state zero.
        kernel
            What `kernel` returns for L, if it is at hand.

        Returns
        -------
        Tensor
            y (B, H, L).
        """
        kernel = self.kernel(u.shape[-1]) if kernel is None else kernel
        return causal_convolution(u, kernel.to(u.dtype))

    def initial_state(self, batch: int) -> Tensor:
        """Return the zero state, complex128 (batch, H, N)."""
        shape = (batch, self.channels, self.A_imag.shape[1])
        return torch.zeros(shape, dtype=torch.complex128, device=self.D.device)

    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Advance by one time step.

        Parameters
        ----------
        u
            Input (B, H).
        state
            Complex128 (B, H, N), see `initial_state`.

        Returns
        -------
        tuple
            y (B, H) in the type of u, and the next state.
        """
        a_bar, b_bar = self.discretise()
        state = a_bar * state + b_bar * u.double().unsqueeze(-1)  # (B, H, N)
        y = 2.0 * (self.readout() * state).sum(-1).real + self.D.double() * u.double()
        return y.to(u.dtype), state
