"""Take modes away one at a time, and let the others make up for each as well as they can."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import torch

from neurossm.arrays import BoolArray, FloatArray, IntArray
from neurossm.models.response import Response
from neurossm.reduction.response import basis, gram


@dataclass(frozen=True, eq=False)
class Elimination:
    """In which order the modes of each channel go, and what that costs.

    Parameters
    ----------
    order
        Modes (H, N), first the one that goes first.
    error
        Relative square error (H, N + 1) of the response to data after so many are gone, the others
        fitted anew.
    """

    order: IntArray
    error: FloatArray

    def kept(self, counts: IntArray) -> BoolArray:
        """Return which modes (H, N) remain if each channel keeps so many (H)."""
        modes = self.order.shape[1]
        rank = np.argsort(self.order, axis=1)
        kept: BoolArray = rank >= modes - counts[:, None]
        return kept


def eliminate(response: Response, power: FloatArray, length: int) -> Elimination:
    """Take away the modes of every channel, at each time the one that is missed least."""
    rows = basis(torch.from_numpy(response.poles), torch.from_numpy(power), length)
    own = response.coefficients
    wanted = np.einsum("hj,hjk->hk", own, rows.numpy())
    energy = np.maximum((wanted**2).sum(axis=1), 1e-300)
    inverse = torch.linalg.inv(gram(rows)).numpy()  # (H, J, J)
    found = own.copy()
    channels, modes = response.poles.shape
    every = np.arange(channels)
    there = np.ones((channels, modes), bool)
    order = np.empty((channels, modes), np.int64)
    error = np.zeros((channels, modes + 1))
    for gone in range(modes):
        pairs = found[:, : 2 * modes].reshape(channels, modes, 2)
        block = _blocks(inverse, modes)
        solved = np.linalg.solve(
            np.where(there[..., None, None], block, np.eye(2)), pairs[..., None]
        )[..., 0]
        missed = np.where(there, (solved * pairs).sum(axis=-1), np.inf)
        last = missed.argmin(axis=1)
        order[:, gone], there[every, last] = last, False
        error[:, gone + 1] = error[:, gone] + np.maximum(missed[every, last], 0) / energy
        columns = np.stack([inverse[every, :, 2 * last], inverse[every, :, 2 * last + 1]], axis=-1)
        found -= np.einsum("hjp,hp->hj", columns, solved[every, last])
        shrink = np.linalg.solve(block[every, last], columns.transpose(0, 2, 1))
        inverse -= columns @ shrink
    return Elimination(order, error)


def _blocks(inverse: FloatArray, modes: int) -> FloatArray:
    """Return the (2, 2) blocks on the diagonal of each mode, (H, N, 2, 2)."""
    channels = len(inverse)
    part = inverse[:, : 2 * modes, : 2 * modes].reshape(channels, modes, 2, modes, 2)
    blocks: FloatArray = np.einsum("hnpnq->hnpq", part)
    return blocks


def share_out(layers: list[Elimination], total: int, alive: list[BoolArray]) -> list[IntArray]:
    """Return how many modes (H) each channel of each layer keeps, `total` or fewer in all.

    Of all channels that one gives up a mode whose error grows least by it. Channels that are not
    alive keep none.
    """
    counts = [np.where(live, e.order.shape[1], 0) for e, live in zip(layers, alive, strict=True)]
    heap: list[tuple[float, int, int]] = []

    def offer(layer: int, channel: int) -> None:
        error, left = layers[layer].error[channel], int(counts[layer][channel])
        if left:
            gone = len(error) - 1 - left
            heapq.heappush(heap, (float(error[gone + 1] - error[gone]), layer, channel))

    for layer, live in enumerate(alive):
        for channel in np.flatnonzero(live):
            offer(layer, int(channel))
    surplus = sum(int(count.sum()) for count in counts) - total
    while surplus > 0 and heap:
        _, layer, channel = heapq.heappop(heap)
        counts[layer][channel] -= 1
        surplus -= 1
        offer(layer, channel)
    return counts


def fewest_within(elimination: Elimination, max_error: float) -> IntArray:
    """Return the fewest modes (H) with which a channel's relative error is at most `max_error`."""
    modes = elimination.order.shape[1]
    good = np.sqrt(elimination.error) <= max_error  # (H, N + 1) by modes gone; grows with them
    gone: IntArray = (good * np.arange(modes + 1)).max(axis=1)
    fewest: IntArray = modes - gone
    return fewest
