"""Tests of the contract whose premise does not hold for a rule, and two that are open: why.

They still run, and are shown as expected failures (`pytest -rx`).
"""

from __future__ import annotations

_SPHERE = "the projection onto the sphere rounds the weights at rate 0 as well"
_FLOOR = "the rate never falls below least_lr"
_ROWS = "a row's norm or mean spreads what is not finite over its row"
_OPEN = "not looked into yet"

EXCEPTIONS = {
    "test_groups_have_their_own_rates[SWATS]": "its switch is one for all, and wants one rate",
    "test_groups_have_their_own_rates[AdamHyper]": _SPHERE,
    "test_groups_have_their_own_rates[SphereProjectionAdamW]": _SPHERE,
    "test_groups_have_their_own_rates[Ranger21]": _FLOOR,
    "test_the_loss_falls[False-AdmetaS]": "its gains want a smaller rate than this problem has",
    "test_the_loss_falls[True-AdmetaS]": "its gains want a smaller rate than this problem has",
    "test_zero_gradients_and_no_decay_do_not_move[AdamHyper]": _SPHERE,
    "test_zero_gradients_and_no_decay_do_not_move[SphereProjectionAdamW]": _SPHERE,
    "test_zero_gradients_and_no_decay_do_not_move[NormLossSGD]": "rows are drawn to length 1",
    "test_the_loss_rises_under_maximize[AdamHyper]": "a weight of one element stays on its sphere",
    "test_schedulers_change_the_rate[False-AdamHyper]": _SPHERE,
    "test_schedulers_change_the_rate[True-AdamHyper]": _SPHERE,
    "test_schedulers_change_the_rate[False-SphereProjectionAdamW]": _SPHERE,
    "test_schedulers_change_the_rate[True-SphereProjectionAdamW]": _SPHERE,
    "test_schedulers_change_the_rate[False-ElasticAnchorSGD]": "the pull does not follow the rate",
    "test_schedulers_change_the_rate[True-ElasticAnchorSGD]": "the pull does not follow the rate",
    "test_schedulers_change_the_rate[False-Ranger21]": _FLOOR,
    "test_schedulers_change_the_rate[True-Ranger21]": _FLOOR,
    "test_empty_and_tiny_tensors[shape5-AdamHyper]": "one element on its sphere cannot move",
    "test_empty_and_tiny_tensors[shape5-SphereProjectionAdamW]": "one element cannot move",
    "test_empty_and_tiny_tensors[shape3-FAdam]": _OPEN,
    "test_empty_and_tiny_tensors[shape4-FAdam]": _OPEN,
    "test_empty_and_tiny_tensors[shape5-FAdam]": _OPEN,
    "test_a_bad_gradient_harms_no_more_than_it_must[nan-CLASSP]": "its gate is shut for NaN",
    "test_a_bad_gradient_harms_no_more_than_it_must[nan-AdaptiveGradientClippingSGD]": _ROWS,
    "test_a_bad_gradient_harms_no_more_than_it_must[inf-AdaptiveGradientClippingSGD]": _ROWS,
    "test_a_bad_gradient_harms_no_more_than_it_must[nan-GradientCentralizationSGD]": _ROWS,
    "test_a_bad_gradient_harms_no_more_than_it_must[inf-GradientCentralizationSGD]": _ROWS,
    "test_bench_gpu_runs_from_a_checkout_that_is_not_installed": _OPEN,
    **{
        f"test_optimizers_agree_with_their_torch_form[{name}]": "up to 2e-4: the projection cancels"
        for name in ("Ranger21", "SphereProjectionAdamW", "AdamHyper")
    },
}
