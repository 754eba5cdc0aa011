"""The response of an SSM as poles and weights, and networks made with given ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from neurossm.arrays import BoolArray, ComplexArray, FloatArray
from neurossm.models.network import Network
from neurossm.models.ssm import S4D, discretise_layers

_FASTEST = 1e-30
"""A pole of modulus below this has decayed within a step."""


@dataclass(frozen=True, eq=False)
class Response:
    """The response ``K_t = sum_n Re(w_n p_n^t) + D [t = 0]`` of one layer's channels.

    Parameters
    ----------
    poles, weights
        p and w, complex (H, N); modes with weight 0 are absent.
    direct
        D, (H).
    """

    poles: ComplexArray
    weights: ComplexArray
    direct: FloatArray

    @property
    def coefficients(self) -> FloatArray:
        """Real coefficients (H, 2 N + 1) of `Re p^t` and `-Im p^t` of all modes, and of 1 at 0."""
        pairs = np.stack([self.weights.real, self.weights.imag], axis=-1)
        flat = pairs.reshape(len(pairs), -1)
        return np.concatenate([flat, self.direct[:, None]], axis=1)

    @property
    def there(self) -> BoolArray:
        """Tell the modes (H, N) that are not absent."""
        present: BoolArray = self.weights != 0
        return present

    def kernel(self, length: int) -> FloatArray:
        """Return the impulse response (H, L), summed step by step."""
        power = self.weights.copy()
        kernel = np.empty((len(power), length))
        for t in range(length):
            kernel[:, t] = power.real.sum(axis=1)
            power = power * self.poles
        kernel[:, 0] += self.direct
        return kernel


@torch.no_grad()
def response_of(ssm: S4D) -> Response:
    """Return the response of a layer as it computes: on its grids, if it has some."""
    a_bar, weight = (part[0].cpu().numpy() for part in discretise_layers([ssm]))
    return Response(a_bar, 2 * weight, ssm.direct().double().cpu().numpy())


def rebuilt(
    network: Network, responses: Sequence[Response], dtype: torch.dtype | None = None
) -> Network:
    """Return a network whose layers have these responses, and all else of another one.

    Every channel has poles of its own; absent modes, last in each channel, have B = C = 0, which
    training leaves at 0. Its parameters are of type `dtype`, or of the other's.
    """
    width = max(response.poles.shape[1] for response in responses)
    config = replace(network.config, d_state=2 * max(width, 1), n_ssm=None)
    with torch.random.fork_rng(devices=[]):  # building draws numbers that are overwritten
        made = Network(config).to(dtype or network.dtype)
    own = network.state_dict()
    for name, value in made.state_dict().items():
        if ".ssm." not in name or name.endswith("log_dt"):
            value.copy_(own[name])
    for block, response in zip(made.blocks, responses, strict=True):
        _set(block.mixer.ssm, response)
    return made.eval()


@torch.no_grad()
def _set(ssm: S4D, response: Response) -> None:
    """Give a layer with steps `dt` of its own the poles and weights of a response."""
    width, shape = response.poles.shape[1], tuple(ssm.A_imag.shape)
    there = np.zeros(shape, bool)
    there[:, :width] = response.there
    poles, weights = np.full(shape, 0.5 + 0j), np.zeros(shape, complex)
    poles[:, :width] = np.where(response.there, response.poles, 0.5)
    weights[:, :width] = response.weights
    poles = np.where(np.abs(poles) < _FASTEST, _FASTEST, poles)
    dt = np.exp(ssm.log_dt.double().numpy())[:, None]
    if ssm.discretization == "bilinear":
        a = 2 / dt * (poles - 1) / (poles + 1)
    else:
        a = np.log(poles) / dt
    ssm.A_real_log.copy_(torch.from_numpy(np.log(-a.real)))
    ssm.A_imag.copy_(torch.from_numpy(a.imag))
    ssm.B.copy_(_pairs(there.astype(complex)))
    b_bar = ssm.discretise()[1].numpy()
    ssm.C.copy_(_pairs(np.where(there, weights / (2 * np.where(there, b_bar, 1)), 0)))
    ssm.D.copy_(torch.from_numpy(response.direct.copy()))


def _pairs(values: ComplexArray) -> Tensor:
    return torch.view_as_real(torch.from_numpy(values))
