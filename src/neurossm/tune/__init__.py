"""Search for the narrowest widths that keep a network's accuracy.

`space` says which widths there are to choose, `judge` how much a program differs from the float
model, `search` descends, `tuner` confirms the outcome on samples that the search never saw.
"""

from neurossm.tune.judge import Score
from neurossm.tune.tuner import Settings, Tuning, tune_widths

__all__ = ["Score", "Settings", "Tuning", "tune_widths"]
