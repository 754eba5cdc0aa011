"""A network of fewer modes from the responses that its layers shall have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from neurossm.models.network import Network
from neurossm.models.ssm import S4D
from neurossm.reduction.response import Response

_FASTEST = 1e-30
"""A pole of modulus below this has decayed within a step."""


def response_of(ssm: S4D) -> Response:
    """Return the response of a layer, the factor 2 of the conjugates included."""
    with torch.no_grad():
        a_bar, b_bar = ssm.discretise()
        weights = 2 * b_bar * ssm.readout()
    direct = ssm.D.detach().double()
    return Response(*(part.cpu().numpy() for part in (a_bar, weights, direct)))


def rebuilt(network: Network, responses: Sequence[Response]) -> Network:
    """Return a network whose layers have these responses, and all else of another one.

    Every channel has poles of its own; absent modes, last in each channel, have B = C = 0, which
    training leaves at 0.
    """
    width = max(response.poles.shape[1] for response in responses)
    made = Network(replace(network.config, d_state=2 * width, n_ssm=None))
    made.to(network.dtype)
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
    channels, width = response.poles.shape
    shape = ssm.A_imag.shape
    there = np.zeros(shape, bool)
    there[:, :width] = response.weights != 0
    poles, weights = np.full(shape, 0.5 + 0j), np.zeros(shape, complex)
    poles[:, :width] = np.where(there[:, :width], response.poles, 0.5)
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
    _, b_bar = ssm.discretise()
    ssm.C.copy_(_pairs(np.where(there, weights / (2 * np.where(there, b_bar.numpy(), 1)), 0)))
    ssm.D.copy_(torch.from_numpy(response.direct))


def _pairs(values: np.ndarray[tuple[int, ...], np.dtype[np.complex128]]) -> Tensor:
    return torch.view_as_real(torch.from_numpy(values))
