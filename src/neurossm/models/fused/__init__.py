"""Training on a GPU: blocks whose norm, SSM, mixer and sum are a few Triton kernels.

They compute what the modules compute, as exactly as float32 does, and its gradients. Everything
else (CPUs, evaluation, other types, no Triton) runs the modules themselves.
"""

from neurossm.models.fused.dispatch import run_blocks, usable

__all__ = ["run_blocks", "usable"]
