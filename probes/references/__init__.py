"""Reference algorithms, one a file. A new one is a new file and one line in `REFERENCES`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import cache, partial
from typing import Any

from probes.references.averaging import Averaging
from probes.references.bayes import Bayes
from probes.references.bfgs import BFGS
from probes.references.chebyshev import Chebyshev
from probes.references.conjugate_gradient import ConjugateGradient
from probes.references.discrete_prior import DiscretePrior
from probes.references.divergence import DivergenceWarning
from probes.references.eigenbasis import EigenbasisIteration
from probes.references.gd import GD
from probes.references.gdpp import GDPlusPlus
from probes.references.heavy_ball import HeavyBall
from probes.references.lasso import Lasso
from probes.references.lbfgs import LBFGS
from probes.references.nearest_neighbours import NearestNeighbours
from probes.references.nesterov import Nesterov
from probes.references.network_gd import NetworkGD
from probes.references.newton import Newton
from probes.references.newton_identity import NewtonIdentity
from probes.references.newton_schulz import NewtonSchulz
from probes.references.ols import OLS
from probes.references.online_gd import OnlineGD
from probes.references.preconditioned_gd import PreconditionedGD
from probes.references.prefixes import Prefixes
from probes.references.recursive_least_squares import RecursiveLeastSquares
from probes.references.reference import Parameters, Reference, Steps
from probes.references.ridge import Ridge
from probes.references.ridge_path import RidgePath
from probes.references.spectral import SpectralReference
from probes.references.without_steps import WithoutSteps

REFERENCES: dict[str, Callable[..., Reference]] = {
    "newton": Newton,
    "newton-spectral": partial(Newton, alpha="spectral"),
    "newton-identity": NewtonIdentity,
    "newton-schulz": NewtonSchulz,
    "gd": GD,
    "gd-adaptive": partial(GD, eta="inverse_largest"),
    "gd-optimal": partial(GD, eta="optimal"),
    "heavy-ball": HeavyBall,
    "nesterov": Nesterov,
    "chebyshev": Chebyshev,
    "preconditioned-gd": PreconditionedGD,
    "gd++": GDPlusPlus,
    "network-gd": NetworkGD,
    "cg": ConjugateGradient,
    "bfgs": BFGS,
    "l-bfgs": LBFGS,
    "ridge-path": RidgePath,
    "ridge": Ridge,
    "ols": OLS,
    "ogd": OnlineGD,
    "ogd-fixed": partial(OnlineGD, eta=0.01),
    "rls": RecursiveLeastSquares,
    "averaging": Averaging,
    "knn": NearestNeighbours,
    "lasso": Lasso,
    "bayes": Bayes,
    "dmmse": DiscretePrior,
}
"""By key, in the order in which they are compared and listed."""

__all__ = [
    "BFGS",
    "GD",
    "LBFGS",
    "OLS",
    "REFERENCES",
    "Averaging",
    "Bayes",
    "Chebyshev",
    "ConjugateGradient",
    "DiscretePrior",
    "DivergenceWarning",
    "EigenbasisIteration",
    "GDPlusPlus",
    "HeavyBall",
    "Lasso",
    "NearestNeighbours",
    "Nesterov",
    "NetworkGD",
    "Newton",
    "NewtonIdentity",
    "NewtonSchulz",
    "OnlineGD",
    "Parameters",
    "PreconditionedGD",
    "Prefixes",
    "RecursiveLeastSquares",
    "Reference",
    "Ridge",
    "RidgePath",
    "SpectralReference",
    "Steps",
    "WithoutSteps",
    "build_reference",
    "family_phrase",
    "legend_of",
    "reference_class",
    "reference_classes",
]


def reference_class(name: str) -> type[Reference]:
    """The class of a reference, by its name in `REFERENCES`."""
    build = REFERENCES[name]
    found = build.func if isinstance(build, partial) else build
    assert isinstance(found, type)
    return found


def reference_classes() -> tuple[type[Reference], ...]:
    """Every class of `REFERENCES` once, in its order."""
    return tuple(dict.fromkeys(map(reference_class, REFERENCES)))


def family_phrase(family: str) -> str:
    """The name of a family within a sentence; the family's key where no reference is of it."""
    members = (one for one in reference_classes() if one.family == family)
    return next((one.phrase for one in members), family)


@cache
def _variants() -> dict[str, Reference]:
    """One reference for each name that layers are compared under by default."""
    return {
        name: one(**parameters)
        for one in reference_classes()
        for name, parameters in one.candidates(1.0).items()
    }


def legend_of(name: str) -> str:
    """The legend of a reference by its name in `REFERENCES` or among the default candidates.

    Any other name is returned as it is.
    """
    if name in _variants():
        return _variants()[name].legend
    return REFERENCES[name]().legend if name in REFERENCES else name


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
