"""What views found, in a sentence or two each."""

from __future__ import annotations

import xarray


def influence_note(table: xarray.Dataset) -> str:
    """What the model's own answer makes of its examples, beside least squares."""
    here = table.isel(point=-1)
    point, ols = int(here.point), here.sel(reference="ols")
    newest, oldest = here.output_by_age.sel(age=[1, point]).values
    return (
        f"After {point} examples the newest has {newest:.1%} of the influence on the model's "
        f"answer and the oldest {oldest:.1%}. Effective degrees of freedom: "
        f"{here.output_degrees_of_freedom.item():.2f} (least squares "
        f"{ols.reference_degrees_of_freedom.item():.2f}); noise gain |J|²: "
        f"{here.output_noise_gain.item():.2f} ({ols.reference_noise_gain.item():.2f}); share of "
        f"|J|² in the column space of X: {here.output_in_span.item():.1%} (100 %); share of the "
        f"answer that J y gives back: {here.output_given_back.item():.1%} (100 %)."
    )
