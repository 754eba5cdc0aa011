"""Compare fused blocks with the modules in float64, in Triton's interpreter; print the worst error.

Run with `TRITON_INTERPRET=1`, which Triton reads when the kernels are imported.
"""

from __future__ import annotations

import copy
import sys
from typing import Any

import torch

from neurossm.models import InputSpec, ModelConfig, Network, fused
from neurossm.models.fused import scan

CASES: tuple[dict[str, Any], ...] = (
    {"layer": "binary-s4d"},
    {"layer": "gsu"},
    {"layer": "gsu", "prenorm": False, "activation": "none"},
    {"layer": "s4d", "activation": "gelu", "norm": "layer"},
    {"layer": "gsu", "gate_norm": "batch", "norm": "none", "threshold": "dynamic"},
    {"layer": "binary-s4d", "discretization": "bilinear", "initialisation": "inv", "n_ssm": 2},
)


def worst_difference(
    values: dict[str, Any], ends_early: bool = False, split: bool = False
) -> float:
    """Return the largest difference of logits, gradients and buffers of a step of training.

    With `split`, each of the two chunks of a sequence is a segment of its own.
    """
    scan.SEGMENT_CHUNKS = 1 if split else 8
    torch.manual_seed(0)
    sizes = {"input": InputSpec.uint8(1), "classes": 3, "n_layers": 2, "d_model": 6, "d_state": 6}
    plain = Network(ModelConfig(**(sizes | values))).double().train()
    kernels = copy.deepcopy(plain)
    x = torch.randint(0, 256, (3, 90, 1), dtype=torch.uint8)  # an incomplete second chunk
    lengths = torch.tensor([41, 90, 64]) if ends_early else None
    expected = plain(x, lengths)
    expected.square().sum().backward()
    usable, fused.usable = fused.usable, lambda hidden, modes: True  # here, on a CPU in float64
    found = kernels(x, lengths)
    fused.usable = usable
    found.square().sum().backward()
    pairs = [(expected, found)]
    pairs += [
        (p.grad, q.grad) for p, q in zip(plain.parameters(), kernels.parameters(), strict=True)
    ]
    pairs += list(zip(plain.buffers(), kernels.buffers(), strict=True))
    return max(float((one.detach() - other.detach()).abs().max()) for one, other in pairs)


if __name__ == "__main__":
    errors = [worst_difference(values) for values in CASES]
    errors += [worst_difference(values, ends_early=True) for values in CASES[:3]]
    errors += [worst_difference(values, split=True) for values in CASES[1:3]]
    sys.stdout.write(f"{max(errors)}\n")
