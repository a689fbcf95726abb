"""The year on one page, to pass on: six numbers and three figures, on a phone and on paper (A4)."""

from loyaltylab.poster.content import FIGURES, NUMBERS, Poster, content
from loyaltylab.poster.page import draw, write

__all__ = ["FIGURES", "NUMBERS", "Poster", "content", "draw", "write"]
