"""How far behind, chance aside, is too far, and how unlike."""

from __future__ import annotations

MARGIN = 0.001
"""Mean similarity by which a reference may stay behind before it falls, chance aside …"""

MARGIN_SHARE = 0.05
"""… or this share of what the best leaves to 1, if that is less."""

MIN_SIMILARITY = 0.7
"""Mean similarity below which no reference describes the layers."""


def margin_below(similarity: float) -> float:
    """How far behind one of such a similarity a reference may stay."""
    return min(MARGIN, MARGIN_SHARE * (1 - similarity))
