"""How what a model says at the last point of a prompt changes with the y before it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from hooks.finite import check_finite
from hooks.foreign import own_model
from hooks.inference import evaluation, on_device_of
from hooks.interventions.intervention import ForwardHooks
from hooks.model import SequenceModel
from hooks.sites import Site


class NoGradientError(ValueError):
    """A model computes its predictions in a way that torch cannot differentiate."""


def answer_jacobian(
    model: SequenceModel,
    xs: Float[Tensor, "prompt point dim"],
    ys: Float[Tensor, "prompt point"],
    weight: Float[Tensor, "layer d_model"],
    bias: Float[Tensor, " layer"],
) -> tuple[Float[Tensor, "answer prompt"], Float[Tensor, "answer prompt example"]]:
    """The answers of all layers and the model at the last point, and their derivatives by y.

    Takes one forward pass, and one backward pass a layer. The last layer is read after the final
    LayerNorm, as by `capture`.

    Args:
        model: One of our models or an attached one.
        xs: Inputs, the last one being the query.
        ys: Outputs; the last one is not used.
        weight: Of the read-out of every layer of the residual stream.
        bias: Of these read-outs.

    Returns:
        Both in float64 on the CPU: the layers in their order, then the model's own prediction.

    Raises:
        ValueError: The prompts do not fit the model.
        NoGradientError: No gradient flows from its predictions to ys.
        NonFiniteError: An answer or a derivative is NaN or infinite.
    """
    model = own_model(model)
    model.check_prompts(xs, ys)
    sites = model.sites()
    rows: dict[Site, Tensor] = {}
    hooks: ForwardHooks = [
        (model.hook_name(site), _keeper(model, site, rows, *ys.shape)) for site in sites
    ]
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.backends.cudnn.flags(enabled=False),  # its RNNs have gradients in training mode only
        evaluation(model),
    ):
        given = on_device_of(model, ys.detach().double()).clone().requires_grad_()
        with model.hooks(fwd_hooks=hooks):
            output = model(on_device_of(model, xs).clone(), given)[:, -1].cpu().double()
        rows[sites[-1]] = model.final_norm(rows[sites[-1]])
        read = [rows[site].cpu().to(weight) for site in sites]
        answers = [*(row @ w + b for row, w, b in zip(read, weight, bias, strict=True)), output]
        found = [_derivatives(answer, given) for answer in answers]
    if found[-1] is None:
        raise NoGradientError(
            f"no gradient flows from the predictions of {model.name} to ys; the model must compute "
            "them with torch operations that can be differentiated, outside torch.no_grad"
        )
    derivatives = [torch.zeros_like(ys).double() if one is None else one for one in found]
    values, jacobian = torch.stack(answers).detach(), torch.stack(derivatives)[..., :-1]
    check_finite(values.T, "answers at the last point")
    check_finite(jacobian.movedim(0, 2), "derivatives by y")
    return values, jacobian


def lacks_gradient(model: SequenceModel) -> str | None:
    """Why no derivatives by y can be had; None if they can."""
    generator = torch.Generator().manual_seed(0)
    shape = (1, model.config.n_points, model.config.n_dims)
    xs = torch.randn(shape, generator=generator, dtype=torch.float64)
    zeros = torch.zeros(model.n_layers + 1, model.config.d_model, dtype=torch.float64)
    try:
        answer_jacobian(model, xs, xs[..., 0], zeros, zeros[:, 0])
    except NoGradientError as error:
        return str(error)
    return None


def _keeper(
    model: SequenceModel, site: Site, rows: dict[Site, Tensor], n_prompts: int, n_points: int
) -> Callable[..., None]:
    """Keeps what a site holds at the last point, which is in the last firing of its hook."""

    def keep(activation: Tensor, *, hook: HookPoint) -> None:  # noqa: ARG001
        rows[site] = model.read_site(activation, n_prompts, n_points)[:, -1].flatten(1).clone()

    return keep


def _derivatives(
    answer: Float[Tensor, " prompt"], ys: Float[Tensor, "prompt point"]
) -> Float[Tensor, "prompt point"] | None:
    """Prompts do not see each other, so the derivatives of the sum are those of every prompt."""
    if not answer.requires_grad:
        return None
    [found] = torch.autograd.grad(answer.sum(), [ys], retain_graph=True, allow_unused=True)
    return None if found is None else found.cpu().double()
