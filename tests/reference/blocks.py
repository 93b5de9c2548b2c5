"""Rules with a structure inside the tensor: Adam-mini's blocks, Muon's matrices, 8-bit states.

Written from the equations and code maps of the catalogue (5.1, 2.1, 0.1 to 0.4 and 1.1).
"""

from __future__ import annotations

import math

import torch

from .driver import Hypers, OneTensor
from .elementwise import average

_HEADS = ("k_proj", "q_proj", "wq", "wk", "query", "key")
_ROWS = (
    *("embed", "embd", "wte", "lm_head", "output", "final_layer", "v_proj", "wv", "value"),
    *("feed_forward", "linear", "mlp", "o_proj", "wo", "attn.proj"),
)
_NOT_HIDDEN = ("embed", "embd", "wte", "wpe", "lm_head", "head", "classifier")


def adam_mini(tensor: OneTensor, hypers: Hypers) -> None:
    p, g, s, t = tensor.value, tensor.grad, tensor.state, tensor.calls
    beta1, beta2 = hypers["betas"]
    lr, name = hypers["lr"], tensor.name.lower()
    if not any(word in name for word in ("norm", "ln", "bias")):
        p.mul_(1 - lr * hypers["weight_decay"])
    if "bias" in name:
        blocks = g.reshape(-1, 1)
    elif any(word in name for word in _HEADS):
        blocks = g.reshape(hypers["num_heads"], -1)
    elif any(word in name for word in _ROWS):
        blocks = g.reshape(g.shape[0], -1)
    else:
        blocks = g.reshape(1, -1)
    s["m"] = average(s.get("m"), g, beta1)
    s["v"] = average(s.get("v"), (blocks**2).mean(dim=1, keepdim=True), beta2)
    d = torch.sqrt(s["v"]) / math.sqrt(1 - beta2**t) + hypers["eps"]
    step = (s["m"].reshape(blocks.shape) / (1 - beta1**t)) / d
    p.sub_(lr * step.reshape(p.shape))


def polar(matrix: torch.Tensor, steps: int) -> torch.Tensor:
    """The quintic Newton-Schulz iteration, in the orientation with fewer rows than columns."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (torch.sqrt((x * x).sum()) + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


def muon(tensor: OneTensor, hypers: Hypers) -> None:
    """Matrices by Newton-Schulz; the rest, embeddings and the head by AdamW.

    `initial_lr` is what a schedule started from, if there is one: AdamW's rate moves in
    proportion.
    """
    aside = any(word in tensor.name.lower() for word in _NOT_HIDDEN)
    if tensor.value.ndim < 2 or aside:
        start = hypers["initial_lr"]
        scale = 1.0 if start is None else hypers["lr"] / start
        adamw(
            tensor,
            {
                "lr": hypers["adamw_lr"] * scale,
                "betas": hypers["adamw_betas"],
                "eps": hypers["adamw_eps"],
                "weight_decay": hypers["adamw_weight_decay"],
            },
        )
        return
    muon_matrix(tensor, hypers)


def muon_matrix(tensor: OneTensor, hypers: Hypers) -> None:
    p, g, s, mu = tensor.value, tensor.grad, tensor.state, hypers["momentum"]
    s["m"] = average(s.get("m"), g, mu)
    u = (1 - mu) * g + mu * s["m"] if hypers["nesterov"] else s["m"]
    flat = u.reshape(u.shape[0], -1)
    o = polar(flat, hypers["ns_steps"]) * math.sqrt(max(1.0, flat.shape[0] / flat.shape[1]))
    p.mul_(1 - hypers["lr"] * hypers["weight_decay"])
    p.sub_(hypers["lr"] * o.reshape(p.shape))


def adamw(tensor: OneTensor, hypers: Hypers) -> None:
    p, g, s, t = tensor.value, tensor.grad, tensor.state, tensor.calls
    beta1, beta2 = hypers["betas"]
    s["m"] = average(s.get("m"), g, beta1)
    s["v"] = average(s.get("v"), g * g, beta2)
    p.mul_(1 - hypers["lr"] * hypers["weight_decay"])
    d = torch.sqrt(s["v"] / (1 - beta2**t)) + hypers["eps"]
    p.sub_(hypers["lr"] * (s["m"] / (1 - beta1**t)) / d)


def dynamic_map(signed: bool, decades: int = 7) -> torch.Tensor:
    """The dynamic-exponent map, of 8 bits with seven decades and of 4 bits with three: ascending
    float32 values."""
    values = [0.0, 1.0]
    for i in range(decades):
        cells = 2**i if signed else 2 ** (i + 1)
        width = 0.9 / cells
        for k in range(cells):
            x = 10.0 ** (i + 1 - decades) * (0.1 + width * (k + 0.5))
            values += [x, -x] if signed else [x]
    return torch.tensor(sorted(values), dtype=torch.float64).to(torch.float32)


def through_map(x: torch.Tensor, table: torch.Tensor, block: int) -> torch.Tensor:
    """What x reads back as: nearest code (the lower on a tie) of x over its block's maximum."""
    table = table.to(torch.float64)
    pieces: list[torch.Tensor] = []
    for piece in x.reshape(-1).split(block):
        scale = piece.abs().max().to(torch.float32).to(torch.float64)
        if scale == 0:
            pieces.append(torch.zeros_like(piece))
            continue
        distance = (piece[:, None] / scale - table[None, :]).abs()
        pieces.append(table[distance.argmin(dim=1)] * scale)
    return torch.cat(pieces).reshape(x.shape)


def through_dynamic8(x: torch.Tensor, signed: bool) -> torch.Tensor:
    """8 bits in blocks of 256."""
    return through_map(x, dynamic_map(signed), 256)


def adamw_8bit(tensor: OneTensor, hypers: Hypers) -> None:
    adamw(tensor, hypers)
    if tensor.value.numel() >= 4096:
        tensor.state["m"] = through_dynamic8(tensor.state["m"], signed=True)
        tensor.state["v"] = through_dynamic8(tensor.state["v"], signed=False)


def lion_8bit(tensor: OneTensor, hypers: Hypers) -> None:
    p, g, lr, s = tensor.value, tensor.grad, hypers["lr"], tensor.state
    beta1, beta2 = hypers["betas"]
    u = torch.sign(average(s.get("m"), g, beta1))
    p.mul_(1 - lr * hypers["weight_decay"]).sub_(lr * u)
    s["m"] = average(s.get("m"), g, beta2)
    if p.numel() >= 4096:
        s["m"] = through_dynamic8(s["m"], signed=True)


def factor_4bit(tensor: OneTensor, hypers: Hypers) -> None:
    """4-bit Factor (low-bit 1.8): m in dynamic codes; of a matrix v is the product of the averages
    of its rows and columns over the mean of the former, of a vector it takes the values k / 16."""
    p, g, lr, s, t = tensor.value, tensor.grad, hypers["lr"], tensor.state, tensor.calls
    beta1, beta2 = hypers["betas"]
    s["m"] = average(s.get("m"), g, beta1)
    square = g * g
    if p.dim() > 1:
        matrix = square.reshape(p.shape[0], -1)
        s["r"] = average(s.get("r"), matrix.mean(dim=1), beta2)
        s["c"] = average(s.get("c"), matrix.mean(dim=0), beta2)
        second = torch.outer(s["r"] / s["r"].mean(), s["c"]).reshape(p.shape)
    else:
        second = s["v"] = average(s.get("v"), square, beta2)
    step = s["m"] / (1 - beta1**t) / (torch.sqrt(second / (1 - beta2**t)) + hypers["eps"])
    p.mul_(1 - lr * hypers["weight_decay"]).sub_(lr * step)
    if p.numel() >= 4096:
        s["m"] = through_map(s["m"], dynamic_map(signed=True, decades=3), 128)
        if "v" in s:
            s["v"] = through_map(s["v"], torch.arange(1, 17) / 16, 128)
