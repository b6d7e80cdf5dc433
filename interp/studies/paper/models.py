"""The models of a reproduction: what the user gave, else what ships; each is read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from jaxtyping import Float
from torch import Tensor

from hooks.architectures.gpt2 import GPT2
from hooks.architectures.lstm import LSTM
from hooks.model import SequenceModel
from interp.scoring.layer_matches import LayerMatches, match_steps
from interp.scoring.layer_predictions import (
    LayerPredictions,
    fit_layer_readouts,
    predict_by_layer,
)
from interp.studies.paper.paper_setup import N_GROUPS, Settings, official_eta
from interp.studies.paper.rows import PAPER_DIMS, ROLES, how_to_get
from interp.tasks import LinearRegression, Task, TwoLayerNetwork
from interp.tasks.compatibility import model_and_task
from interp.training.baseline import baseline_predictions
from interp.zoo.catalogue import names
from interp.zoo.loading import load
from probes.matching import StepGrid
from probes.references import Prefixes, Reference

SMALL_DIMS = 5
"""Dimension of the checkpoints that ship."""
NARROW = 64
"""With 1 head, a model narrower than this is one of Fig. 6."""
DEEP = 16
"""Layers from which on a model is one of Fig. 24 and 25."""
N_ITERATE_PROMPTS = 512
"""To fit the iterates' own read-outs on, which have two parameters."""
STARTED = 0.95
"""A layer works once its error is below this share of that of predicting 0 …"""
CONVERGED = 0.01
"""… and the last to work is the first whose excess over the limit is below this share of it."""


@dataclass(frozen=True)
class PaperModel:
    """A model, the prompts it was trained on, and what rows compute about it, each once."""

    name: str
    model: SequenceModel
    task: Task
    settings: Settings

    @property
    def about(self) -> str:
        """The model, its layers and its dimension: "gpt2-d5 (8 layers, d = 5)"."""
        return f"{self.name} ({self.model.n_layers} layers, d = {self.task.n_dims})"

    @property
    def at_scale(self) -> bool:
        """Whether it has the paper's dimension."""
        return self.task.n_dims == PAPER_DIMS

    @cached_property
    def layers(self) -> LayerPredictions:
        """Predictions of all layers, by read-outs fitted on other prompts, as in the paper's code.

        Layer L is read after the final LayerNorm. Ridge strengths are chosen on a third stream of
        prompts, a quarter as long as the first.
        """
        n_scored, seed = self.settings.n_scored, 3 * self.settings.seed
        readout = fit_layer_readouts(self.model, self.task, n_prompts=2 * n_scored, seed=seed)
        return predict_by_layer(self.model, self.task, readout, n_prompts=n_scored, seed=seed + 2)

    @cached_property
    def fitted(self) -> Prefixes:
        """Some of the prompts that the read-outs were fitted on."""
        [few] = self.task.stream(
            N_ITERATE_PROMPTS, seed=3 * self.settings.seed, batch_size=N_ITERATE_PROMPTS
        )
        return Prefixes(few.xs, few.ys)

    @property
    def eta(self) -> float:
        """GD's step size on its prompts, see `official_eta`."""
        return official_eta(self.layers.prefixes)

    @cached_property
    def best_predictions(self) -> Float[Tensor, "prompt point"]:
        """Of the best predictor known for the task."""
        return baseline_predictions(self.task, self.layers.prefixes.xs, self.layers.ys)

    @cached_property
    def working_layers(self) -> tuple[int, int] | None:
        """See `working_layers`; the last layer's error is the limit."""
        errors = self.layers.errors.mean((1, 2))
        zero = self.layers.ys.square().mean().item() / self.task.n_dims
        return working_layers(errors, zero, errors[-1].item())

    def match(self, reference: Reference, grid: StepGrid, *, matched: bool = False) -> LayerMatches:
        """SimE of every layer with every step of a reference, from the first point on.

        With `matched` every iterate has an affine read-out of y of its own, as the layers have;
        otherwise it is taken as it is, as in the paper.
        """
        fitted = self.fitted if matched else None
        return match_official(self.layers.layers, self.layers.prefixes, reference, grid, fitted)


def match_official(
    predictions: Float[Tensor, "predictor prompt point"],
    prefixes: Prefixes,
    reference: Reference,
    grid: StepGrid,
    fitted: Prefixes | None = None,
) -> LayerMatches:
    """`match_steps` as in the official code, residual vectors from the first point on."""
    return match_steps(
        predictions,
        prefixes,
        reference,
        grid,
        n_groups=N_GROUPS,
        matched_on=fitted,
        convention="official",
    )


def working_layers(
    errors: Float[Tensor, " layer"], zero: float, limit: float
) -> tuple[int, int] | None:
    """First and last layer that bring the error down from that of predicting 0 to its limit.

    Args:
        errors: Error of each layer, the embedding first.
        zero: Error of predicting 0.
        limit: What errors converge to: that of the best predictor known, or of the last layer.

    Returns:
        None where no layer works, as with random weights.
    """
    has_started = (errors < STARTED * zero).nonzero()
    if not len(has_started):
        return None
    first = int(has_started[0])
    has_converged = (errors - limit <= CONVERGED * (zero - limit)).nonzero()
    return first, int(has_converged[0]) if len(has_converged) else len(errors) - 1


@dataclass
class PaperModels:
    """The models of a reproduction by role."""

    given: dict[str, PaperModel]
    """What the user gave; shipped ones join them."""
    n_dims: int = SMALL_DIMS
    settings: Settings = field(default_factory=Settings)

    @classmethod
    def of(cls, checkpoints: Sequence[str], settings: Settings | None = None) -> PaperModels:
        """Opens checkpoints and finds the roles that suit them.

        Args:
            checkpoints: Names from the zoo, files or run directories; none for what ships.
            settings: How much is computed.

        Raises:
            CheckpointError: One cannot be opened.
            ValueError: Two suit the same role, or differ in their n_dims.
        """
        settings = settings or Settings()
        given: dict[str, PaperModel] = {}
        for name in checkpoints:
            found = _open(name, settings)
            for role in roles_of(found.model, found.task):
                if role in given:
                    raise ValueError(
                        f"{given[role].name} and {name} both are a {ROLES[role].name}; give one"
                    )
                given[role] = found
        sizes = {found.task.n_dims for found in given.values()}
        if len(sizes) > 1:
            raise ValueError(
                f"checkpoints must have one n_dims, got {', '.join(map(str, sorted(sizes)))}"
            )
        return cls(given, sizes.pop() if sizes else SMALL_DIMS, settings)

    @property
    def at_scale(self) -> bool:
        """Whether the models have the paper's dimension."""
        return self.n_dims == PAPER_DIMS

    def find(self, role: str) -> PaperModel | None:
        """The model in a role: given, or shipped at this n_dims."""
        if role not in self.given:
            name = ROLES[role].recipe(self.n_dims)
            if name is None or name not in names():
                return None
            opened = {found.name: found for found in self.given.values()}
            found = opened.get(name) or _open(name, self.settings)
            if found.task.n_dims != self.n_dims:
                return None
            self.given[role] = found
        return self.given[role]

    def lacks(self, role: str) -> str:
        """One sentence on how to fill a role."""
        return how_to_get(role, self.n_dims)

    def among(self, roles: Sequence[str]) -> PaperModels:
        """Those in some roles alone, as far as they are there."""
        found = {role: model for role in roles if (model := self.find(role)) is not None}
        return replace(self, given=found)


def roles_of(model: SequenceModel, task: Task) -> tuple[str, ...]:
    """The roles that a model's architecture and training task suit."""
    if isinstance(task, TwoLayerNetwork):
        return (f"{task.activation}-network",)
    if isinstance(task, LinearRegression) and task.condition_number > 1:
        return ("ill-conditioned",)
    if isinstance(task, LinearRegression) and task.noise_std > 0:
        return ("noisy",)
    if isinstance(model, LSTM):
        return ("lstm",)
    if isinstance(model, GPT2) and model.config.n_heads == 1:
        width = f"width-{model.config.d_model}"
        one_head = ("one-head",) if model.config.d_model >= NARROW else ()
        return one_head + ((width,) if width in ROLES else ())
    return ("deep",) if model.n_layers >= DEEP else ("transformer",)


def _open(name: str, settings: Settings) -> PaperModel:
    """A checkpoint with its training task; isotropic linear regression where it does not say."""
    model = load(name)
    if model.provenance.get("task") is None:
        task = LinearRegression(model.config.n_dims, model.config.n_points)
        return PaperModel(name, model, task, settings)
    return PaperModel(name, *model_and_task(model, None), settings)
