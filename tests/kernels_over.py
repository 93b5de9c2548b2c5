"""Kernels of which some figure exceeds its budget (compiler/budget.py), why, and by how much.

    OVER["why"]["kernel"]["registers"]   the figure where it is furthest from its budget

`test_kernels.py` refuses a kernel that is not here, goes further, or does so no longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def far(figure: str, values: Sequence[Any]) -> float:
    """The value furthest from the budget; of accesses, the narrowest width."""
    if figure in ("loads", "stores"):
        return min(int(width) for counts in values for width in counts)
    return min(values) if figure == "flight" else max(values)


OVER: dict[str, dict[str, dict[str, float]]] = {
    "Codes of a state: much arithmetic for few bytes, with many numbers at once.": {
        "adagrad8bit_3": {"registers": 70, "instructions": 54.2},
        "adagrad8bit_4": {"registers": 72, "instructions": 67.2},
        "adam8bit_2": {"registers": 108, "instructions": 121.8},
        "adamw4bit_2": {"registers": 78, "instructions": 86.2, "loads": 2, "stores": 2},
        "adamw8bit_2": {"registers": 104, "instructions": 120.8},
        "adamwfp8_2": {"registers": 118, "instructions": 96.2},
        "ademamix8bit_2": {"registers": 168, "instructions": 172.5},
        "cautious_adamw8bit_3": {"instructions": 85.2, "special": 4.0},
        "cautious_adamw8bit_4": {"registers": 128, "instructions": 122.5},
        "factor4bit_6": {
            "shared": 1024,
            "barriers": 6,
            "registers": 128,
            "instructions": 244.8,
            "special": 11.2,
            "loads": 2,
            "stores": 2,
        },
        "factor4bit_7": {"registers": 78, "instructions": 86.2, "loads": 2, "stores": 2},
        "flash_adamw_1": {"registers": 95, "instructions": 106.5, "special": 11.5},
        "flash_adamw_2": {"registers": 80, "instructions": 84.0, "special": 9.5},
        "flash_lion_1": {"registers": 69, "instructions": 71.2},
        "flash_lion_2": {"instructions": 50.2},
        "flashsgd_1": {"registers": 71, "instructions": 67.2},
        "flashsgd_3": {"registers": 70, "instructions": 70.5},
        "flashsgd_4": {"instructions": 47.0},
        "lamb8bit_10": {"registers": 106, "instructions": 122.2},
        "lamb8bit_5": {"instructions": 88.2},
        "lamb8bit_6": {"registers": 105, "instructions": 123.2},
        "lamb8bit_9": {"instructions": 87.5},
        "lars8bit_10": {"registers": 72, "instructions": 62.8},
        "lars8bit_5": {"registers": 80, "instructions": 68.5},
        "lars8bit_6": {"registers": 78, "instructions": 65.8},
        "lars8bit_9": {"registers": 72, "instructions": 65.0},
        "lion8bit_2": {"registers": 88, "instructions": 73.0},
        "rmsprop8bit_5": {"registers": 70},
        "rmsprop8bit_6": {"registers": 80, "instructions": 117.5},
        "rmsprop8bit_7": {"registers": 72, "instructions": 68.8},
        "sgd8bit_2": {"registers": 80, "instructions": 65.8},
        "sgd8bit_4": {"registers": 72, "instructions": 66.0},
    },
    "Columns: the masked loop of the last ones is counted too; addresses by element.": {
        "adafactor_11": {"bytes": 22.0, "instructions": 75.5, "loads": 2, "special": 2.5},
        "adafactor_2": {"bytes": 22.0, "instructions": 75.5, "loads": 2, "special": 2.5},
        "adafactor_5": {"bytes": 22.0, "instructions": 75.5, "loads": 2, "special": 2.5},
        "adafactor_8": {"bytes": 22.0, "instructions": 75.5, "loads": 2, "special": 2.5},
        "coupled_adam_1": {"bytes": 48.0, "loads": 2, "stores": 2, "instructions": 65.1},
        "factor4bit_2": {
            "registers": 128,
            "bytes": 53.0,
            "loads": 2,
            "stores": 2,
            "instructions": 169.5,
        },
        "factor4bit_5": {"bytes": 8.0, "loads": 2, "flight": 18720, "instructions": 18.8},
    },
    "The row and column of every element take integer divisions.": {
        "adafactor_12": {"instructions": 95.5},
        "adafactor_3": {"instructions": 96.8},
        "adafactor_6": {"instructions": 96.5},
        "adafactor_9": {"instructions": 95.5},
        "adamp_2": {"instructions": 92.5},
        "adamp_5": {"instructions": 87.5},
        "ranger21_11": {"instructions": 65.5},
        "ranger21_4": {"registers": 80, "instructions": 136.8},
        "ranger21_6": {"registers": 80, "instructions": 136.8},
        "ranger21_8": {"instructions": 65.5},
        "sgdp_2": {"instructions": 76.0},
        "sgdp_5": {"instructions": 74.2},
        "sgdp_8": {"instructions": 76.2},
    },
    "What the spec says takes more arithmetic than its bytes take time.": {
        "classp_3": {"instructions": 95.5},
        "fadam_5": {"instructions": 63.0},
        "lionk_4": {"instructions": 42.0},
        "spike_clip_adamw_2": {"instructions": 18.5},
        "stablespam_2": {"instructions": 18.5},
    },
    "Few bytes are read, in 16 bits, so that little is in flight on some device.": {
        "factor4bit_1": {"flight": 21840},
        "factor4bit_4": {"flight": 21840},
        "fadam_1": {"flight": 21840},
        "fadam_4": {"flight": 21840},
        "global_norm_clip_adamw_1": {"flight": 21840},
        "lamb8bit_1": {"flight": 21840},
        "lamb8bit_4": {"flight": 21840},
        "lamb_1": {"flight": 21840},
        "sgdp_7": {"flight": 18720},
        "spike_clip_adamw_1": {"flight": 21840},
        "stablespam_1": {"flight": 21840},
    },
    "ptxas unrolls the loops further than it should.": {
        "sgdp_1": {"registers": 70},
        "sgdp_4": {"registers": 80},
    },
    "Eight streams, each with its addresses, and five flags.": {"adamcm_2": {"registers": 92}},
    "Six to nine streams, each with its addresses, and twenty numbers.": {
        "ranger21_12": {"registers": 80},
        "ranger21_13": {"registers": 80},
        "ranger21_14": {"registers": 80},
        "ranger21_2": {"registers": 80},
        "ranger21_5": {"registers": 80},
        "ranger21_9": {"registers": 80},
    },
    "One program adds up two numbers of every tensor; nothing else runs beside it.": {
        "ranger21_finish_2": {"registers": 72},
        "ranger21_finish_6": {"registers": 72},
    },
    "Streams of 1 and 4 bytes: Triton lays them out anew through shared memory.": {
        "flashsgd_5": {"shared": 4096, "barriers": 4}
    },
}
