"""The lines that each kernel and call of the four benchmark models comes from, read off the source.

A row is what some launches of a training step compute, the lines that write it, and the models that
have such a launch, on a CPU and on a GPU: R reverse, V vit, M minigpt, G gpt2; a small letter where
only the model with all its blocks has it, not one of two. What a backward pass computes of a
forward line names both that line and `loss.backward()`; so does what both compute, which is done
once. A line whose tensor is computed again inside of a kernel is one of its lines.
"""

from __future__ import annotations

from dataclasses import dataclass

EMBED = "h = self.tok(x) + self.pos.weight[: x.shape[1]]"
TILES = "tiles = x.view(batch, c.channels, side, c.patch, side, c.patch).permute(0, 2, 4, 3, 5, 1)"
PATCH = "patches = self.patch(tiles.reshape(batch, side * side, c.channels * c.patch**2))"
CAT = "h = ot.cat([self.cls.expand(batch, -1, -1), patches], 1) + self.pos"
NORM1 = "x = x + self.attended(self.n1(x))"
QKV = "split = self.qkv(x).view(batch, length, 3, self.heads, dim // self.heads)"
HEADS = "return split.permute(2, 0, 3, 1, 4)"
UNBIND = "q, k, v = self.split(x)"
ATTEND = "a = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)"
PROJ = "return self.proj(a.transpose(1, 2).flatten(2))"
NORM2 = "return x + self.perceptron(self.n2(x))"
GELU = 'return self.out(F.gelu(self.fc(x), approximate="tanh"))'
HEAD = "return self.head(self.norm(self.blocks(h)))"
MEAN = "return self.head(self.norm(self.blocks(h))[:, : c.summaries].mean(1))"
TOKENS = "return F.cross_entropy(self.logits(x).flatten(0, 1), y.flatten())"
LABELS = "return F.cross_entropy(self.logits(x), y)"
BACKWARD = "loss.backward()"
UPDATE = "optimizer.step()"


@dataclass(frozen=True)
class Row:
    """Launches of kernels called `name_N`, or calls of `name`."""

    computes: str
    name: str
    lines: tuple[str, ...]
    cpu: str
    cuda: str


# NORM1 and NORM2 both write a norm and, around it, the sum of a branch and what it branched from.
ROWS = [
    # Forward. The mean and deviation of a norm are what backward needs of it, too.
    Row("pixels in the order of patches", "copy", (TILES, PATCH), "V", "V"),
    Row("the product with the patch weights", "matmul", (PATCH,), "V", "V"),
    Row("embeddings, and the first norm of them",
        "sum_div_rsqrt", (EMBED, NORM1, BACKWARD), "RMG", "RMG"),
    Row("the patch bias, summaries and patches end to end, and the first norm of them",
        "sum_div_rsqrt", (PATCH, CAT, NORM1, BACKWARD), "V", "V"),
    Row("the product that q, k and v are cut from", "matmul", (QKV,), "RVMG", "RVMG"),
    Row("its bias", "add", (QKV,), "RVMG", "RVMG"),
    Row("attention", "attention", (ATTEND,), "RVMG", "RVMG"),
    Row("the product after attention", "matmul", (PROJ,), "RVMG", "RVMG"),
    Row("the bias after attention, the sum with what came in, the norm of that",
        "sum_div_rsqrt", (PROJ, NORM1, NORM2, BACKWARD), "RVMG", "RVMG"),
    Row("the same in the first block, where embeddings are looked up again",
        "sum_div_rsqrt", (EMBED, PROJ, NORM1, NORM2, BACKWARD), "RM", "RM"),
    Row("the same in the first block, where patches are put together again",
        "sum_div_rsqrt", (PATCH, CAT, PROJ, NORM1, NORM2, BACKWARD), "V", "V"),
    Row("both products of the perceptron", "matmul", (GELU,), "RVMG", "RVMG"),
    Row("the bias between them, gelu, and the slope of gelu for backward",
        "add_gelu_sigmoid", (GELU, BACKWARD), "RVMG", "RVMG"),
    Row("the perceptron's last bias, the sum with what came in, the next block's first norm",
        "sum_div_rsqrt", (GELU, NORM2, NORM1, BACKWARD), "VmG", "vmG"),
    Row("the same, where all of the first block's sums are computed again from embeddings",
        "sum_div_rsqrt", (EMBED, PROJ, NORM1, GELU, NORM2, BACKWARD), "RM", "RM"),
    Row("the same, from patches",
        "sum_div_rsqrt", (PATCH, CAT, PROJ, NORM1, GELU, NORM2, BACKWARD), "", "V"),
    Row("the perceptron's last bias, the sum with what came in, the last norm",
        "sum_div_rsqrt", (GELU, NORM2, HEAD, BACKWARD), "RMG", "RMG"),
    Row("the same; of the norm only what the mean over summaries does not wait for",
        "sum_div_rsqrt", (GELU, NORM2, MEAN, BACKWARD), "V", ""),
    Row("the same; the squares for the deviation are summed in a kernel of their own",
        "add_sum_div", (GELU, NORM2, MEAN, BACKWARD), "", "V"),
    Row("the norm from these sums, and the mean over summaries",
        "div_rsqrt_sum", (GELU, NORM2, MEAN, BACKWARD), "", "V"),
    Row("the mean over summaries", "mul_sum_div", (MEAN,), "V", ""),
    Row("scores of tokens", "matmul", (HEAD,), "RMG", "RMG"),
    Row("scores of classes", "matmul", (MEAN,), "V", "V"),
    Row("how many targets count, and the gradient of the mean over them",
        "ne_sum_div", (TOKENS, BACKWARD), "RMG", "RMG"),
    Row("how many labels count, and the gradient of the mean over them",
        "ne_sum_div", (LABELS, BACKWARD), "V", "V"),
    Row("the loss of each token and the gradient of its scores",
        "amax_sum_div", (TOKENS, BACKWARD), "RMG", "RMG"),
    Row("the same of images, the bias of the scores before it and its gradient after it",
        "amax_sum_div", (MEAN, LABELS, BACKWARD), "V", "V"),
    Row("the mean of losses", "sum_div", (TOKENS,), "RMG", "RMG"),
    Row("the mean of losses", "sum_div", (LABELS,), "V", "V"),
    # Backward. The gradient of a sum goes to the bias that was added before it as it is.
    Row("gradients of a product's operands", "matmul", (HEAD, BACKWARD), "RMG", "RMG"),
    Row("gradients of a product's operands", "matmul", (MEAN, BACKWARD), "V", "V"),
    Row("gradients of a product's operands", "matmul", (GELU, BACKWARD), "RVMG", "RVMG"),
    Row("gradients of a product's operands", "matmul", (PROJ, BACKWARD), "RVMG", "RVMG"),
    Row("gradients of a product's operands", "matmul", (QKV, BACKWARD), "RVMG", "RVMG"),
    Row("the gradient of the patch weights", "matmul", (PATCH, BACKWARD), "V", "V"),
    Row("the gradient of the mean over summaries", "div", (MEAN, BACKWARD), "V", ""),
    Row("the gradient of the last norm, first sums for its weights and the perceptron's last bias",
        "mul_sum_div", (HEAD, BACKWARD, GELU), "RMG", "RMG"),
    Row("the same after zeros for all that is no summary",
        "pad_sum_div", (MEAN, BACKWARD, GELU), "V", ""),
    Row("the same, where what the norm was of is computed again",
        "div_rsqrt_sum", (MEAN, BACKWARD, GELU, NORM2), "", "V"),
    Row("the gradient of gelu, and first sums for the bias before it",
        "mul_sum", (GELU, BACKWARD), "RVMG", "RVMG"),
    Row("the gradient of the second norm, first sums for its weights and the bias before it",
        "div_sub_sum", (NORM2, BACKWARD, PROJ), "RVMG", "RVMG"),
    Row("the same, where the norm's values were stored",
        "mul_sum_div", (NORM2, BACKWARD, PROJ), "M", "VM"),
    Row("the same in the first block, where embeddings are looked up again",
        "add_div_sum", (EMBED, PROJ, NORM1, NORM2, BACKWARD), "R", "R"),
    Row("the gradient of attention", "attention_backward", (ATTEND, BACKWARD), "RVMG", ""),
    Row("the gradient of attention, those of q, k and v beside each other",
        "attention_backward_stacked", (ATTEND, UNBIND, BACKWARD), "", "RVMG"),
    Row("gradients of q, k and v beside each other, and first sums for their bias",
        "select_scatter_add_sum", (UNBIND, HEADS, QKV, BACKWARD), "RVMG", ""),
    Row("first sums for the bias of q, k and v", "sum", (HEADS, QKV, BACKWARD), "", "G"),
    Row("the same for both blocks", "sum_batch", (HEADS, QKV, BACKWARD), "", "RM"),
    Row("the same, and those for positions", "sum_batch", (CAT, HEADS, QKV, BACKWARD), "", "V"),
    Row("the gradient of the first norm, first sums for its weights and the bias before it",
        "div_sub_sum", (NORM1, BACKWARD, GELU), "RVMG", "RVMG"),
    Row("the same in the first block, where no bias is before it",
        "div_sub_sum", (NORM1, BACKWARD), "G", "G"),
    Row("the same, where embeddings are looked up again",
        "add_div_sum", (EMBED, NORM1, BACKWARD), "RM", "RM"),
    Row("the same, where patches are put together again",
        "add_div_sum", (PATCH, CAT, NORM1, BACKWARD), "V", "V"),
    Row("the gradient of token embeddings",
        "index_select_backward", (EMBED, BACKWARD), "RMG", "RMG"),
    Row("first sums for summaries or positions", "sum", (CAT, BACKWARD), "V", ""),
    Row("first sums for the bias of patches", "sum", (CAT, PATCH, BACKWARD), "V", "V"),
    # Updates. On a CPU the last sum of a gradient is done where the parameter is updated.
    Row("the step count", "add", (UPDATE,), "RVMG", "RVMG"),
    Row("parameters whose gradients are there", "adamw_step", (UPDATE,), "RVMG", "VG"),
    Row("positions", "sum_adamw_step", (EMBED, BACKWARD, UPDATE), "RMG", ""),
    Row("summaries and positions", "sum_adamw_step", (CAT, BACKWARD, UPDATE), "V", ""),
    Row("the bias of patches", "sum_adamw_step", (PATCH, BACKWARD, UPDATE), "V", ""),
    Row("weights of first norms", "sum_adamw_step", (NORM1, BACKWARD, UPDATE), "RVMG", ""),
    Row("the bias of q, k and v", "sum_adamw_step", (QKV, BACKWARD, UPDATE), "RVMG", ""),
    Row("the bias after attention", "sum_adamw_step", (PROJ, BACKWARD, UPDATE), "RVMG", ""),
    Row("weights of second norms", "sum_adamw_step", (NORM2, BACKWARD, UPDATE), "RVMG", ""),
    Row("both biases of perceptrons", "sum_adamw_step", (GELU, BACKWARD, UPDATE), "RVMG", ""),
    Row("weights of the last norm", "sum_adamw_step", (HEAD, BACKWARD, UPDATE), "RMG", ""),
    Row("weights of the last norm, the bias of the scores",
        "sum_adamw_step", (MEAN, BACKWARD, UPDATE), "V", ""),
    # An op names at most eight lines: those of the embeddings or patches would come after these.
    Row("last sums for all biases and weights of norms, and for positions",
        "sum_batch", (HEAD, GELU, NORM2, PROJ, QKV, NORM1, EMBED, BACKWARD), "", "RMG"),
    Row("the same, for summaries too",
        "sum_batch", (MEAN, GELU, NORM2, PROJ, QKV, NORM1, CAT, BACKWARD), "", "V"),
    Row("many parameters in a launch", "adamw_step_batch", (UPDATE,), "", "RVMG"),
]  # fmt: skip


def expected(models: str, on_cpu: bool) -> set[tuple[str, frozenset[str]]]:
    """Name and lines of what is launched and called by a model, in the column of one of these
    letters."""
    rows = [row for row in ROWS if set(models) & set(row.cpu if on_cpu else row.cuda)]
    return {(row.name, frozenset(row.lines)) for row in rows}
