"""Reference algorithms, one a file. A new one is a new file and one line in `REFERENCES`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any

from probes.references.chebyshev import Chebyshev
from probes.references.divergence import DivergenceWarning
from probes.references.gd import GD
from probes.references.gdpp import GDPlusPlus
from probes.references.heavy_ball import HeavyBall
from probes.references.nesterov import Nesterov
from probes.references.newton import Newton
from probes.references.newton_schulz import NewtonSchulz
from probes.references.ols import OLS
from probes.references.preconditioned_gd import PreconditionedGD
from probes.references.prefixes import Prefixes
from probes.references.reference import Reference, Steps
from probes.references.ridge import Ridge
from probes.references.ridge_path import RidgePath
from probes.references.spectral import SpectralReference

REFERENCES: dict[str, Callable[..., Reference]] = {
    "ols": OLS,
    "ridge": Ridge,
    "ridge-path": RidgePath,
    "gd": GD,
    "gd-adaptive": partial(GD, eta="inverse_largest"),
    "gd-optimal": partial(GD, eta="optimal"),
    "heavy-ball": HeavyBall,
    "nesterov": Nesterov,
    "chebyshev": Chebyshev,
    "preconditioned-gd": PreconditionedGD,
    "gd++": GDPlusPlus,
    "newton": Newton,
    "newton-spectral": partial(Newton, alpha="spectral"),
    "newton-schulz": NewtonSchulz,
}

__all__ = [
    "GD",
    "OLS",
    "REFERENCES",
    "Chebyshev",
    "DivergenceWarning",
    "GDPlusPlus",
    "HeavyBall",
    "Nesterov",
    "Newton",
    "NewtonSchulz",
    "PreconditionedGD",
    "Prefixes",
    "Reference",
    "Ridge",
    "RidgePath",
    "SpectralReference",
    "Steps",
    "build_reference",
]


def build_reference(name: str, **parameters: Any) -> Reference:
    """Builds a reference by its name in `REFERENCES`, with parameters other than its defaults.

    Raises:
        ValueError: No such reference, a parameter it does not have, or a value out of range.
    """
    if name not in REFERENCES:
        raise ValueError(f"reference must be one of {', '.join(REFERENCES)}, got {name!r}")
    build = REFERENCES[name]
    default = build()
    known = [field.name for field in fields(default) if field.init]  # type: ignore[arg-type]
    if unknown := sorted(set(parameters) - set(known)):
        takes = f"it takes {', '.join(known)}" if known else "it takes none"
        raise ValueError(f"reference {name} has no parameter {', '.join(unknown)}; {takes}")
    return build(**parameters)
