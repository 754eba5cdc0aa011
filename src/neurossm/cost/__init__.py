"""What a program costs: operations counted from real spikes, energy, and the load of each core."""

from neurossm.cost.counts import KEYS, Counts
from neurossm.cost.energy import Energy
from neurossm.cost.profiler import CoreLoad, CostProfile, profile

__all__ = ["KEYS", "CoreLoad", "CostProfile", "Counts", "Energy", "profile"]
