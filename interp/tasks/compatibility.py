"""Does a task fit a model?"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from hooks.foreign import own_model
from hooks.model import SequenceModel
from hooks.wiring import check_wiring
from interp.points import points_to_read
from interp.tasks import Task, build_task
from interp.zoo.loading import moved

N_WIRING_PROMPTS = 4


def model_and_task(
    model: object,
    task: Task | None,
    points: Sequence[int] | str | None = None,
    *,
    device: str | None = None,
    every_point: bool = False,
) -> tuple[SequenceModel, Task]:
    """The model, out of its wrappers, and the task given, or that of the training, which fits it.

    A model whose wiring was not checked is checked on a few prompts, unless hooks are on it: an
    intervention may mix prompts or points on purpose. Only `points` are read (`interp.points`).
    With `device` it is moved there (`interp.zoo.loading.torch_device`). With `every_point` a model
    that cannot be read at the first ones is refused.

    Raises:
        TypeError: It is no model; for a module, the message says how to attach to it.
        ValueError: The model does not say what it was trained on, or cannot take the prompts.
        WiringError: A prediction or an activation changes with its own answer or with later pairs.
    """
    model = moved(own_model(model), device)
    task = task or task_of(model)
    check_fit(model, task)
    if every_point and model.first_point:
        raise ValueError(
            f"{model.name} can be read from point {model.first_point} on only, and this analysis "
            "reads every point; interp.match, compare, anatomy and influence do not"
        )
    has_hooks = any(point._forward_hooks for point in model.hook_dict.values())
    if not model.is_wiring_checked and not has_hooks:
        prompts = task.sample(N_WIRING_PROMPTS, torch.Generator().manual_seed(0))
        read = points_to_read(points, task.n_points, model.first_point)
        check_wiring(model, prompts[:2], read)
        model.is_wiring_checked = True
    return model, task


def task_of(model: SequenceModel) -> Task:
    """The task a model was trained on.

    Raises:
        ValueError: Its provenance does not say, or names a task that is none of ours.
    """
    description = model.provenance.get("task")
    if description is None:
        if foreign := model.provenance.get("foreign_task"):
            raise ValueError(
                f"the model was trained on {foreign}, which is none of the tasks here; give one "
                "as `task`"
            )
        raise ValueError(
            "the model does not say what task it was trained on; give one as `task`, on the "
            "command line --task FILE, a TOML file with a table named task"
        )
    return build_task(description)


def check_fit(model: SequenceModel, task: Task) -> None:
    """Raises a `ValueError` where a model cannot take a task's prompts."""
    config = model.config
    if task.n_dims != config.n_dims:
        raise ValueError(
            f"task has n_dims = {task.n_dims}, the model was built for {config.n_dims}"
        )
    if task.n_points > config.n_points and not model.takes_longer_prompts:
        raise ValueError(
            f"task has n_points = {task.n_points}, the model takes at most {config.n_points}"
        )
    if task.n_points < 2:
        raise ValueError("task must have n_points of at least 2: one pair to learn from")
