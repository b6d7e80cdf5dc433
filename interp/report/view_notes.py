"""What views found, in a sentence or two each."""

from __future__ import annotations

import xarray


def anatomy_note(table: xarray.Dataset) -> str:
    """The ceiling of the layer that a reference explains best, in a sentence."""
    if missing := str(table.attrs["missing"]):
        return f"{missing[0].upper()}{missing[1:]}."
    here = table.isel(point=-1)
    share = here.share.sel(part="reference")
    layer = int(share.layer[int(share.argmax("layer"))])
    at = here.sel(layer=layer)
    return (
        f"After {int(at.point)} examples a filter could explain {at.ceiling.item():.1%} of layer "
        f"{layer} ({at.ceiling_low.item():.1%} to {at.ceiling_high.item():.1%}); the best "
        f"reference explains {at.share.sel(part='reference').item():.1%}."
    )


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
