"""Settings of the train stage."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from augment.registry import Count, Fraction
from augment.settings import MOST, Kind, MostImages, PartSpec, Profile, Settings
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

    default: Rate = 1e-3
    """Learning rate, at its highest, of a phase that is not named; above 0."""
    schedule: Annotated[PartSpec, Kind("augment.train.optimisers", "SCHEDULES")] = "constant"
    """How all rates change over the run."""

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
        "concat"
    )
    """How the generator is told the class."""
    discriminator: Annotated[
        PartSpec, Kind("augment.models.conditioning", "DISCRIMINATOR_CONDITIONS")
    ] = "projection"
    """How the discriminator is told the class."""


class AdaSettings(Settings):
    """Augment with a probability that follows the discriminator's certainty."""

    target: Fraction = 0.6
    """Mean sign of the discriminator's logits on real images at which the probability stays, 0 to
    1; above it the probability rises.
    """
    images: Count = 5000
    """Real images that the discriminator sees while the probability goes from 0 to 1."""


class NoiseSettings(Settings):
    """Noise on all that the discriminator sees, falling linearly to nothing."""

    std: Annotated[float, Field(ge=0)] = 0.0
    """Standard deviation of the noise at the first step; images span -1 to 1. 0: none."""
    until: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the run after which there is no more noise; above 0, up to 1."""


class LabellerSettings(Settings):
    """The classifier that ``synth`` filters with."""

    network: Annotated[PartSpec, Kind("augment.classifiers.networks", "CLASSIFIERS")] = "cnn"
    """The labeller's network."""
    steps: Count = 600
    """Training steps of the labeller at most: a set of n labelled images gets 100 + 2 n."""
    batch: Count = 64
    """Images in a batch of the labeller."""
    images: MostImages = MOST
    """Labelled images at most that the labeller learns from. Of more it gets a seeded sample: the
    same share of every class, and never fewer than 10 of one.
    """


class TrainSettings(Settings):
    """The generator: model, networks, loss, penalties, and how long.

    ``recipe`` names a whole configuration (augment/train/recipes.py); any other key overrides it.
    """

    recipe: str = "infogan"
    """A whole training configuration by name; any other key of this group overrides it."""
    model: Annotated[PartSpec, Kind("augment.models.base", "MODELS")] = "infogan"
    """The model that is trained, with its latents and its own losses."""
    generator: Annotated[PartSpec, Kind("augment.models.networks", "GENERATORS")] = {
        "name": "dcgan",
        "width": 32,
    }
    """The network that draws images from noise."""
    discriminator: Annotated[PartSpec, Kind("augment.models.networks", "DISCRIMINATORS")] = {
        "name": "dcgan",
        "width": 32,
    }
    """The network that tells real images from generated ones."""
    conditioning: ConditioningSettings = ConditioningSettings()
    """How each network is told the class."""
    loss: Annotated[PartSpec, Kind("augment.models.losses", "LOSSES")] = "non_saturating"
    """The adversarial loss of both networks."""
    penalties: Annotated[list[PartSpec], Kind("augment.models.penalties", "PENALTIES")] = []
    """Terms that keep the discriminator smooth; an empty list is none. A larger weight is stabler
    and less diverse.
    """
    profile: Profile = "glyph"
    """The profile of the data, handed on from the top of params.yaml."""
    augment: Annotated[
        list[PartSpec] | None, Kind("augment.vision.augmentations", "AUGMENTATIONS")
    ] = None
    """Augmentations of all that the discriminator sees, in this order. null takes those of the
    profile where a class has fewer than 200 images on average or each image comes more than 120
    times, and none elsewhere; an empty list is none. An augmentation that may change a label under
    the profile is refused.
    """
    ada: AdaSettings | None = None
    """Augment with a probability that follows the discriminator's certainty (adaptive discriminator
    augmentation); null augments every image.
    """
    instance_noise: NoiseSettings = NoiseSettings()
    """Gaussian noise on all that the discriminator sees; it falls linearly to nothing."""
    optimiser: Annotated[PartSpec, Kind("augment.train.optimisers", "OPTIMISERS")] = {
        "name": "adam",
        "betas": [0.5, 0.999],
    }
    """The optimiser of both networks."""
    rate: RateSettings = RateSettings()
    """Learning rates by the model's phases, each above 0, and how they change over the run. A GAN's
    phases are `generator` and `discriminator`; any phase may be named here.
    """
    discriminator_steps: Count = 1
    """Steps of the discriminator for each step of the generator; each sees a new batch."""
    steps: Count | Literal["auto"] = "auto"
    """Steps of the generator, the run's length; `auto` is decided by the device when a run starts
    (augment/train/rules.py), said, and written into the model's settings.
    """
    batch: Annotated[int, Field(ge=2)] = 64
    """Real images in a batch; at least 2."""
    balance: Balance = "none"
    """How batches are drawn: `none` takes images as they come, `classes` equally many of each
    class.
    """
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.995
    """Share of its old weights that the averaged generator, which samples are drawn from, keeps at
    each step; 0 to below 1.
    """
    every: Count = 250
    """Steps between two measurements, pictures and checkpoints."""
    on_trouble: Literal["stop", "rollback"] = "stop"
    """The answer to a trouble that the watch names: `stop` ends the run with its name, `rollback`
    goes back to the best checkpoint with gentler settings.
    """
    rollbacks: Count = 3
    """The largest number of rollbacks in a run."""
    labeller: LabellerSettings = LabellerSettings()
    """The classifier that `synth` filters with."""
    compile: Compiler = "none"
    """The backend of `torch.compile` for passes without double backward: `inductor`, `cudagraphs`
    (on a GPU) or `aot_eager`; `none` runs uncompiled.
    """
    device: str = "auto"
    """Where networks run: `auto` (the first GPU, else the CPU), `cpu`, `cuda` or `cuda:1`."""
    devices: Count | Literal["auto"] = 1
    """How many devices of this machine share each batch, a process each: GPUs, or processes that
    share the cores; `auto` is every GPU, or one process where there is none. What is learned is the
    same but for rounding. `torchrun` and SLURM decide it where they start the processes.
    """
    trackers: Annotated[list[PartSpec], Kind("augment.train.trackers", "TRACKERS")] = []
    """Where measurements go beside dvclive: `tensorboard` or `mlflow`, by extras of these names."""
    seed: int = 0
    """Seed of the networks' first weights and of all randomness in training."""

    @property
    def length(self) -> int:
        """The steps of the run. Raises ValueError where `auto` was not decided yet."""
        if self.steps == "auto":
            raise ValueError("train.steps is not decided yet")
        return self.steps

    @model_validator(mode="before")
    @classmethod
    def _recipe(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        defaults = {name: field.default for name, field in cls.model_fields.items()}
        return recipes.apply(values, defaults)
