"""PyTorch models: the S4D kernel, Binary S4D, GSU and graded S4D layers, networks, checkpoints."""

from __future__ import annotations

from neurossm.models.checkpoint import Checkpoint, load, save
from neurossm.models.config import InputSpec, ModelConfig
from neurossm.models.network import Network, NetworkState

__all__ = [
    "Checkpoint",
    "InputSpec",
    "ModelConfig",
    "Network",
    "NetworkState",
    "load",
    "save",
]
