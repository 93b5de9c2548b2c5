"""Random specs, typed: every one drawn is valid, bounded and free of NaN.

A value is drawn *for a level*: from names of that level or coarser, and from reductions of finer
values, so assignments always fit. Magnitudes stay near one (`tanh`, `abs(x) + 1` below a bar), and
comparisons are made only on what all targets hold exactly (grad, t), so a difference between two
targets is a mistake of one of them, not of the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

LEVELS = ("global", "group", "tensor", "rows", "cols", "chunks(7)", "tiles(2, 3)", "element")
_BELOW = {
    "global": {"global"},
    "group": {"global", "group"},
    "tensor": {"global", "group", "tensor"},
    "rows": {"global", "group", "tensor", "rows"},
    "cols": {"global", "group", "tensor", "cols"},
    "chunks(7)": {"global", "group", "tensor", "chunks(7)"},
    "tiles(2, 3)": {"global", "group", "tensor", "tiles(2, 3)"},
    "element": set(LEVELS),
}
_UNARY = (
    "tanh({})", "abs({})", "-({})", "sqrt(abs({}))", "sigmoid({})", "({})^2", "exp(-abs({}))",
    "log(1 + abs({}))", "floor(3 * grad) * ({})", "clamp({}, -1, 1)", "softplus({})",
)  # fmt: skip
_BINARY = (
    "({} + {})", "({} - {})", "({} * {})", "({} / (abs({}) + 1))", "max({}, {})", "min({}, {})",
    "lerp({}, {}, 1 - beta)", "atan2({}, abs({}) + 1)",
)  # fmt: skip
_REDUCTIONS = (
    "mean({}, per {})", "norm(tanh({}), per {})", "max(abs({}), per {})", "rms({}, per {})",
    "sum(tanh({}), per {}) / 8", "min({}, per {})",
)  # fmt: skip
_HOST = ("0.5", "2", "beta", "t", "1 / t", "beta^t", "1 - beta^t", "sqrt(numel)", "rows / numel")


@dataclass
class _Names:
    """What may be read, by level."""

    known: dict[str, str] = field(default_factory=lambda: {"param": "element", "grad": "element"})
    local: int = 0


@st.composite
def values(draw: st.DrawFn, names: _Names, level: str, depth: int = 3) -> str:
    """An expression whose level is `level` or coarser."""
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        allowed = [n for n, at in names.known.items() if at in _BELOW[level]]
        pool = [
            *allowed,
            *allowed,
            draw(st.sampled_from(_HOST if level not in ("global", "group") else _HOST[:7])),
        ]
        return draw(st.sampled_from(pool))
    kind = draw(st.integers(0, 9))
    if kind <= 2:
        form = draw(st.sampled_from([u for u in _UNARY if level == "element" or "grad" not in u]))
        return form.format(draw(values(names, level, depth - 1)))
    if kind <= 6:
        a, b = draw(values(names, level, depth - 1)), draw(values(names, level, depth - 1))
        return draw(st.sampled_from(_BINARY)).format(a, b)
    if kind == 7 and level == "element":
        a, b = draw(values(names, level, depth - 1)), draw(values(names, level, depth - 1))
        return f"where(grad > 0.25, {a}, {b})"
    target = draw(st.sampled_from([at for at in LEVELS if at in _BELOW[level]] or [level]))
    if target == "element":
        return draw(values(names, level, depth - 1))
    inner = f"grad * ({draw(values(names, 'element', min(depth - 1, 1)))})"
    return draw(st.sampled_from(_REDUCTIONS)).format(inner, target)


@st.composite
def _statements(draw: st.DrawFn, names: _Names, states: dict[str, str], count: int) -> list[str]:
    lines: list[str] = []
    for _ in range(count):
        if states and draw(st.booleans()):
            name = draw(st.sampled_from(sorted(states)))
            value = draw(values(names, states[name], 2))
            lines.append(f"{name} = lerp({name}, tanh({value}), 0.3)")
        else:
            level = draw(st.sampled_from(LEVELS))
            value = draw(values(names, level, 2))
            name = f"x{names.local}"
            names.local += 1
            lines.append(f"{name} = {value} + 0 * {'grad' if level == 'element' else 'beta'}")
            names.known[name] = level
    return lines


@st.composite
def specs(draw: st.DrawFn) -> str:
    """The text of one optimizer `Random`."""
    names = _Names()
    states = {f"s{k}": draw(st.sampled_from(LEVELS)) for k in range(draw(st.integers(0, 3)))}
    lines = [
        "optimizer Random:",
        "    hyper lr = 1e-2 in [0, inf)",
        "    hyper beta = 0.75 in [0, 1)",
        "    hyper weight_decay = 0.1 in [0, inf)",
    ]
    for name, level in states.items():
        shape = "like param" if level == "element" else f"per {level}"
        start = draw(st.sampled_from(["", " = 0.5"] + ([" = param"] if level == "element" else [])))
        lines.append(f"    state {name}: {shape}{start}")
    names.known |= states
    if draw(st.integers(0, 3)) == 0:
        lines += ["    grad:", f"        grad = {draw(values(names, 'element', 1))} + grad"]
    lines.append("    update:")
    lines += [
        f"        {line}" for line in draw(_statements(names, states, draw(st.integers(0, 3))))
    ]
    if states and draw(st.integers(0, 3)) == 0:
        name = draw(st.sampled_from(sorted(states)))
        tests = ["t % 2 == 0", "first"]  # what several tensors share all of them must assign
        if states[name] not in ("global", "group"):
            tests += ["ndim == 2", "numel > 40"]
        test = draw(st.sampled_from(tests))
        if test == "first":
            lines += ["        first:", f"            {name} = 0.25"]
        else:
            value = draw(values(names, states[name], 1))
            lines += [f"        when {test}:", f"            {name} = tanh({value})"]
    lines += [f"        {name} = 0.9 * {name}" for name in states]
    direction = draw(values(names, "element", 3))
    lines.append(f"        direction = beta * tanh({direction}) + grad")
    if draw(st.booleans()):
        lines += ["    decay:", "        param *= 1 - lr * weight_decay"]
    else:
        lines += ["    param:", "        param -= lr * weight_decay * param"]
    if states and draw(st.integers(0, 3)) == 0:
        name = draw(st.sampled_from(sorted(states)))
        lines += ["    after:", f"        {name} = {name} * 0.5 + beta * 0.1"]
    return "\n".join(lines) + "\n"
