"""Settings of the train stage."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from augment.registry import Count, Fraction
from augment.settings import Kind, LabellerSettings, PartSpec, Profile, Settings
from augment.train import recipes

Balance = Literal["none", "classes"]
Compiler = Literal["none", "inductor", "cudagraphs", "aot_eager"]  # torch.compile's backends


Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class RateSettings(Settings):
    """Learning rates by the model's phases (TTUR where they differ), and how they change.

    A GAN's phases are ``generator`` and ``discriminator``; any phase may be named.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Rate] = Field(init=False)

    default: Rate = 1e-3  # of a phase that is not named
    schedule: Annotated[PartSpec, Kind("augment.train.optimisers", "SCHEDULES")] = "linear"

    def of(self, phase: str) -> float:
        """The learning rate of a phase."""
        return self.__pydantic_extra__.get(phase, self.default)

    @property
    def named(self) -> list[str]:
        """The phases that have a rate of their own."""
        return list(self.__pydantic_extra__)


class ConditioningSettings(Settings):
    """How each network is told the class."""

    generator: Annotated[PartSpec, Kind("augment.models.conditioning", "GENERATOR_CONDITIONS")] = (
        "embed"
    )
    discriminator: Annotated[
        PartSpec, Kind("augment.models.conditioning", "DISCRIMINATOR_CONDITIONS")
    ] = "projection"


class AdaSettings(Settings):
    """Augment with a probability that follows the discriminator's certainty."""

    target: Fraction = 0.6
    images: Count = 5000  # real images that move the probability from 0 to 1


class NoiseSettings(Settings):
    """Noise on all that the discriminator sees, falling linearly to nothing."""

    std: Annotated[float, Field(ge=0)] = 0.0
    until: Annotated[float, Field(gt=0, le=1)] = 0.5  # share of the run


class TrainSettings(Settings):
    """The generator: model, networks, loss, penalties, and how long.

    ``recipe`` names a whole configuration (augment/train/recipes.py); any other key overrides it.
    """

    recipe: str = "infogan"
    model: Annotated[PartSpec, Kind("augment.models.base", "MODELS")] = "infogan"
    generator: Annotated[PartSpec, Kind("augment.models.networks", "GENERATORS")] = {
        "name": "resnet",
        "width": 32,
    }
    discriminator: Annotated[PartSpec, Kind("augment.models.networks", "DISCRIMINATORS")] = {
        "name": "resnet",
        "width": 32,
    }
    conditioning: ConditioningSettings = ConditioningSettings()
    loss: Annotated[PartSpec, Kind("augment.models.losses", "LOSSES")] = "relativistic"
    penalties: Annotated[list[PartSpec], Kind("augment.models.penalties", "PENALTIES")] = [
        {"name": "r1", "weight": 0.05},
        {"name": "r2", "weight": 0.05},
    ]
    profile: Profile = "glyph"  # what changes no label
    augment: Annotated[
        list[PartSpec] | None, Kind("augment.vision.augmentations", "AUGMENTATIONS")
    ] = None  # null: what suits the profile
    ada: AdaSettings | None = None
    instance_noise: NoiseSettings = NoiseSettings()
    optimiser: Annotated[PartSpec, Kind("augment.train.optimisers", "OPTIMISERS")] = "adam"
    rate: RateSettings = RateSettings()
    discriminator_steps: Count = 1  # for each step of the generator
    steps: Count = 1500
    batch: Annotated[int, Field(ge=2)] = 64
    balance: Balance = "none"  # classes: a batch has equally many images of each
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.995
    every: Count = 250  # steps between measurements, pictures and checkpoints
    on_trouble: Literal["stop", "rollback"] = "stop"
    rollbacks: Count = 3  # at most
    labeller: LabellerSettings = LabellerSettings()
    compile: Compiler = "none"  # networks, in passes without double backward
    device: str = "auto"
    seed: int = 0

    @model_validator(mode="before")
    @classmethod
    def _recipe(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        defaults = {name: field.default for name, field in cls.model_fields.items()}
        return recipes.apply(values, defaults)
