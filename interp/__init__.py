"""Which algorithm does a trained sequence model run in its forward pass, and how fast?

`import interp` is enough in a notebook: every name below is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp.lazy import lazy_names
from interp.results.accessors import register_accessor, register_method

if TYPE_CHECKING:
    from hooks.checkpoints import CheckpointError as CheckpointError
    from hooks.checkpoints import save_checkpoint as save_checkpoint
    from hooks.model import SequenceModel as SequenceModel
    from hooks.sites import Site as Site
    from interp import plots as plots
    from interp import tasks as tasks
    from interp import training as training
    from interp import zoo as zoo
    from interp.analyses.ablation import ablate as ablate
    from interp.analyses.anatomy import anatomy as anatomy
    from interp.analyses.compare import compare as compare
    from interp.analyses.comparison_result import ModelComparison as ModelComparison
    from interp.analyses.comparison_result import open_comparison as open_comparison
    from interp.analyses.condition_sweep import ConditionSweep as ConditionSweep
    from interp.analyses.condition_sweep import open_conditions as open_conditions
    from interp.analyses.heads import read_heads as read_heads
    from interp.analyses.induced_weights import compare_induced_weights as compare_induced_weights
    from interp.analyses.influence import influence as influence
    from interp.analyses.interchange import interchange as interchange
    from interp.analyses.layer_order import reorder_layers as reorder_layers
    from interp.analyses.match import match as match
    from interp.analyses.match_settings import MatchSettings as MatchSettings
    from interp.analyses.patterns import attention_patterns as attention_patterns
    from interp.analyses.robustness import conditions as conditions
    from interp.analyses.separation import separate as separate
    from interp.analyses.steering import steer as steer
    from interp.progress import silent as silent
    from interp.results.anatomy import Anatomy as Anatomy
    from interp.results.anatomy import open_anatomy as open_anatomy
    from interp.results.result import MatchResult as MatchResult
    from interp.results.result import open_result as open_result
    from interp.study.emergence import emerge as emerge
    from interp.training.recipe import Recipe as Recipe
    from interp.training.train import train as train
    from interp.zoo.loading import load as load

__version__ = "0.1.0"

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Anatomy": "interp.results.anatomy",
        "CheckpointError": "hooks.checkpoints",
        "ConditionSweep": "interp.analyses.condition_sweep",
        "MatchResult": "interp.results.result",
        "MatchSettings": "interp.analyses.match_settings",
        "ModelComparison": "interp.analyses.comparison_result",
        "Recipe": "interp.training.recipe",
        "SequenceModel": "hooks.model",
        "Site": "hooks.sites",
        "ablate": "interp.analyses.ablation",
        "anatomy": "interp.analyses.anatomy",
        "attention_patterns": "interp.analyses.patterns",
        "compare": "interp.analyses.compare",
        "compare_induced_weights": "interp.analyses.induced_weights",
        "conditions": "interp.analyses.robustness",
        "emerge": "interp.study.emergence",
        "influence": "interp.analyses.influence",
        "interchange": "interp.analyses.interchange",
        "load": "interp.zoo.loading",
        "match": "interp.analyses.match",
        "open_anatomy": "interp.results.anatomy",
        "open_comparison": "interp.analyses.comparison_result",
        "open_conditions": "interp.analyses.condition_sweep",
        "open_result": "interp.results.result",
        "plots": "interp.plots",
        "read_heads": "interp.analyses.heads",
        "reorder_layers": "interp.analyses.layer_order",
        "save_checkpoint": "hooks.checkpoints",
        "separate": "interp.analyses.separation",
        "silent": "interp.progress",
        "steer": "interp.analyses.steering",
        "tasks": "interp.tasks",
        "train": "interp.training.train",
        "training": "interp.training",
        "zoo": "interp.zoo",
    },
)

register_accessor("Anatomy", "text", "interp.report.anatomy_text:text")
register_accessor("MatchResult", "plot", "interp.plots.accessor:PlotAccessor")
register_method("MatchResult", "_repr_html_", "interp.report.match:verdict_html")
register_method("MatchResult", "summary", "interp.report.verdict_text:summary")
register_accessor("MatchResult", "text", "interp.report.verdict_text:text")
register_method("MatchResult", "write_report", "interp.report.match:write_report")
register_method("MatchVerdict", "_repr_html_", "interp.report.match:card_of_verdict")
register_accessor("MatchVerdict", "text", "interp.report.match:text_of_verdict")
register_method("ModelComparison", "_repr_html_", "interp.report.compare:card")
register_accessor("ModelComparison", "text", "interp.report.compare:headline")
register_method("ModelComparison", "write_report", "interp.report.compare:write_report")
register_method("ModelComparison", "describe", "interp.report.compare:describe")
register_accessor("ModelComparison", "tables", "interp.report.compare_tables:comparison_tables")
register_method("ConditionSweep", "_repr_html_", "interp.report.robustness:card")
register_accessor("ConditionSweep", "text", "interp.report.robustness:text")
register_method("ConditionSweep", "write_report", "interp.report.robustness:write_report")
for _picture in (
    *("controls", "curve", "direct", "error", "halves", "heads"),
    *("heatmap", "patterns", "points", "sites", "weights"),
):  # deprecated, see `interp.plots.accessor`
    register_method("MatchResult", f"plot_{_picture}", f"interp.plots.accessor:plot_{_picture}")
