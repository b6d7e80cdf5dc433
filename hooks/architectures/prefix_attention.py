"""Full attention within each prefix, with rectified or plain scores in place of a softmax."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from hooks.architectures.prefix_segments import PrefixSegments

# Tensors keep prompts last: a prefix has so few tokens that arithmetic along prompts is several
# times as fast as a batched matrix product for each of them. Hooks see the usual order.


def mix_coordinates(
    weight: Float[Tensor, "d_out d_in"], values: Float[Tensor, "d_in token prompt"]
) -> Float[Tensor, "d_out token prompt"]:
    """Applies a matrix to the coordinates of every token, as one matrix product.

    The weight is made contiguous: BLAS multiplies a transposed one several times as slowly here.
    """
    flat = weight.contiguous() @ rearrange(values, "d_in token prompt -> d_in (token prompt)")
    return rearrange(flat, "d_out (token prompt) -> d_out token prompt", prompt=values.shape[2])


def call_hook(
    hook: HookPoint, values: Float[Tensor, "d token prompt"]
) -> Float[Tensor, "d token prompt"]:
    """Passes values through a hook, which sees [prompt, token, d]."""
    seen = hook(rearrange(values, "d token prompt -> prompt token d"))
    return rearrange(seen, "prompt token d -> d token prompt")


def call_head_hook(
    hook: HookPoint, values: Float[Tensor, "head d token prompt"]
) -> Float[Tensor, "head d token prompt"]:
    """Passes values of every head through a hook, which sees [prompt, token, head, d]."""
    seen = hook(rearrange(values, "head d token prompt -> prompt token head d"))
    return rearrange(seen, "prompt token head d -> head d token prompt")


class AttentionHooks(nn.Module):
    """Hook points of one use of an attention layer."""

    def __init__(self) -> None:
        super().__init__()
        self.hook_q = HookPoint()
        self.hook_k = HookPoint()
        self.hook_v = HookPoint()
        self.hook_attn_scores = HookPoint()
        self.hook_pattern = HookPoint()
        self.hook_z = HookPoint()

    def pattern_is_wanted(self) -> bool:
        hooks = (self.hook_attn_scores, self.hook_pattern)
        return any(hook.fwd_hooks or hook.bwd_hooks for hook in hooks)


class PrefixAttention(nn.Module):
    """Weights of an attention layer: out = (1/n) sum_j f(<q_i, k_j>) v_j over a prefix's tokens.

    f is the positive part (Fu et al. 2024, Theorem 5.1) or the identity (von Oswald et al. 2023),
    n a constant: the number of points that the model was built for, whatever the prefix. There is
    no mask and there are no biases.
    """

    def __init__(
        self,
        d_model: int,
        *,
        n_heads: int,
        d_head: int,
        d_value: int,
        n_points: int,
        rectified: bool,
    ) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.n_points = n_points
        self.rectified = rectified
        zeros = torch.zeros
        self.W_Q = nn.Parameter(zeros(n_heads, d_model, d_head, dtype=torch.float64))
        self.W_K = nn.Parameter(zeros(n_heads, d_model, d_head, dtype=torch.float64))
        self.W_V = nn.Parameter(zeros(n_heads, d_model, d_value, dtype=torch.float64))
        self.W_O = nn.Parameter(zeros(n_heads, d_value, d_model, dtype=torch.float64))

    def forward(
        self,
        resid: Float[Tensor, "d_model token prompt"],
        segments: PrefixSegments,
        hooks: AttentionHooks | None = None,
    ) -> Float[Tensor, "d_model token prompt"]:
        """What the layer adds to the residual stream."""
        q, k, v = (_project(resid, weight) for weight in (self.W_Q, self.W_K, self.W_V))
        if hooks is None:
            return self._write(self._attend(q, k, v, segments))
        q, k, v = (
            call_head_hook(hook, part)
            for hook, part in zip(
                (hooks.hook_q, hooks.hook_k, hooks.hook_v), (q, k, v), strict=True
            )
        )
        if hooks.pattern_is_wanted():
            z = self._attend_with_pattern(q, k, v, segments, hooks)
        else:
            z = self._attend(q, k, v, segments)
        return self._write(call_head_hook(hooks.hook_z, z))

    def writes_what_it_attends_by(self) -> bool:
        """Whether some head's output changes queries or keys, so that repeating it changes them."""
        written = rearrange(self.W_O, "head d_value d_model -> (head d_value) d_model")
        for read in (self.W_Q, self.W_K):
            overlap = einsum(
                written, read, "value d_model, head d_model d_head -> head value d_head"
            )
            scale = written.norm() * read.norm()
            if overlap.abs().max() > 8 * torch.finfo(overlap.dtype).eps * scale:
                return True
        return False

    def repeat(
        self,
        resid: Float[Tensor, "d_model token prompt"],
        segments: PrefixSegments,
        n_times: int,
    ) -> Float[Tensor, "d_model token prompt"]:
        """What applying the layer `n_times`, each time on top of the last, adds to the stream.

        Only for layers that do not write what they attend by: their pattern is computed once, and
        between the repetitions only the values are followed.
        """
        q, k, v = (_project(resid, weight) for weight in (self.W_Q, self.W_K, self.W_V))
        pattern = [self._pattern(q[:, :, part], k[:, :, part]) for part in segments.slices]
        value_of_output = einsum(
            self.W_O, self.W_V, "head d model, to model d_to -> to d_to head d"
        )
        total = torch.zeros_like(v)
        for _ in range(n_times):
            z = _mix(pattern, v, segments)
            total = total + z
            v = v + einsum(
                value_of_output, z, "to d_to head d, head d token prompt -> to d_to token prompt"
            )
        return self._write(total)

    def _attend(
        self,
        q: Float[Tensor, "head d_head token prompt"],
        k: Float[Tensor, "head d_head token prompt"],
        v: Float[Tensor, "head d_value token prompt"],
        segments: PrefixSegments,
    ) -> Float[Tensor, "head d_value token prompt"]:
        pattern = (self._pattern(q[:, :, part], k[:, :, part]) for part in segments.slices)
        return _mix(pattern, v, segments)

    def _pattern(
        self,
        q: Float[Tensor, "head d_head query prompt"],
        k: Float[Tensor, "head d_head key prompt"],
    ) -> Float[Tensor, "head query key prompt"]:
        scores = q[:, 0, :, None] * k[:, 0, None]
        for d in range(1, q.shape[1]):
            scores = scores.addcmul_(q[:, d, :, None], k[:, d, None])
        scores = scores.div_(self.n_points)
        return scores.relu_() if self.rectified else scores

    def _attend_with_pattern(
        self,
        q: Float[Tensor, "head d_head token prompt"],
        k: Float[Tensor, "head d_head token prompt"],
        v: Float[Tensor, "head d_value token prompt"],
        segments: PrefixSegments,
        hooks: AttentionHooks,
    ) -> Float[Tensor, "head d_value token prompt"]:
        scores = einsum(q, k, "head d query prompt, head d key prompt -> prompt head query key")
        same_prefix = torch.zeros_like(scores[0, 0])
        for part in segments.slices:
            same_prefix[part, part] = 1
        scores = hooks.hook_attn_scores(scores * self._visible(same_prefix))
        pattern = hooks.hook_pattern(self._pattern_of(scores, q, k, segments))
        return einsum(pattern, v, "prompt head query key, head d key prompt -> head d query prompt")

    def _visible(self, same_prefix: Float[Tensor, "query key"]) -> Float[Tensor, "query key"]:
        """1 where a query sees a key, of 1 where both are of one prefix."""
        return same_prefix

    def _pattern_of(
        self,
        scores: Float[Tensor, "prompt head query key"],
        q: Float[Tensor, "head d_head token prompt"],
        k: Float[Tensor, "head d_head token prompt"],
        segments: PrefixSegments,
    ) -> Float[Tensor, "prompt head query key"]:
        """The pattern of scores that a hook may have changed, of all prefixes at once."""
        scores = scores / self.n_points
        return scores.relu() if self.rectified else scores

    def _write(
        self, z: Float[Tensor, "head d_value token prompt"]
    ) -> Float[Tensor, "d_model token prompt"]:
        return mix_coordinates(
            rearrange(self.W_O, "head d d_model -> d_model (head d)"),
            rearrange(z, "head d token prompt -> (head d) token prompt"),
        )


def _project(
    resid: Float[Tensor, "d_model token prompt"], weight: Float[Tensor, "head d_model d"]
) -> Float[Tensor, "head d token prompt"]:
    flat = mix_coordinates(rearrange(weight, "head d_model d -> (head d) d_model"), resid)
    return rearrange(flat, "(head d) token prompt -> head d token prompt", head=len(weight))


def _mix(
    pattern: Iterable[Tensor],
    v: Float[Tensor, "head d_value token prompt"],
    segments: PrefixSegments,
) -> Float[Tensor, "head d_value token prompt"]:
    """Adds up values by each segment's pattern, [head, query, key, prompt]."""
    mixed = []
    for weights, part in zip(pattern, segments.slices, strict=True):
        values = v[:, :, part]
        z = weights[:, None, :, 0] * values[:, :, :1]
        for key in range(1, values.shape[2]):
            z = z.addcmul_(weights[:, None, :, key], values[:, :, key, None])
        mixed.append(z)
    return torch.cat(mixed, dim=2)
