"""Hardware profiles: what a chip can hold and what an operation costs there, with sources.

Profiles are TOML files; those of this package are found by name, others by path. Every number has
its unit in its key and its source in the file.
"""

from neurossm.hw_profiles.load import known_profiles, load_profile, profile_of, targets
from neurossm.hw_profiles.profile import (
    ArithmeticEnergy,
    Citation,
    EnergyPj,
    EventEnergy,
    Limits,
    Power,
    Profile,
    Proxy,
    Support,
)

__all__ = [
    "ArithmeticEnergy",
    "Citation",
    "EnergyPj",
    "EventEnergy",
    "Limits",
    "Power",
    "Profile",
    "Proxy",
    "Support",
    "known_profiles",
    "load_profile",
    "profile_of",
    "targets",
]
