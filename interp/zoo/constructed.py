"""Models built to run a known algorithm, as the zoo lists them: names alone, no torch."""

from __future__ import annotations

CONSTRUCTED: dict[str, str] = {
    "newton-exact": "Iterative Newton, one iteration a layer (Theorem 5.1), prediction readable",
    "newton-exact-silent": "the same with no prediction in the stream before the last layer",
    "newton-exact-looped": "Iterative Newton with one layer's weights used in all of them",
    "gd-exact": "gradient descent, one step a layer (von Oswald et al. 2023)",
    "gd-exact-looped": "gradient descent with one layer's weights used in all of them",
    "gdpp-exact": "GD++, one step a layer (von Oswald et al. 2023)",
    "gdpp-exact-looped": "GD++ with one layer's weights used in all of them",
    "ogd-exact": "online gradient descent, once over the examples, in the first layer (delta rule)",
}
"""What each of `hooks.architectures.built_in.BUILT_IN` runs."""
