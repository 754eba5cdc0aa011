"""The GPU engine: whole batches through PyTorch, time inside fused Triton kernels.

No layer of a program feeds back to an earlier one, so the engine goes through a chunk of time layer
by layer: everything but the recurrence of an SSM is one operation on a whole (B, L, H) tensor, and
the recurrence is one kernel that keeps its states in registers.

All of it runs on a CPU too, where tests compare it with the other engines.
"""

from __future__ import annotations

from neurossm.engine.gpu.device import find_device
from neurossm.engine.gpu.runner import run, run_to, warm_up

__all__ = ["find_device", "run", "run_to", "warm_up"]
