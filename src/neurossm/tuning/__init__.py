"""Search for the narrowest widths that keep a network's accuracy.

`space` says which widths there are to choose, `judge` how much a program differs from the float
model, `search` descends, `tuner` confirms the outcome on samples that the search never saw.
"""

from neurossm.tuning.judge import Score
from neurossm.tuning.options import TuneOptions
from neurossm.tuning.outcome import Tuning
from neurossm.tuning.tuner import tune

__all__ = ["Score", "TuneOptions", "Tuning", "tune"]
