from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from neurossm.errors import FormatError, InputError, UnsupportedError
from neurossm.hw_profiles import EnergyPj, known_profiles, load_profile

GOOD = """\
name = "mine"
title = "My chip"
summary = "For the test."

[support]
compile = true
profile = true
programmable_neurons = true
lava_simulator = false

[limits]
source = "sheet"
chips_per_system = 1
cores_per_chip = 2
neurons_per_core = 3
core_memory_bytes = 400
synapse_memory_bytes = 300
neuron_state_bytes = 50
weight_bits = 8
message_bits = 24
accumulator_bits = 32

[event_energy]
source = "sheet"
synop_energy_pj = 5.0
hop_energy_pj = [1.0, 2.0]
neuron_update_active_energy_pj = { at_least = 7.5 }

[event_energy.source_of]
hop_energy_pj = "guess"

[source.sheet]
title = "Data sheet"
year = 2020
table = "Table 3"

[source.guess]
title = "Our guess"
assumption = true
"""

Write = Callable[[str], Path]

KNOWN = (
    "c-host",
    "cmos45",
    "cortex-m",
    "cpu",
    "loihi1",
    "loihi2",
    "loihi2-sim",
    "rv32",
    "spinnaker2",
)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(content: str) -> Path:
        path = tmp_path / "mine.toml"
        path.write_text(content)
        return path

    return _write


def test_a_profile_of_the_users_own(write: Write) -> None:
    profile = load_profile(write(GOOD))
    assert (profile.name, profile.title) == ("mine", "My chip")
    assert profile.compile_limits().synapse_memory_bytes == 300
    assert profile.compile_limits().axons_in_per_core is None  # unknown is absent, not zero
    prices = profile.event_energy
    assert prices is not None
    assert prices.synop_energy_pj == EnergyPj(5.0, 5.0)
    assert prices.hop_energy_pj == EnergyPj(1.0, 2.0)
    assert prices.neuron_update_active_energy_pj == EnergyPj(7.5, 7.5, is_minimum=True)
    assert prices.spike_energy_pj is None
    assert profile.sources("event_energy") == ("Data sheet, 2020, Table 3", "Our guess")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("synop_energy_pj = 5.0", "synop_energy = 5.0", "[event_energy] synop_energy: has no unit"),
        ("synop_energy_pj = 5.0", "sinop_energy_pj = 5.0", "did you mean 'synop_energy_pj'?"),
        ("synop_energy_pj = 5.0", 'synop_energy_pj = "5"', "[event_energy] synop_energy_pj: '5'"),
        ("synop_energy_pj = 5.0", "synop_energy_pj = -5", "synop_energy_pj: -5, expected more"),
        ("synop_energy_pj = 5.0", "synop_energy_pj = 0", "synop_energy_pj: 0, expected more"),
        ("synop_energy_pj = 5.0", "synop_energy_pj = nan", "synop_energy_pj: nan, expected more"),
        ("synop_energy_pj = 5.0", "synop_energy_pj = true", "True is a truth value"),
        ("[1.0, 2.0]", "[2.0, 1.0]", "[event_energy] hop_energy_pj: [2.0, 1.0]"),
        ("[1.0, 2.0]", "[1.0]", "expected [low, high]"),
        ("{ at_least = 7.5 }", "{ most = 7.5 }", "expected { at_least = number }"),
        ("weight_bits = 8", "weight_bits = 8.0", "[limits] weight_bits: 8.0, expected a whole"),
        ("weight_bits = 8", "weight_bits = -8", "[limits] weight_bits: -8, expected at least 1"),
        ("weight_bits = 8\n", "", "[limits] weight_bits: missing"),
        ("weight_bits = 8", "weights = 8", "[limits] weights: unknown key"),
        ("bytes = 300", "bytes = 500", "[limits] synapse_memory_bytes: 500 is more than"),
        (
            '[event_energy]\nsource = "sheet"\n',
            "[event_energy]\n",
            "synop_energy_pj: has no source",
        ),
        ('pj = "guess"', 'pj = "gossip"', "[event_energy] hop_energy_pj: its source 'gossip'"),
        ('hop_energy_pj = "guess"', 'leap_energy_pj = "guess"', "'leap_energy_pj' is not a number"),
        ("year = 2020\n", "", "[source.sheet] year: missing"),
        ('title = "Data sheet"', "title = 7", "[source.sheet] title: 7, expected text"),
        ("compile = true", "compile = 1", "[support] compile: 1, expected true or false"),
        ("profile = true", "profile = false", "[support] reason: missing"),
        ("[limits]", "[limit]", "[limit]: unknown table or key; did you mean 'limits'?"),
        ('title = "My chip"\n', "", "title: missing"),
        ('name = "mine"', "name = mine", "not a TOML file: "),
        ("[event_energy.source_of]", "[proxy]", "[proxy] hop_energy_pj: unknown key"),
    ],
)
def test_a_bad_profile_is_one_line_with_file_table_and_key(
    write: Write, old: str, new: str, problem: str
) -> None:
    assert GOOD.count(old) == 1
    path = write(GOOD.replace(old, new))
    with pytest.raises(FormatError) as caught:
        load_profile(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert problem in message
    assert "\n" not in message


def test_an_unknown_target_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=", ".join(KNOWN)):
        load_profile("loihi3")


def test_which_targets_know_the_maximum_of_a_layers_channels(write: Write) -> None:
    knowing = {name for name in known_profiles() if load_profile(name).support.channel_maximum}
    assert knowing >= {"cpu", "spinnaker2"}
    assert not knowing & {"loihi1", "loihi2", "loihi2-sim"}
    # A profile from before the key, such as a program carries, has none.
    assert not load_profile(write(GOOD)).support.channel_maximum
    stated = GOOD.replace("[limits]", "channel_maximum = true\n[limits]")
    assert load_profile(write(stated)).support.channel_maximum


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none.toml: no such file"):
        load_profile(tmp_path / "none.toml")


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "picture.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="not UTF-8"):
        load_profile(path)


@pytest.mark.parametrize("name", known_profiles())
def test_every_shipped_number_names_its_source(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert profile.sources()
    cited = set(profile.source_of.values())
    assert cited == set(profile.source)  # none missing, none idle
    for table in ("limits", "event_energy", "arithmetic_energy"):
        record = getattr(profile, table)
        for field in fields(record) if record is not None else ():
            known = getattr(record, field.name) is not None
            assert known == (f"{table}.{field.name}" in profile.source_of)


def test_loihi_2_and_its_simulation_have_the_same_limits_and_no_prices() -> None:
    chip, simulation = load_profile("loihi2"), load_profile("loihi2-sim")
    limits = chip.compile_limits()
    assert simulation.compile_limits() == limits
    assert limits.core_memory_bytes == 192 * 1024
    assert limits.synapse_memory_bytes == 128 * 1024
    assert limits.accumulator_bits == 32
    assert chip.source[chip.source_of["limits.accumulator_bits"]].assumption
    assert (simulation.support.lava_simulator, chip.support.lava_simulator) == (True, False)
    for profile in (chip, simulation):
        assert profile.event_energy is None
        assert profile.proxy is not None
        assert profile.proxy.label == "proxy (Loihi 1, pre-silicon)"


def test_loihi_1_prices_are_those_of_the_paper() -> None:
    prices = load_profile("loihi1").event_energy
    assert prices is not None
    # Davies et al. 2018, Table 2
    assert prices.synop_energy_pj == EnergyPj(23.6, 23.6, is_minimum=True)
    assert prices.neuron_update_active_energy_pj == EnergyPj(81, 81)
    assert prices.neuron_update_idle_energy_pj == EnergyPj(52, 52)
    assert prices.spike_energy_pj == EnergyPj(1.7, 1.7)
    assert prices.hop_energy_pj == EnergyPj(3.0, 4.0)


def test_loihi_1_refuses_state_space_models_with_the_reason() -> None:
    profile = load_profile("loihi1")
    with pytest.raises(UnsupportedError, match="neuron model is fixed.*no complex state"):
        profile.compile_limits()
    with pytest.raises(UnsupportedError, match="cannot be profiled: its neuron model is fixed"):
        profile.check_priced()


@pytest.mark.parametrize("name", ["spinnaker2", "cmos45"])
def test_targets_with_prices_only(name: str) -> None:
    profile = load_profile(name)
    profile.check_priced()
    with pytest.raises(UnsupportedError, match="comparison only"):
        profile.compile_limits()


def test_energies_add_up_with_their_ranges() -> None:
    # 2 * [1, 3] + 3 * (at least 5) = at least [17, 21]
    total = EnergyPj.total([EnergyPj(1, 3).times(2), EnergyPj(5, 5, is_minimum=True).times(3)])
    assert total == EnergyPj(17, 21, is_minimum=True)
    assert EnergyPj(5, 5, is_minimum=True).times(0) == EnergyPj(0, 0)
