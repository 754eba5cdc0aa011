"""The CPU engine: samples spread over threads, each through compiled kernels, chunk by chunk."""

from neurossm.engine.cpu.batches import run, run_to, warm_up
from neurossm.engine.cpu.session import Session

__all__ = ["Session", "run", "run_to", "warm_up"]
