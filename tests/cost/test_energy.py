from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from neurossm.cost import profile
from neurossm.cost.counts import KEYS
from neurossm.cost.dense_model import DenseModel
from neurossm.cost.energy import estimate_dense
from neurossm.cost.traffic import traffic
from neurossm.errors import InputError, LimitError, UnsupportedError
from neurossm.hw_profiles import load_profile
from neurossm.place.groups import OpPart
from neurossm.place.placement import Placement, place
from neurossm.program import Program

Build = Callable[..., Program]

EVENTS = """\
name = "events"
title = "Events"
summary = "Round prices."
[support]
compile = false
profile = true
programmable_neurons = true
lava_simulator = false
reason = "prices only"
[event_energy]
source = "me"
synop_energy_pj = 2.0
neuron_update_active_energy_pj = 7.0
neuron_update_idle_energy_pj = 3.0
{messages}
[power]
source = "me"
static_power_mw = 12.5
[source.me]
title = "The test"
year = 2020
"""


@pytest.fixture
def data() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 5, 1), np.uint8)


def _events(folder: Path, messages: str = "spike_energy_pj = 1.0") -> Path:
    path = folder / "events.toml"
    path.write_text(EVENTS.format(messages=messages))
    return path


def test_event_prices_times_counts(small_program: Build, data: np.ndarray, tmp_path: Path) -> None:
    program = small_program(channels=3, modes=4, blocks=2)
    result = profile(program, data, hw=_events(tmp_path), engine="reference")
    totals, energy = result.totals, result.energy
    synops = totals.Effective_ACs + totals.Effective_MACs + totals.unweighted_synops
    assert energy.parts["synapses"].low == pytest.approx(2.0 * synops / 2)  # per sample
    # SSM neurons of 4 modes are 4 updates each; what they send are their spikes
    sending = totals.spikes
    updates = 2 * 3 * 2 * 5  # blocks, channels, samples, steps
    low = 4 * (7 * sending + 3 * (updates - sending)) / 2
    assert energy.parts["state updates"].low == pytest.approx(low)
    assert energy.parts["state updates"].high == pytest.approx(4 * 7 * updates / 2)
    others = totals.neuron_updates_active + totals.neuron_updates_idle - updates
    assert energy.parts["neuron updates"].high == pytest.approx(7 * others / 2)
    assert energy.total.low == pytest.approx(sum(part.low for part in energy.parts.values()))
    assert (energy.static_power_mw, energy.is_proxy, energy.label) == (12.5, False, "Events")
    assert result.cores != ()  # those of the program's own target


def test_a_part_without_a_price_is_named_and_left_out(
    small_program: Build, data: np.ndarray, tmp_path: Path
) -> None:
    result = profile(small_program(), data, hw=_events(tmp_path, ""), engine="reference")
    assert result.energy.unpriced == ("messages",)
    assert set(result.energy.parts) == {"synapses", "state updates", "neuron updates"}


def test_loihi_2_is_priced_by_proxy(small_program: Build, data: np.ndarray) -> None:
    result = profile(small_program(), data, hw="loihi2", engine="reference")
    energy, totals = result.energy, result.totals
    assert energy.is_proxy
    assert energy.label == "proxy (Loihi 1, pre-silicon)"
    assert energy.static_power_mw is None
    assert "Davies" in energy.sources[0]
    synops = totals.synaptic_operations + totals.unweighted_synops
    assert energy.parts["synapses"].low == pytest.approx(23.6 * synops / 2)
    assert energy.total.is_minimum  # 23.6 pJ is the published minimum
    assert [other.hw for other in result.others] == ["cmos45", "spinnaker2"]


def test_arithmetic_prices_times_counts(small_program: Build, data: np.ndarray) -> None:
    result = profile(small_program(), data, hw="cmos45", engine="reference")
    totals, parts = result.totals, result.energy.parts
    # Horowitz: int32 addition 0.1, multiplication 3.1 pJ
    assert parts["state updates"].low == pytest.approx(
        (0.1 * totals.state_adds + 3.1 * totals.state_multiplies) / 2
    )
    assert parts["elementwise"].high == pytest.approx(
        (0.1 * totals.elementwise_adds + 3.1 * totals.elementwise_multiplies) / 2
    )
    # a weight's product is one of 8 bits at the low end, of 32 bits at the high end
    adds = totals.synaptic_operations + totals.unweighted_synops
    low, high = (0.1 * adds + price * totals.Effective_MACs for price in (0.2, 3.1))
    assert parts["synapses"].low == pytest.approx(low / 2)
    assert parts["synapses"].high == pytest.approx(high / 2)
    assert parts["memory"].high == pytest.approx(2 * parts["memory"].low)  # 10 to 20 pJ


def test_the_float_model_is_priced_in_float32() -> None:
    energy = estimate_dense(load_profile("cmos45"), DenseModel(100, 200, 50, 7))
    assert energy is not None
    # 3.7 + 0.9 pJ; one 32-bit operand per MAC from the cache: half an access of 10 to 20 pJ
    assert energy.parts["linear"].low == pytest.approx(460)
    assert energy.parts["state"].low == pytest.approx(920)
    assert energy.parts["memory"].low == pytest.approx(350 * 5)
    assert energy.total.high == pytest.approx(350 * 4.6 + 350 * 10)
    assert estimate_dense(load_profile("spinnaker2"), DenseModel(1, 1, 1, 1)) is None


def test_traffic_by_hand(small_program: Build) -> None:
    program = small_program(inputs=1, channels=2, modes=1)
    placement = place(program, load_profile("loihi2"))
    units = {
        unit: np.zeros((len(KEYS), 2), np.int64)
        for group in placement.groups
        for unit in group.units
    }
    row = KEYS.index("messages")
    units[OpPart("encoder")][row] = [3, 5]
    units[OpPart("blocks.0.spike")][row] = [7, 0]
    where = _cores_by_channel(placement)
    # 120 cores per chip: rows of 11. The encoder sends channel by channel to SSM and mixing unit.
    expected = [
        (3, "encoder", 0, "blocks.0.spike", 0),
        (5, "encoder", 1, "blocks.0.spike", 1),
        (3, "encoder", 0, "blocks.0.add", 0),
        (5, "encoder", 1, "blocks.0.add", 1),
    ]
    # a spike goes to every core of the mixing units
    mixers = {where["blocks.0.add", h]: h for h in (0, 1)}
    expected += [(7, "blocks.0.spike", 0, "blocks.0.add", h) for h in mixers.values()]
    hops = 0
    for messages, source, i, target, j in expected:
        a, b = where[source, i], where[target, j]
        hops += messages * (abs(a % 11 - b % 11) + abs(a // 11 - b // 11))
    assert traffic(units, placement, 120) == (sum(entry[0] for entry in expected), hops)


def _cores_by_channel(placement: Placement) -> dict[tuple[str, int], int]:
    return {
        (core.group, channel): core.core
        for core in placement.cores
        for channel in range(core.first, core.first + core.neurons)
    }


def test_bad_requests(small_program: Build, data: np.ndarray, tmp_path: Path) -> None:
    program = small_program()
    with pytest.raises(UnsupportedError, match="'loihi1' cannot be profiled: its neuron model"):
        profile(program, data, hw="loihi1")
    with pytest.raises(InputError, match="'loihi9' is unknown"):
        profile(program, data, hw="loihi9")
    with pytest.raises(InputError, match="limit 3, but there are 2 samples"):
        profile(program, data, limit=3)
    with pytest.raises(InputError, match="dtype float64"):
        profile(program, data / 255)
    with pytest.raises(LimitError, match="neuron_state_bytes"):
        profile(small_program(modes=400), data)
