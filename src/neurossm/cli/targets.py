"""`neurossm targets`: list the hardware profiles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from neurossm.cli.output import json_option, open_output, plain
from neurossm.hw_profiles import Profile, targets


@click.command("targets")
@click.option(
    "--hw",
    "files",
    metavar="FILE",
    multiple=True,
    help="List a profile of your own too; may be repeated.",
)
@json_option
def command(files: tuple[str, ...], json_path: str | None) -> None:
    """List the hardware profiles: what they can do, their limits, and where their prices come from.

    A limit or an energy that nobody has published is shown as "-". Where layers know the maximum
    of their channels, a GSU keeps the threshold it was trained with.
    """
    with open_output(json_path) as output:
        profiles = targets(*files)
        output.table(
            "Targets",
            ["target", "what", "compile", "Lava CPU", "channel maximum", "prices"],
            map(_row, profiles),
        )
        columns = [
            "target",
            "chips",
            "cores per chip",
            "neurons per core",
            "KiB per core",
            "KiB of synapses",
            "bytes per neuron",
            "weight bits",
            "message bits",
            "sum bits",
        ]
        output.table("Limits", columns, [_limits(p) for p in profiles if p.limits is not None])
        for profile in profiles:
            if profile.support.reason is not None:
                output.line(f"{profile.name}: {profile.support.reason}")
        output.json(
            {"targets": [_known(plain(replace(profile, text=None))) for profile in profiles]}
        )


def _row(profile: Profile) -> tuple[object, ...]:
    support = profile.support
    can = support.compile, support.lava_simulator, support.channel_maximum
    return profile.name, profile.title, *can, _prices(profile)


def _prices(profile: Profile) -> str | None:
    if profile.proxy is not None:
        return profile.proxy.label
    sources = profile.sources("event_energy", "arithmetic_energy")
    return "; ".join(sources) or None


def _limits(profile: Profile) -> tuple[object, ...]:
    limits = profile.limits
    assert limits is not None
    return (
        profile.name,
        limits.chips_per_system,
        limits.cores_per_chip,
        limits.neurons_per_core,
        limits.core_memory_bytes / 1024,
        limits.synapse_memory_bytes / 1024,
        limits.neuron_state_bytes,
        limits.weight_bits,
        limits.message_bits,
        limits.accumulator_bits,
    )


def _known(value: Any) -> Any:
    """Leave out what is unknown, at any depth."""
    if not isinstance(value, dict):
        return value
    return {key: _known(item) for key, item in value.items() if item is not None}
