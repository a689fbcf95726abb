"""The demo world: a simulated company whose truth is known.

`simulate` makes it in memory, `fill` writes its files as a company has them. A study may call the
first alone, with a World of its own.
"""

from loyaltylab.simulation.company import Company, simulate
from loyaltylab.simulation.folder import fill

__all__ = ["Company", "fill", "simulate"]
