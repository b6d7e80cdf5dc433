"""The interface of every hooked model, whatever its architecture."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens import HookedRootModule

from hooks.field_types import check_types
from hooks.sites import Site


@dataclass(frozen=True)
class ModelConfig:
    """The sizes that every architecture has; architectures add their own."""

    n_dims: int = 5
    """Dimension d of each x."""
    n_points: int = 11
    """Longest prompt, in (x, y) pairs, that the model was built for."""
    n_layers: int = 8
    d_model: int = 64

    may_be_zero: ClassVar[frozenset[str]] = frozenset()
    """Whole-number fields of an architecture's own that need not be at least 1."""

    def __post_init__(self) -> None:
        check_types(self)
        for name, value in asdict(self).items():
            least = 0 if name in self.may_be_zero else 1
            if isinstance(value, int) and not isinstance(value, bool) and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")


_FILES_OF_FOLDERS = {"model", "state", "pytorch_model", "checkpoint"}
"""Names of files that say nothing; the folder says which model it is."""


class SequenceModel(HookedRootModule):
    """A model that reads prompts of (x, y) pairs and predicts each y from what precedes it.

    Subclasses carry TransformerLens hook points and call `setup()` last in their `__init__`, so
    `run_with_cache` and `run_with_hooks` work on every one of them.
    """

    site_kinds: tuple[str, ...] = ("resid_post", "resid_pre", "attn_out", "mlp_out")
    """Kinds of site this architecture can be read at, in TransformerLens's names."""

    is_causal: ClassVar[bool] = True
    """Whether the prediction at a point depends on nothing after that point's x."""

    takes_longer_prompts: ClassVar[bool] = False
    """Whether prompts may have more points than the model was built for: it has no weights of
    theirs, such as learned positions."""

    first_point: int = 0
    """First point that the model can be read at; before it predictions and activations are NaN."""

    is_wiring_checked: bool = False
    """Whether `check_wiring` has found that predictions see no answers but earlier ones."""

    def __init__(self, config: ModelConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        del generator  # subclasses draw their initial weights from it
        self.config = config
        self.provenance: dict[str, Any] = {}
        """Where the weights come from: recipe, task, step, metrics, path; empty for a new model."""

    @abstractmethod
    def forward(
        self, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
    ) -> Float[Tensor, "prompt point"]:
        """Predicts every y of every prompt.

        Args:
            xs: Inputs of the prompts, cast to the model's dtype.
            ys: Outputs of the prompts; the prediction at a point never sees that point's own y.

        Returns:
            The prediction at each point, which has seen the pairs before it and its own x.
        """

    @property
    def name(self) -> str:
        """Short name for tables and messages: the one given, that of its file, or its class."""
        for key in ("name", "built_in"):
            if key in self.provenance:
                return str(self.provenance[key])
        if "path" not in self.provenance:
            return str(self.provenance.get("architecture", type(self).__name__))
        path = Path(self.provenance["path"])
        return path.parent.name if path.stem in _FILES_OF_FOLDERS else path.stem or str(path)

    @name.setter
    def name(self, name: str) -> None:
        self.provenance["name"] = name

    @property
    def n_layers(self) -> int:
        return self.config.n_layers

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def prediction_tokens(self, n_points: int) -> slice | Tensor:
        """Positions on the model's sequence axis at which the predictions of points are made."""
        return slice(0, None, 2)

    def read_site(
        self, activations: Float[Tensor, "row token *width"], n_prompts: int, n_points: int
    ) -> Float[Tensor, "prompt point *width"]:
        """Takes what a site's hook saw at the prediction positions of points out of its output.

        A model that runs once per prefix of a prompt has more rows than prompts and overrides
        this; everybody who reads or averages hook outputs goes through it. Where the hook fires
        several times in a pass, each firing gives the next of the points.

        Args:
            activations: What the hook of a site was given during one forward pass.
            n_prompts: Prompts in that pass.
            n_points: Points of each of them.
        """
        del n_prompts
        return activations[:, self.prediction_tokens(n_points)]

    def hook_name(self, site: Site) -> str:
        """The TransformerLens hook to read a site at.

        Layer 0 of the residual stream is what enters the first block; layer l is what leaves
        block l - 1, so layer `n_layers` is the last. Other kinds exist in layers 1 to `n_layers`.

        Raises:
            ValueError: The architecture has no such kind of site, or no such layer.
        """
        if site.kind not in self.site_kinds:
            raise ValueError(
                f"site {site}: this {type(self).__name__} has {', '.join(self.site_kinds)}, "
                f"not {site.kind!r}"
            )
        first = 0 if site.kind == "resid_post" else 1
        if not first <= site.layer <= self.n_layers:
            raise ValueError(f"site {site}: layer must be in {first}..{self.n_layers}")
        return self._hook_name(site)

    def _hook_name(self, site: Site) -> str:
        if site == Site(0, "resid_post"):
            return "blocks.0.hook_resid_pre"
        prefix = f"blocks.{site.layer - 1}"
        return f"{prefix}.attn.hook_z" if site.kind == "z" else f"{prefix}.hook_{site.kind}"

    def sites(self, kind: str = "resid_post") -> tuple[Site, ...]:
        """Every site of one kind, from the first layer to the last."""
        first = 0 if kind == "resid_post" else 1
        sites = tuple(Site(layer, kind) for layer in range(first, self.n_layers + 1))
        for site in sites:
            self.hook_name(site)
        return sites

    def get_caching_hooks(self, *args: Any, **kwargs: Any) -> Any:
        """Hooks that keep copies: a module that adds in place changes what it was given later."""
        cache, forward, backward = super().get_caching_hooks(*args, **kwargs)
        return cache, [(name, _of_a_copy(keep)) for name, keep in forward], backward

    def with_loops(self, n_loops: int) -> SequenceModel:
        """The same weights, their loop run another number of times; for looped models.

        Raises:
            ValueError: The model's layers have weights of their own, or `n_loops` is below 1.
        """
        del n_loops
        raise ValueError(
            "only a looped model can be run for another number of loops; this "
            f"{type(self).__name__} has {self.n_layers} layers with weights of their own"
        )

    def final_norm(
        self, activations: Float[Tensor, "*batch d_model"]
    ) -> Float[Tensor, "*batch d_model"]:
        """The normalisation between last layer and read-out; identity where there is none."""
        return activations

    def readable_points(self, n_points: int) -> range:
        """Points of prompts so long that predictions and activations can be read at."""
        return range(self.first_point, n_points)

    def check_prompts(
        self, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"]
    ) -> None:
        """Raises a `ValueError` that says what is wrong with prompts this model cannot take."""
        config = self.config
        if xs.ndim != 3 or ys.ndim != 2 or xs.shape[:2] != ys.shape:
            raise ValueError(
                "xs must be [prompt, point, dim] and ys [prompt, point] of the same prompts and "
                f"points, got {tuple(xs.shape)} and {tuple(ys.shape)}"
            )
        if xs.shape[2] != config.n_dims:
            raise ValueError(f"xs has {xs.shape[2]} dims, the model takes {config.n_dims}")
        if xs.shape[1] > config.n_points and not self.takes_longer_prompts:
            raise ValueError(
                f"xs has {xs.shape[1]} points, the model takes at most {config.n_points}"
            )

    def describe(self) -> dict[str, Any]:
        """The configuration as plain values, as stored in a checkpoint."""
        return asdict(self.config)


def _of_a_copy(keep: Callable[..., None]) -> Callable[..., None]:
    return lambda activation, hook: keep(activation.clone(), hook=hook)


def init_gpt2_weights(module: nn.Module, *, std: float, generator: torch.Generator | None) -> None:
    """Normal(0, std) for weights, zero for biases, in place (GPT-2's initialisation)."""
    for child in module.modules():
        if isinstance(child, (nn.Linear, nn.Embedding)):
            nn.init.normal_(child.weight, std=std, generator=generator)
            if isinstance(child, nn.Linear) and child.bias is not None:
                nn.init.zeros_(child.bias)
