"""A program on the cores of a chip: neurons, their bytes, cores, and steps of delay."""

from neurossm.place.placement import Core, Placement, place

__all__ = ["Core", "Placement", "place"]
