"""Reusable PyTorch Lightning callbacks built on pure functions, Hydra options that compose them, and a command.

Names are loaded on first use: importing this package imports neither torch nor lightning, so that a Hydra application
that only composes its configuration starts quickly.
"""

__version__ = "0.2.0"

# The convention is the registry: a public name and the module that defines it.
_HOMES = {
    "AdaptiveGradientClipping": "callbacks.adaptive_gradient_clipping",
    "AutoClip": "callbacks.auto_clip",
    "BatchAugment": "callbacks.batch_augment",
    "BatchSizeResult": "reports.batch_size_result",
    "CenterLoss": "modules.center_loss",
    "ConcatBackbones": "modules.concat_backbones",
    "Checklist": "reports.checklist",
    "Contracts": "doctor.facts.contracts",
    "CosineDecay": "callbacks.cosine_decay",
    "CosineWarmRestarts": "callbacks.cosine_warm_restarts",
    "CutMix": "callbacks.cut_mix",
    "DiscriminativeLR": "callbacks.discriminative_lr",
    "Doctor": "callbacks.doctor",
    "DropoutSchedule": "callbacks.dropout_schedule",
    "Duration": "core.durations",
    "EarlyStopping": "callbacks.early_stopping",
    "ExponentialDecay": "callbacks.exponential_decay",
    "FeatureDataset": "data.feature_dataset",
    "Finding": "doctor.rules.finding",
    "GradientCheck": "reports.gradient_check_result",
    "GradientClipping": "callbacks.gradient_clipping",
    "GradualUnfreezing": "callbacks.gradual_unfreezing",
    "InitializeWeights": "callbacks.initialize_weights",
    "InputNormalizer": "modules.input_normalizer",
    "InverseSqrtDecay": "callbacks.inverse_sqrt_decay",
    "InverseTimeDecay": "callbacks.inverse_time_decay",
    "LRFinder": "callbacks.lr_finder",
    "LRFinderResult": "reports.lr_finder_result",
    "LRPreview": "callbacks.lr_preview",
    "LRSchedule": "callbacks.lr_schedule",
    "LiveControl": "callbacks.live_control",
    "LockedDropout": "modules.locked_dropout",
    "LossBalancer": "modules.loss_balancer",
    "LossSuggestion": "functional.loss_suggestion",
    "Maxout": "modules.maxout",
    "MixUp": "callbacks.mix_up",
    "NoiseScale": "functional.noise_scale",
    "NoisyCopies": "data.synthetic_rows",
    "NormalizeInputs": "callbacks.normalize_inputs",
    "OneCycle": "callbacks.one_cycle",
    "PiecewiseConstant": "callbacks.piecewise_constant",
    "PlacementCheck": "callbacks.placement_check",
    "PolynomialDecay": "callbacks.polynomial_decay",
    "ReduceLROnPlateau": "callbacks.reduce_lr_on_plateau",
    "Report": "doctor.judging.report",
    "RunRecord": "reports.run_record",
    "RunReport": "callbacks.run_report",
    "Schedule": "functional.schedules",
    "TestGuard": "callbacks.test_guard",
    "WarmupStableDecay": "callbacks.warmup_stable_decay",
    "WeightPenalty": "callbacks.weight_penalty",
    "ZClip": "callbacks.z_clip",
    "adaptive_clip_": "functional.clipping",
    "assert_healthy": "doctor.judging.assert_healthy",
    "auto_tricks": "callbacks.auto_tricks",
    "binary_focal_loss": "functional.focal_losses",
    "cache_features": "data.cache_features",
    "class_weights": "data.sampling",
    "clip_by_norm_": "functional.clipping",
    "clip_by_value_": "functional.clipping",
    "contrastive_loss": "functional.losses",
    "coral_loss": "functional.losses",
    "cosine_decay": "functional.schedules",
    "cosine_warm_restarts": "functional.schedules",
    "diagnose": "doctor.judging.diagnose",
    "domain_weights": "data.domain_weights",
    "exponential_decay": "functional.schedules",
    "find_batch_size": "callbacks.find_batch_size",
    "find_lr": "callbacks.find_lr",
    "focal_loss": "functional.focal_losses",
    "gradient_check": "engine.gradcheck.gradient_check",
    "gradient_noise_scale": "engine.gradcheck.gradient_noise_scale",
    "hidden_width": "functional.sizing",
    "hidden_width_by_samples": "functional.sizing",
    "initialize_": "engine.initialization.initialize",
    "instantiate_callbacks": "hydra.instantiate",
    "inverse_sqrt_decay": "functional.schedules",
    "inverse_time_decay": "functional.schedules",
    "join": "functional.schedules",
    "linear_warmup": "functional.schedules",
    "one_cycle": "functional.schedules",
    "piecewise_constant": "functional.schedules",
    "polynomial_decay": "functional.schedules",
    "preview_lr": "callbacks.lr_preview",
    "product": "functional.schedules",
    "sample_like": "data.synthetic_rows",
    "set_dropout_": "functional.dropout_rates",
    "suggest_batch_sizes": "functional.sizing",
    "suggest_loss": "functional.loss_suggestion",
    "train_val_split": "data.splits",
    "warmup_stable_decay": "functional.schedules",
    "weight_penalty": "functional.penalties",
    "weighted_sampler": "data.sampling",
}
_ROOMS = (
    "callbacks",
    "cli",
    "conf",
    "core",
    "data",
    "doctor",
    "engine",
    "functional",
    "hydra",
    "modules",
    "reports",
    "sweeps",
)

__all__ = [*_HOMES]

# Type checkers treat any variable of this name as true; importing typing would double the import time of this file.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from lightning_tricks.callbacks.adaptive_gradient_clipping import (
        AdaptiveGradientClipping as AdaptiveGradientClipping,
    )
    from lightning_tricks.callbacks.auto_clip import AutoClip as AutoClip
    from lightning_tricks.callbacks.auto_tricks import auto_tricks as auto_tricks
    from lightning_tricks.callbacks.batch_augment import BatchAugment as BatchAugment
    from lightning_tricks.callbacks.cosine_decay import CosineDecay as CosineDecay
    from lightning_tricks.callbacks.cosine_warm_restarts import CosineWarmRestarts as CosineWarmRestarts
    from lightning_tricks.callbacks.cut_mix import CutMix as CutMix
    from lightning_tricks.callbacks.discriminative_lr import DiscriminativeLR as DiscriminativeLR
    from lightning_tricks.callbacks.doctor import Doctor as Doctor
    from lightning_tricks.callbacks.dropout_schedule import DropoutSchedule as DropoutSchedule
    from lightning_tricks.callbacks.early_stopping import EarlyStopping as EarlyStopping
    from lightning_tricks.callbacks.exponential_decay import ExponentialDecay as ExponentialDecay
    from lightning_tricks.callbacks.find_batch_size import find_batch_size as find_batch_size
    from lightning_tricks.callbacks.find_lr import find_lr as find_lr
    from lightning_tricks.callbacks.gradient_clipping import GradientClipping as GradientClipping
    from lightning_tricks.callbacks.gradual_unfreezing import GradualUnfreezing as GradualUnfreezing
    from lightning_tricks.callbacks.initialize_weights import InitializeWeights as InitializeWeights
    from lightning_tricks.callbacks.inverse_sqrt_decay import InverseSqrtDecay as InverseSqrtDecay
    from lightning_tricks.callbacks.inverse_time_decay import InverseTimeDecay as InverseTimeDecay
    from lightning_tricks.callbacks.live_control import LiveControl as LiveControl
    from lightning_tricks.callbacks.lr_finder import LRFinder as LRFinder
    from lightning_tricks.callbacks.lr_preview import LRPreview as LRPreview
    from lightning_tricks.callbacks.lr_preview import preview_lr as preview_lr
    from lightning_tricks.callbacks.lr_schedule import LRSchedule as LRSchedule
    from lightning_tricks.callbacks.mix_up import MixUp as MixUp
    from lightning_tricks.callbacks.normalize_inputs import NormalizeInputs as NormalizeInputs
    from lightning_tricks.callbacks.one_cycle import OneCycle as OneCycle
    from lightning_tricks.callbacks.piecewise_constant import PiecewiseConstant as PiecewiseConstant
    from lightning_tricks.callbacks.placement_check import PlacementCheck as PlacementCheck
    from lightning_tricks.callbacks.polynomial_decay import PolynomialDecay as PolynomialDecay
    from lightning_tricks.callbacks.reduce_lr_on_plateau import ReduceLROnPlateau as ReduceLROnPlateau
    from lightning_tricks.callbacks.run_report import RunReport as RunReport
    from lightning_tricks.callbacks.test_guard import TestGuard as TestGuard
    from lightning_tricks.callbacks.warmup_stable_decay import WarmupStableDecay as WarmupStableDecay
    from lightning_tricks.callbacks.weight_penalty import WeightPenalty as WeightPenalty
    from lightning_tricks.callbacks.z_clip import ZClip as ZClip
    from lightning_tricks.core.durations import Duration as Duration
    from lightning_tricks.data.cache_features import cache_features as cache_features
    from lightning_tricks.data.domain_weights import domain_weights as domain_weights
    from lightning_tricks.data.feature_dataset import FeatureDataset as FeatureDataset
    from lightning_tricks.data.sampling import class_weights as class_weights
    from lightning_tricks.data.sampling import weighted_sampler as weighted_sampler
    from lightning_tricks.data.splits import train_val_split as train_val_split
    from lightning_tricks.data.synthetic_rows import NoisyCopies as NoisyCopies
    from lightning_tricks.data.synthetic_rows import sample_like as sample_like
    from lightning_tricks.doctor.facts.contracts import Contracts as Contracts
    from lightning_tricks.doctor.judging.assert_healthy import assert_healthy as assert_healthy
    from lightning_tricks.doctor.judging.diagnose import diagnose as diagnose
    from lightning_tricks.doctor.judging.report import Report as Report
    from lightning_tricks.doctor.rules.finding import Finding as Finding
    from lightning_tricks.engine.gradcheck.gradient_check import gradient_check as gradient_check
    from lightning_tricks.engine.gradcheck.gradient_noise_scale import gradient_noise_scale as gradient_noise_scale
    from lightning_tricks.engine.initialization.initialize import initialize_ as initialize_
    from lightning_tricks.functional.clipping import adaptive_clip_ as adaptive_clip_
    from lightning_tricks.functional.clipping import clip_by_norm_ as clip_by_norm_
    from lightning_tricks.functional.clipping import clip_by_value_ as clip_by_value_
    from lightning_tricks.functional.dropout_rates import set_dropout_ as set_dropout_
    from lightning_tricks.functional.focal_losses import binary_focal_loss as binary_focal_loss
    from lightning_tricks.functional.focal_losses import focal_loss as focal_loss
    from lightning_tricks.functional.loss_suggestion import LossSuggestion as LossSuggestion
    from lightning_tricks.functional.loss_suggestion import suggest_loss as suggest_loss
    from lightning_tricks.functional.losses import contrastive_loss as contrastive_loss
    from lightning_tricks.functional.losses import coral_loss as coral_loss
    from lightning_tricks.functional.noise_scale import NoiseScale as NoiseScale
    from lightning_tricks.functional.penalties import weight_penalty as weight_penalty
    from lightning_tricks.functional.schedules import Schedule as Schedule
    from lightning_tricks.functional.schedules import cosine_decay as cosine_decay
    from lightning_tricks.functional.schedules import cosine_warm_restarts as cosine_warm_restarts
    from lightning_tricks.functional.schedules import exponential_decay as exponential_decay
    from lightning_tricks.functional.schedules import inverse_sqrt_decay as inverse_sqrt_decay
    from lightning_tricks.functional.schedules import inverse_time_decay as inverse_time_decay
    from lightning_tricks.functional.schedules import join as join
    from lightning_tricks.functional.schedules import linear_warmup as linear_warmup
    from lightning_tricks.functional.schedules import one_cycle as one_cycle
    from lightning_tricks.functional.schedules import piecewise_constant as piecewise_constant
    from lightning_tricks.functional.schedules import polynomial_decay as polynomial_decay
    from lightning_tricks.functional.schedules import product as product
    from lightning_tricks.functional.schedules import warmup_stable_decay as warmup_stable_decay
    from lightning_tricks.functional.sizing import hidden_width as hidden_width
    from lightning_tricks.functional.sizing import hidden_width_by_samples as hidden_width_by_samples
    from lightning_tricks.functional.sizing import suggest_batch_sizes as suggest_batch_sizes
    from lightning_tricks.hydra.instantiate import instantiate_callbacks as instantiate_callbacks
    from lightning_tricks.modules.center_loss import CenterLoss as CenterLoss
    from lightning_tricks.modules.concat_backbones import ConcatBackbones as ConcatBackbones
    from lightning_tricks.modules.input_normalizer import InputNormalizer as InputNormalizer
    from lightning_tricks.modules.locked_dropout import LockedDropout as LockedDropout
    from lightning_tricks.modules.loss_balancer import LossBalancer as LossBalancer
    from lightning_tricks.modules.maxout import Maxout as Maxout
    from lightning_tricks.reports.batch_size_result import BatchSizeResult as BatchSizeResult
    from lightning_tricks.reports.checklist import Checklist as Checklist
    from lightning_tricks.reports.gradient_check_result import GradientCheck as GradientCheck
    from lightning_tricks.reports.lr_finder_result import LRFinderResult as LRFinderResult
    from lightning_tricks.reports.run_record import RunRecord as RunRecord


def __getattr__(name: str) -> object:
    """Load a public name, or a subpackage, on first access."""
    from importlib import import_module

    if name in _HOMES:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value  # the next access is a plain lookup
        return value
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_ROOMS})
