"""Which model plays which part: what the user gave, else what ships."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hooks.architectures.gpt2 import GPT2
from hooks.architectures.lstm import LSTM
from hooks.model import SequenceModel
from interp.paper.layer_predictions import LayerPredictions, predict_by_layer
from interp.paper.roles import ROLES, how_to_get
from interp.paper.settings import Settings
from interp.tasks import LinearRegression, Task, TwoLayerNetwork
from interp.tasks.compatibility import check_fit, task_of
from interp.zoo.catalogue import names
from interp.zoo.loading import load

SMALL_DIMS = 5
"""Dimension of the checkpoints that ship."""
NARROW = 64
"""With 1 head, a model narrower than this is one of Fig. 6."""
DEEP = 16
"""Layers from which on a model is one of Fig. 24 and 25."""


@dataclass(frozen=True)
class Member:
    """A model and the prompts it was trained on."""

    name: str
    model: SequenceModel
    task: Task


@dataclass
class Cast:
    """The models of a reproduction, opened and read once each."""

    members: dict[str, Member]
    """By role: what the user gave."""
    n_dims: int = SMALL_DIMS
    settings: Settings = field(default_factory=Settings)
    remembered: dict[str, Any] = field(default_factory=dict, repr=False)
    """What one row computed about a model and others need as well."""

    @classmethod
    def of(cls, checkpoints: Sequence[str], settings: Settings | None = None) -> Cast:
        """Opens checkpoints and finds the roles that they can play.

        Args:
            checkpoints: Names from the zoo, files or run directories; none for what ships.
            settings: How much is computed.

        Raises:
            CheckpointError: One cannot be opened.
            ValueError: Two play the same part, or differ in their n_dims.
        """
        members: dict[str, Member] = {}
        for name in checkpoints:
            model = load(name)
            member = Member(name, model, _task(model))
            for role in roles_of(member):
                if role in members:
                    raise ValueError(
                        f"{members[role].name} and {name} both are a {ROLES[role].name}; give one"
                    )
                members[role] = member
        sizes = {member.task.n_dims for member in members.values()}
        if len(sizes) > 1:
            raise ValueError(
                f"checkpoints must have one n_dims, got {', '.join(map(str, sorted(sizes)))}"
            )
        n_dims = sizes.pop() if sizes else SMALL_DIMS
        return cls(members, n_dims, settings or Settings())

    def find(self, role: str) -> Member | None:
        """The model in a role: given, or shipped at this n_dims."""
        if role not in self.members:
            name = ROLES[role].recipe(self.n_dims)
            if name is None or name not in names():
                return None
            model = load(name)
            member = Member(name, model, _task(model))
            if member.task.n_dims != self.n_dims:
                return None
            self.members[role] = member
        return self.members[role]

    def lacks(self, role: str) -> str:
        """One sentence on how to fill a role."""
        return how_to_get(role, self.n_dims)

    def layers(self, role: str) -> LayerPredictions | None:
        """The predictions of all layers of the model in a role, computed once a model."""
        member = self.find(role)
        if member is None:
            return None
        key = f"layers:{member.name}"
        if key not in self.remembered:
            self.remembered[key] = predict_by_layer(member.model, member.task, self.settings)
        predictions: LayerPredictions = self.remembered[key]
        return predictions


def roles_of(member: Member) -> tuple[str, ...]:
    """The parts that a model's architecture and training task suit."""
    model, task = member.model, member.task
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


def _task(model: SequenceModel) -> Task:
    """What a model was trained on; isotropic linear regression where it does not say."""
    if model.provenance.get("task") is None:
        return LinearRegression(n_dims=model.config.n_dims, n_points=model.config.n_points)
    task = task_of(model)
    check_fit(model, task)
    return task
