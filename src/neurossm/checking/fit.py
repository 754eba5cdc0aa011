"""How full a target gets."""

from __future__ import annotations

from collections import Counter

from neurossm.checking.record import Fit, Use
from neurossm.hw_profiles import Profile
from neurossm.place.placement import Placement
from neurossm.place.plan import Demand, fan_outs


def fit_of(placement: Placement, profile: Profile) -> Fit:
    """Return the fullest core for each limit of the target that is known, and the counts."""
    limits = profile.compile_limits()
    groups = {group.name: group for group in placement.groups}
    cores = Counter(core.group for core in placement.cores)
    fan_out = fan_outs(placement.groups, cores)
    uses: dict[str, Use] = {}

    def see(limit: str, needed: int, where: str) -> None:
        available = getattr(limits, limit)
        if available is not None and (limit not in uses or needed > uses[limit].needed):
            uses[limit] = Use(limit, needed, available, needed / available, where)

    if profile.support.in_turn:
        held = [
            (core.state_bytes, core.parameter_bytes, core.synapse_bytes) for core in placement.cores
        ]
        see("core_memory_bytes", sum(map(sum, held)), "all groups")
        see("synapse_memory_bytes", sum(synapses for _, _, synapses in held), "all groups")
        see("state_memory_bytes", sum(states for states, _, _ in held), "all groups")
    else:
        for core in placement.cores:
            demand = Demand.of(groups[core.group], core.neurons, fan_out[core.group])
            where = f"core {core.core} of chip {core.chip} ({core.group})"
            for limit, needed in vars(demand).items():
                see(limit, needed, where)
        see("cores_per_chip", min(placement.cores_used, limits.cores_per_chip), "chip 0")
        see("chips_per_system", placement.chips_used, "the system")
    shown = tuple(sorted(uses.values(), key=lambda use: -use.share))
    counts = (placement.cores_used, placement.chips_used, placement.least_cores)
    return Fit(profile.name, *counts, shown)
