"""Two sequences through one network, and a head that compares what it says of them.

    z_i = tower(x_i),    logits = W_2 relu(W_1 [z_1, z_2, z_1 z_2, z_1 - z_2] + b_1) + b_2

The tower is a `Network` whose classes are the features z: it is saved, compiled and run like any
other, once per sequence. The head is no part of a program, which reads one sequence: it stays on
the host, and takes the features of two runs as the program's logits, `logits * scale` in float.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neurossm.models.config import ModelConfig
from neurossm.models.network import Network


class PairHead(nn.Module):
    """Tells classes of pairs apart by their features.

    Parameters
    ----------
    features, hidden, classes
        Of each sequence; units of the hidden layer; numbers of the output.
    """

    def __init__(self, features: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(4 * features, hidden)
        self.output = nn.Linear(hidden, classes)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return logits (B, classes) for features (B, features) of two sequences."""
        joined = torch.cat([first, second, first * second, first - second], dim=-1)
        logits: Tensor = self.output(torch.relu(self.hidden(joined)))
        return logits


class Towers(nn.Module):
    """Two towers of shared weights and a head.

    Parameters
    ----------
    config
        Of the tower; its classes are the features.
    classes
        Of pairs.
    hidden
        Units of the head's hidden layer; None: as many as the tower has channels.
    """

    def __init__(self, config: ModelConfig, classes: int, hidden: int | None = None) -> None:
        super().__init__()
        self.tower = Network(config)
        self.head = PairHead(config.classes, hidden or config.d_model, classes)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Classify pairs.

        Parameters
        ----------
        x
            Raw input (B, 2, L, size), or (B, 2, L) for tokens.
        lengths
            Steps (B, 2) of each sequence; None: all.

        Returns
        -------
        Tensor
            Logits (B, classes).
        """
        steps = None if lengths is None else lengths.flatten()
        features = self.tower(x.flatten(0, 1), steps).unflatten(0, (-1, 2))  # (B, 2, features)
        logits: Tensor = self.head(features[:, 0], features[:, 1])
        return logits
