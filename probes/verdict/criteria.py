"""Every threshold of the verdict."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Criteria:
    """Thresholds of the decision, stored with every verdict.

    Similarities are means over layers; "beyond chance" means that the confidence interval over
    prompts lies on that side of the threshold.
    """

    started: float = 0.95
    """A layer counts once its read-out's error is below this share of the first layer's …"""
    min_direct_r2: float = 0.1
    """… or, for R^2 of iterates, once some iterate's is above this."""
    well_read: float = 0.7
    """Of all targets the one is taken that most layers hold with a higher R^2 than this."""
    min_left: float = 0.02
    """A target of which the first layer leaves no more than this is no work of later layers."""
    dead: float = 1e-4
    """A layer that changes the residual stream by less, relatively, adds no depth."""
    min_similarity: float = 0.7
    """Below this similarity no reference describes the layers."""
    margin: float = 0.001
    """A reference is rejected if it is further behind the best, beyond chance, than this …"""
    margin_share: float = 0.05
    """… or than this share of what the best leaves to 1, whichever is less."""
    loss_margin: float = 0.003
    """A constant rate may cost a reference so much more than it costs the best, beyond chance."""
    growth_margin: float = 0.002
    """Growth with depth must gain so much over one step for all layers, beyond chance …"""
    growth_share: float = 0.25
    """… or this share of what that one step leaves to 1, whichever is less."""
    clear_ratio: float = 3.0
    """Evidence ratio from which on one law of growth is clearly better than the other."""
    neither_misfit: float = 0.15
    """Growth follows neither law if the better one leaves more than this share of its spread."""
    disagreeing_share: float = 0.25
    """Share of the prompts, those on which two references disagree most, for a closer look."""
    largest_misfit: float = 0.03
    """Systematic share of the errors, beyond chance, up to which a reference describes the layers.

    Without any noise, a reference at that share is at a similarity of errors of .985."""

    def margin_below(self, similarity: float) -> float:
        """Returns how far behind one of such a similarity a reference may be."""
        return min(self.margin, self.margin_share * (1 - similarity))


DEFAULT_CRITERIA = Criteria()
