"""A foreign module behind the interface of our own models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from hooks.inference import uncompiled
from hooks.layer_output import find_activation
from hooks.model import ModelConfig, SequenceModel

Predict = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""Runs a module on xs [prompt, point, dim] and ys [prompt, point]; returns [prompt, point].

One that is run once for every prefix may return the last point's predictions alone, [prompt]."""

Points = slice | Tensor | Callable[[int], slice | Tensor]
"""Where predictions are made on the layers' sequence axis; a callable is given n_points."""


@dataclass(frozen=True)
class Layout:
    """How a module's layers hold a sequence."""

    points: Points
    is_batch_first: bool = True
    is_causal: bool = True
    first_point: int = 0


class _Block(nn.Module):
    """The hook points of one layer, under TransformerLens's names."""

    def __init__(self, kinds: tuple[str, ...]) -> None:
        super().__init__()
        for kind in ("resid_pre", *kinds):
            self.add_module(f"hook_{kind}", HookPoint())


class AttachedModel(SequenceModel):
    """Routes the activations of a foreign module's layers through hook points of its own.

    The module is touched only while this model runs, and only where a hook point is in use: a
    forward hook hands the layer's output to the hook point and takes back what comes out of it,
    so reading and intervening work as on our own models. The layers' arrays reach the hooks as
    [prompt, token, …], whichever way round the module has them. A module that runs several times
    in a pass has as many layers, in the order of the calls.

    A module that is not causal runs once for every prefix, with the y of its last point set to
    zero, and every hook then fires once for every prefix. Prefixes that end before the first point
    it can be read at are run as that point's, so that it is never given a shorter one.
    """

    def __init__(
        self,
        module: nn.Module,
        predict: Predict,
        config: ModelConfig,
        modules: Mapping[str, tuple[str, ...]],
        layout: Layout,
        final_norm: str | None = None,
    ) -> None:
        super().__init__(config)
        self.site_kinds = tuple(modules)
        self.is_causal = layout.is_causal  # type: ignore[misc]  # of the class where it is known
        self.first_point = layout.first_point
        self.provenance = {"format": "attached", "architecture": type(module).__name__}
        self.predict = predict
        self.layout = layout
        self.modules_of_kind = modules
        """Names of the modules that are read, for every kind of site, by layer."""
        self.final_norm_name = final_norm
        self._n_running_points = 0
        self._n_calls: Counter[tuple[str, str]] = Counter()
        self.blocks = nn.ModuleList(_Block(self.site_kinds) for _ in range(config.n_layers))
        self.setup()  # before the module is added: its names and hook points are its own
        self.module = module
        self.training = module.training

    def forward(
        self, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
    ) -> Float[Tensor, "prompt point"]:
        self.check_prompts(xs, ys)
        n_points = xs.shape[1]
        if n_points <= self.first_point:
            raise ValueError(
                f"xs has {n_points} points, the model can be read from point {self.first_point} on"
            )
        xs, ys = xs.to(self.dtype), ys.to(self.dtype)
        with ExitStack() as stack:
            for handle in self._connect():
                stack.callback(handle.remove)
            if self.layout.is_causal:
                predictions = self.run_module(xs, ys)
                if predictions.ndim == 2:
                    return predictions
                raise ValueError(
                    f"predict returned one prediction a prompt, expected {tuple(ys.shape)}; a "
                    "module that answers one query is attached with causal=False"
                )
            ends = [max(point, self.first_point) for point in range(n_points)]
            return torch.stack([self._run_prefix(xs, ys, end) for end in ends], dim=1)

    def run_module(
        self, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
    ) -> Float[Tensor, "prompt *point"]:
        """Runs the module once, as `predict` does, and checks what that returns."""
        self._n_running_points = ys.shape[1]
        self._n_calls.clear()
        try:
            with uncompiled():
                predictions = self.predict(self.module, xs, ys)
        except Exception as error:
            error.add_note(
                f"predict was given xs of shape {tuple(xs.shape)} and ys of shape "
                f"{tuple(ys.shape)}, {xs.dtype}; n_dims and n_points are those given to attach"
            )
            raise
        finally:
            self._n_running_points = 0
        if not isinstance(predictions, Tensor):
            raise ValueError(f"predict returned {type(predictions).__name__}, expected a tensor")
        if predictions.shape not in (ys.shape, ys.shape[:1]):
            hint = ""
            if predictions.ndim > 2:
                hint = "; reduce a distribution to one number a point within predict"
            raise ValueError(
                f"predict returned shape {tuple(predictions.shape)}, expected [prompt, point] of "
                f"shape {tuple(ys.shape)}{hint}"
            )
        return predictions

    def _run_prefix(self, xs: Tensor, ys: Tensor, point: int) -> Float[Tensor, " prompt"]:
        known = ys[:, : point + 1].clone()
        known[:, point] = 0
        predictions = self.run_module(xs[:, : point + 1], known)
        return predictions if predictions.ndim == 1 else predictions[:, -1]

    def _connect(self) -> list[torch.utils.hooks.RemovableHandle]:
        handles = []
        entry = self.blocks[0].get_submodule("hook_resid_pre")
        if _is_used(entry):
            first = self.module.get_submodule(self.modules_of_kind["resid_post"][0])
            handles.append(
                first.register_forward_pre_hook(self._input_router(entry), with_kwargs=True)
            )
        for kind, names in self.modules_of_kind.items():
            points: dict[str, list[nn.Module]] = {}
            for block, name in zip(self.blocks, names, strict=True):
                points.setdefault(name, []).append(block.get_submodule(f"hook_{kind}"))
            for name, of_calls in points.items():
                if any(map(_is_used, of_calls)):
                    layer = self.module.get_submodule(name)
                    router = self._output_router(of_calls, name, kind)
                    handles.append(layer.register_forward_hook(router))
        return handles

    def _output_router(self, points: list[nn.Module], name: str, kind: str) -> Callable[..., Any]:
        def route(layer: nn.Module, inputs: Any, output: Any) -> Any:
            del layer, inputs
            call = self._n_calls[kind, name]
            self._n_calls[kind, name] += 1
            if call >= len(points):
                times = "once" if len(points) == 1 else f"{len(points)} times"
                raise ValueError(
                    f"layer {name} ran more than {times} in a pass; attach it with calls='each' "
                    "to read every call as a layer"
                )
            return self._through(points[call], output, f"layer {name} returned")

        return route

    def _input_router(self, point: nn.Module) -> Callable[..., Any]:
        def route(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            del layer
            self._n_calls["input", ""] += 1
            if self._n_calls["input", ""] > 1:
                return None
            if args:
                changed = self._through(point, args, "the first layer was given")
                return None if changed is None else (changed, kwargs)
            changed = self._through(point, kwargs, "the first layer was given")
            return None if changed is None else (args, changed)

        return route

    def _through(self, point: nn.Module, output: Any, what: str) -> Any:
        """Sends the activation in an output through a hook point; None if it came out the same."""
        found = find_activation(output)
        if found is None or found[0].ndim < 3:
            shape = tuple(found[0].shape) if found else type(output).__name__
            raise ValueError(f"{what} {shape}, expected an activation [prompt, token, d_model]")
        activation, replace = found
        seen = activation if self.layout.is_batch_first else activation.transpose(0, 1)
        changed = point(seen)
        if changed is seen:
            return None
        return replace(changed if self.layout.is_batch_first else changed.transpose(0, 1))

    def running_points(self) -> slice | Tensor:
        """Positions of the points of the prompt, or prefix, that a hook is called for."""
        points = self.prediction_tokens(self._n_running_points)
        return points if isinstance(points, slice) else points.cpu()

    def prediction_tokens(self, n_points: int) -> slice | Tensor:
        points = self.layout.points
        if callable(points):
            return points(n_points)
        return points if isinstance(points, slice) else points[:n_points].to(self.device)

    def read_site(
        self, activations: Float[Tensor, "row token *width"], n_prompts: int, n_points: int
    ) -> Float[Tensor, "prompt point *width"]:
        n_points = self._n_running_points or n_points
        rows = activations[:, self.prediction_tokens(n_points)]
        return rows if self.layout.is_causal else rows[:, -1:]

    def final_norm(
        self, activations: Float[Tensor, "*batch d_model"]
    ) -> Float[Tensor, "*batch d_model"]:
        if self.final_norm_name is None:
            return activations
        # Not through __call__: the user's own hooks on it are for the module's runs.
        return self.module.get_submodule(self.final_norm_name).forward(activations)

    @property
    def dtype(self) -> torch.dtype:
        return next(
            (part.dtype for part in self.module.parameters() if part.is_floating_point()),
            torch.get_default_dtype(),
        )

    @property
    def device(self) -> torch.device:
        parts = chain(self.module.parameters(), self.module.buffers())
        return next((part.device for part in parts), torch.device("cpu"))


def _is_used(point: nn.Module) -> bool:
    return bool(point._forward_hooks or point._backward_hooks or point._forward_pre_hooks)
