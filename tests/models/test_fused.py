from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from neurossm.models import InputSpec, ModelConfig, Network, fused
from neurossm.models.fused import dispatch

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "src"


@pytest.mark.triton
@pytest.mark.skipif(not dispatch.has_triton(), reason="no Triton of 3.4 or newer")
def test_a_step_equals_that_of_the_modules() -> None:
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": str(SOURCES)}
    script = str(HERE / "fused_gradients.py")
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    # float64 but for eps and momentum of the norms, which kernels take in float32
    assert float(done.stdout) < 1e-7


def test_cpus_use_the_modules() -> None:
    assert not fused.usable(torch.zeros(1, 2, 3), modes=4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("layer", ["binary-s4d", "gsu"])
def test_is_as_exact_as_float32_on_a_gpu(layer: str) -> None:
    torch.manual_seed(1)
    config = ModelConfig(layer, InputSpec.uint8(1), 10, n_layers=1)  # type: ignore[arg-type]
    model = Network(config).cuda().train()
    x = torch.randint(0, 256, (64, 784, 1), dtype=torch.uint8, device="cuda")
    assert fused.usable(model.encode(x), model.config.modes)
    found = model(x)
    expected = model.double()(x)
    # H100: 7e-5 here, 1.3e-4 with the modules in float32 (a spike near its threshold may flip)
    assert float((found - expected).detach().abs().max()) < 2e-3
