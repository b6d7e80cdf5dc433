"""The rows of the reproduction: which figure, what the paper says of it, which models it needs.

A new row is one entry here and the function that it names. Nothing slow is imported.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure of the paper, or several that show the same thing."""

    key: str
    """Name on the command line."""
    label: str
    """As the paper counts it."""
    title: str
    says: str
    """What the paper reports."""
    function: str
    """`module:function`, which takes a `Cast` and gives a `Finding`."""
    figures: tuple[int, ...] = ()
    """Numbers of the paper's figures, each of which names this row as well."""
    needs: tuple[str, ...] = ()
    """Roles of the trained models that it is about, see `interp.paper.roles`."""
    is_published: bool = True
    """Whether the paper shows it; otherwise it is set beside what the paper shows."""

    @property
    def command(self) -> str:
        return f"interp reproduce {self.key}"


ROWS: tuple[Row, ...] = (
    Row(
        "fig2",
        "Fig. 2",
        "Error against layer and against steps",
        "The transformer's error falls superlinearly from layer 3 to 8, like Newton's and unlike "
        "GD's, for every number of examples.",
        "interp.paper.errors:errors_by_layer",
        (2,),
        ("transformer",),
    ),
    Row(
        "fig3",
        "Fig. 3, 8",
        "Similarity of errors with Newton and GD",
        "Layers match Newton's steps linearly, about 3 a layer from layer 3 to 9, up to step 21; "
        "GD's exponentially.",
        "interp.paper.heatmaps:newton_and_gd",
        (3, 8),
        ("transformer",),
    ),
    Row(
        "fig4",
        "Fig. 4, 15–18",
        "Ill-conditioned prompts",
        "With kappa = 100 the last layer still matches about 21 Newton steps, while GD needs about "
        "2,000 to 3,000.",
        "interp.paper.ill_conditioned:ill_conditioned",
        (4, 15, 16, 17, 18),
        ("ill-conditioned",),
    ),
    Row(
        "fig5",
        "Fig. 5, A.6",
        "Forgetting",
        "Asked again about an example seen g examples ago, the transformer still knows it, as "
        "Newton does; the LSTM forgets, as online GD does.",
        "interp.paper.forgetting:forgetting",
        (5,),
        ("transformer", "lstm"),
    ),
    Row(
        "fig6",
        "Fig. 6",
        "Width of the residual stream",
        "With 1 head at d = 20, widths from 32 on reach OLS; 8 and 16 do not.",
        "interp.paper.widths:widths",
        (6,),
        ("width-8", "width-16", "width-32", "width-64"),
    ),
    Row(
        "fig7",
        "Fig. 7",
        "Error against layer: transformer and LSTM",
        "The transformer's error falls from layer to layer; the LSTM's does not.",
        "interp.paper.errors:transformer_and_lstm",
        (7,),
        ("transformer", "lstm"),
    ),
    Row(
        "fig9",
        "Fig. 9, 13, 14",
        "Similarity of induced weights with Newton and GD",
        "Seen through their induced weights, layers match Newton linearly and GD exponentially "
        "too; the last layer's SimW with Newton is .974.",
        "interp.paper.induced:induced_weights",
        (9, 13, 14),
        ("transformer",),
    ),
    Row(
        "fig10",
        "Fig. 10",
        "GD on a logarithmic axis of steps",
        "On steps 1, 2, 4, …, 4,096 the match with GD is linear: GD is exponentially slower.",
        "interp.paper.heatmaps:gd_log_axis",
        (10,),
        ("transformer",),
    ),
    Row(
        "fig11",
        "Fig. 11, 12",
        "BFGS, L-BFGS and conjugate gradients",
        "Layers match BFGS linearly; L-BFGS and CG are slower.",
        "interp.paper.quasi_newton:quasi_newton",
        (11, 12),
        ("transformer",),
    ),
    Row(
        "fig19",
        "Fig. 19",
        "Noisy prompts",
        "With noise of sigma = 0.1 convergence is superlinear and the match with Newton linear.",
        "interp.paper.conditions:noise",
        (19,),
        ("noisy",),
    ),
    Row(
        "fig20",
        "Fig. 20",
        "ReLU networks",
        "On two-layer ReLU networks convergence is superlinear too; similarity to GD is lower than "
        "on linear tasks.",
        "interp.paper.networks:relu_networks",
        (20,),
        ("relu-network", "transformer"),
    ),
    Row(
        "fig21",
        "Fig. 21",
        "Tanh networks",
        "On two-layer Tanh networks convergence is superlinear too; similarity to GD is lower than "
        "on linear tasks.",
        "interp.paper.networks:tanh_networks",
        (21,),
        ("tanh-network", "transformer"),
    ),
    Row(
        "fig22",
        "Fig. 22–25",
        "One head, and twice the depth",
        "With 1 head, and with 24 layers, layers match Newton linearly and GD exponentially too.",
        "interp.paper.conditions:heads_and_depth",
        (22, 23, 24, 25),
        ("one-head", "deep"),
    ),
    Row(
        "fig26",
        "Fig. 26",
        "One algorithm against another",
        "Steps to reach an error eps: GD O(kappa log 1/eps), CG O(sqrt(kappa) log 1/eps), Newton "
        "O(log kappa + log log 1/eps): GD needs exponentially more steps than Newton.",
        "interp.paper.algorithm_pairs:algorithm_pairs",
        (26,),
    ),
    Row(
        "fig27",
        "Fig. 27",
        "Induced weights and the span of the examples",
        "Induced weights lie in the span of the examples.",
        "interp.paper.induced:span",
        (27,),
        ("transformer",),
    ),
    Row(
        "table1",
        "Table 1",
        "Transformer and LSTM against Newton, GD and online GD",
        "SimE of transformer / LSTM: Newton .991 / .920, GD .957 / .916, OGD .806 / .954.",
        "interp.paper.table_1:table_1",
        needs=("transformer", "lstm"),
    ),
    Row(
        "zero",
        "beside Fig. 8, Table 1",
        "What a predictor that always says 0 scores",
        "The floor under the published similarities: the first steps of Newton and GD hardly move "
        "from 0, so that a predictor which always says 0 is like them.",
        "interp.paper.zero:zero",
        is_published=False,
    ),
)


class UnknownFigureError(ValueError):
    """No row of that name; the message lists what there is."""


def find_rows(names: Sequence[str]) -> tuple[Row, ...]:
    """The rows that these names stand for, in the paper's order; all of them for no names.

    A row goes by its key and by each of its figures: "fig8", "8", "Fig. 8", "table 1".

    Raises:
        UnknownFigureError: A name stands for none.
    """
    if not names:
        return ROWS
    chosen = {_find(name).key for name in names}
    return tuple(row for row in ROWS if row.key in chosen)


def _find(name: str) -> Row:
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    plain = re.sub(r"^(?:figure|fig)?0*(\d+)$", r"fig\1", plain)
    names = _names()
    if plain not in names:
        close = difflib.get_close_matches(plain, names, n=1)
        hint = f" (closest: {close[0]})" if close else ""
        known = ", ".join(row.key for row in ROWS)
        raise UnknownFigureError(
            f"{name}: no such figure{hint}; there are 2 to 27, and by row {known}"
        )
    return names[plain]


def _names() -> dict[str, Row]:
    names = {f"fig{number}": row for row in ROWS for number in row.figures}
    return names | {row.key: row for row in ROWS}
