"""The libraries whose optimizers stand beside ours: where each rule is found, and with which
arguments.

rivals("Lion", ["optimi", "lion-pytorch"])   ->   two contestants, if both are installed
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from .contestants import Contestant


@dataclass(frozen=True, slots=True)
class Library:
    """One way to use a library. `rules`: our name for a rule -> theirs; `hypers` go to all of them.
    `compiles`: its first step takes long, and every other list of shapes another one."""

    module: str
    rules: Mapping[str, str]
    hypers: Mapping[str, Any] = field(default_factory=dict[str, Any])
    compiles: bool = False


def _same(names: str, **others: str) -> dict[str, str]:
    return {name: name for name in names.split()} | others


_FUSED = _same("Adam AdamW SGD Adagrad", AMSGrad="Adam")
_TORCH = _same("Adam AdamW SGD Adagrad RMSprop NAdam RAdam ASGD Rprop", AdaMax="Adamax",
               AMSGrad="Adam", AdaDelta="Adadelta", AdaFactor="Adafactor")  # fmt: skip

# "LIBRARY" or "LIBRARY.VARIANT"; a library's plain name is its best variant for the rule.
LIBRARIES: dict[str, Library] = {
    "torch.fused": Library("torch.optim", _FUSED, {"fused": True}),
    "torch.foreach": Library("torch.optim", _TORCH, {"foreach": True}),
    "torch.for-loop": Library("torch.optim", _TORCH, {"foreach": False}),
    "torch.compiled": Library("torch.optim", _TORCH, {"foreach": True}, compiles=True),
    "torch": Library("torch.optim", _TORCH | {"MuonMatrix": "Muon"}),
    "bitsandbytes": Library(
        "bitsandbytes.optim",
        _same("AdamW Adam Lion Adagrad RMSprop LARS LAMB AdEMAMix AdamW8bit Adam8bit Lion8bit "
              "SGD8bit RMSprop8bit Adagrad8bit LAMB8bit LARS8bit AdEMAMix8bit"),
    ),
    "torchao": Library(
        "torchao.optim",
        _same("AdamW8bit AdamW4bit Adam8bit Adam4bit", AdamW="_AdamW", AdamWFp8="AdamWFp8"),
        compiles=True,
    ),
    "heavyball": Library(
        "heavyball",
        _same("AdamW ADOPT AdEMAMix LaProp NAdam RMSprop SGD AdamC Muon SOAP"),
        {"consume_grad": False},
        compiles=True,
    ),
    "pytorch_optimizer": Library(
        "pytorch_optimizer",
        _same("ADOPT Adam AdamW AdaMax AdamP AdaFactor AdaBelief AdaBound AdaNorm Adan "
              "AdEMAMix AdamC AdamS AggMo Amos DiffGrad EXAdam FAdam Fromage Gravity Kate LARS "
              "LaProp Lion MARS MADGRAD NAdam NovoGrad PNM Prodigy QHAdam QHM RAdam RMSprop "
              "Ranger Ranger21 SGD SGDP SignSGD StableAdamW SWATS Tiger Yogi", LAMB="Lamb"),
    ),
    "optimi": Library("optimi", _same("Adam AdamW Adan Lion RAdam Ranger SGD StableAdamW")),
    "flashoptim": Library(
        "flashoptim",
        _same("FlashAdamW FlashLion FlashSGD", AdamW8bit="FlashAdamW", Lion8bit="FlashLion"),
    ),
    "lion-pytorch": Library("lion_pytorch", _same("Lion")),
    "schedulefree": Library(
        "schedulefree",
        {"ScheduleFreeAdamW": "AdamWScheduleFree", "AdamW": "AdamWScheduleFree",
         "ScheduleFreeSGD": "SGDScheduleFree"},
    ),
}  # fmt: skip

# What single rules need to be the rule, or to accept any list.
_HYPERS: dict[tuple[str, str], dict[str, Any]] = {
    ("torch.optim", "AMSGrad"): {"amsgrad": True},
    ("pytorch_optimizer", "Ranger21"): {"num_iterations": 1000},
    ("bitsandbytes.optim", "LARS"): {"momentum": 0.9},
    ("bitsandbytes.optim", "LARS8bit"): {"momentum": 0.9},
    ("bitsandbytes.optim", "SGD8bit"): {"momentum": 0.9},
}


def rivals(rule: str, against: Sequence[str]) -> list[Contestant]:
    """The installed peers of a rule (`AdamW + Cautious` has AdamW's), in the order of `against`;
    ValueError for a library that the table lacks."""
    base = rule.split("+")[0].split("(")[0].strip()
    found: dict[Contestant, None] = {}
    for key in against:
        for name in _named(key):
            library = LIBRARIES[name]
            if base in library.rules and is_installed(library):
                found[Contestant(*_split(name), base)] = None
                if key != "all":
                    break  # the best variant is enough
    return list(found)


def _named(key: str) -> list[str]:
    """The libraries and variants that a word of `--against` means, the best first."""
    if key == "all":
        return list(LIBRARIES)
    if key == "torch":
        return ["torch.fused", "torch"]
    if key not in LIBRARIES:
        raise ValueError(f"no library `{key}`; there are {', '.join(LIBRARIES)}, all and none")
    return [key]


def _split(name: str) -> tuple[str, str]:
    library, _, variant = name.partition(".")
    return library, variant


def is_installed(library: Library) -> bool:
    """Whether its package is found; it is not loaded."""
    return find_spec(library.module.split(".")[0]) is not None


def arguments(contestant: Contestant) -> tuple[Library, str, dict[str, Any]]:
    """Where a peer's class is: its library, its name there, and the arguments it takes."""
    key = ".".join(filter(None, (contestant.library, contestant.variant)))
    if contestant.variant == "graph":
        key = "torch.fused"
    library = LIBRARIES[key]
    extra = _HYPERS.get((library.module, contestant.rule), {})
    return library, library.rules[contestant.rule], {"lr": 1e-3, **library.hypers, **extra}
