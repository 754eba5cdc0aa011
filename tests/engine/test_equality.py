"""The fast engine gives the reference's integers, every one, for random networks.

Sizes are drawn anew in each run here; tests/conformance compares 200 networks that stay the same.
"""

from __future__ import annotations

from collections import Counter
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SIZES = st.fixed_dictionaries(
    {
        "channels": st.integers(1, 20),
        "modes": st.integers(1, 9),
        "blocks": st.integers(1, 2),
        "classes": st.integers(1, 5),
        "inputs": st.integers(1, 6),
        "kind": st.sampled_from(["uint8", "tokens", "float"]),
        "norm": st.sampled_from(["pre", "post", "none"]),
        "mixer": st.sampled_from(["binary", "gsu"]),
        "saturating": st.sampled_from([0.0, 0.3, 1.0]),
    }
)


@given(
    seed=st.integers(0, 1 << 30),
    sizes=SIZES,
    batch=st.integers(1, 5),
    steps=st.integers(1, 70),
    states=st.booleans(),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_networks(
    networks: ModuleType,
    engine: SimpleNamespace,
    tally: Counter[str],
    seed: int,
    sizes: dict[str, object],
    batch: int,
    steps: int,
    states: bool,
) -> None:
    program = networks.random_program(seed, **sizes)
    data = networks.random_data(program.input, seed, batch, steps)
    names = [op.name for op in program.ops[:-1]]
    tally.update(engine.compared(program, data, None if states else names, count=names))
    # Unwatched, operations are fused and memory is used again.
    tally.update(engine.compared(program, data, ()))


@pytest.mark.parametrize("saturating", [0.0, 1.0])
def test_saturations_are_met(
    networks: ModuleType, engine: SimpleNamespace, saturating: float
) -> None:
    """The random networks do saturate, states too, where they should; else none does."""
    clipped: Counter[str] = Counter()
    for seed in range(12):
        program = networks.random_program(seed, channels=9, saturating=saturating)
        data = networks.random_data(program.input, seed, 3, 60)
        clipped.update(program.run(data, engine="fast").saturations)
    kinds = {name.replace(":", ".").rpartition(".")[2] for name in clipped}
    if saturating == 0.0:
        assert not clipped
    else:
        assert {"state", "norm", "glu", "add"} <= kinds


@pytest.mark.parametrize("channels", [1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 65])
def test_every_width(networks: ModuleType, engine: SimpleNamespace, channels: int) -> None:
    """Vectors are 8 or 16 wide, panels 16, tiles 32: widths on both sides of each."""
    for mixer in ("binary", "gsu"):
        program = networks.random_program(channels, channels=channels, mixer=mixer, modes=4)
        data = networks.random_data(program.input, 1, 2, 9)
        engine.compared(program, data, ())


@pytest.mark.parametrize("steps", [1, 2, 7, 8, 9, 63, 64, 65, 128, 129, 200])
def test_every_length(networks: ModuleType, engine: SimpleNamespace, steps: int) -> None:
    """A chunk has 64 steps, a tile 8 rows: lengths on both sides."""
    program = networks.random_program(steps, channels=5)
    engine.compared(program, networks.random_data(program.input, 1, 3, steps))


def test_two_readers_of_one_sum(networks: ModuleType, engine: SimpleNamespace) -> None:
    """A Dense that is watched, or read twice, keeps its sum; else its Affine takes it over."""
    program = networks.random_program(3, channels=6, blocks=1)
    data = networks.random_data(program.input, 3, 2, 20)
    fused = engine.instructions(program).count("AFFINE")
    kept = engine.instructions(program, ("blocks.0.gate.sum",)).count("AFFINE")
    assert kept == fused + 1
    engine.compared(program, data, ("blocks.0.gate.sum",))
    engine.compared(program, data, (), count=("blocks.0.value.sum",))


def test_shipped_layers_match(engine: SimpleNamespace, networks: ModuleType) -> None:
    """The sizes of the shipped model: 128 channels, 32 modes, tiles without remainder."""
    program = networks.random_program(5, channels=128, modes=32, blocks=1)
    data = networks.random_data(program.input, 5, 1, 70)
    same = engine.compared(program, data)
    assert same["SSM states"] == 2 * 70 * 128 * 32
    engine.compared(program, data, ())
    assert "RECUR" in engine.instructions(program)


def test_no_saturation_code_where_proved(networks: ModuleType) -> None:
    """Without saturation no instruction has a width to clip to."""
    from neurossm.engine.cpu.kernels import columns
    from neurossm.engine.cpu.planner import lower

    tape = lower(networks.random_program(0, channels=9, saturating=0.0)).instructions
    assert not tape[:, columns.BITS].any()
    assert not tape[:, columns.STATE_BITS].any()
    tape = lower(networks.random_program(0, channels=9, saturating=1.0)).instructions
    assert np.count_nonzero(tape[:, columns.BITS]) > 3
    assert tape[:, columns.STATE_BITS].any()
