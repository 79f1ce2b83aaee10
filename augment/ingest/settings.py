"""Settings of the ingest stage."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from augment.data.opening import MAX_PIXELS, MOST_PIXELS
from augment.data.table import HELPERS
from augment.registry import Fraction
from augment.settings import Kind, PartSpec, Settings


class SplitSettings(Settings):
    """Shares of the labelled images that are held out when the source has no splits."""

    valid: Fraction = 0.1
    """Share of the labelled images in the valid split, on which every choice is made; 0 to 1. With
    `ingest.split.test` it stays below 1. Where a source has train and test but no valid, the share
    of its train images.
    """
    test: Fraction = 0.2
    """Share of the labelled images in the test split, on which gains are measured; 0 to 1."""


class FurtherSource(Settings):
    """A further source of labelled images that only teach; its name alone stands for all of it."""

    source: str
    """The images, as `ingest.source` names images."""
    reader: Annotated[PartSpec, Kind("augment.readers.base", "READERS", automatic=True)] = "auto"
    """The reader of this source; `auto` recognises the format by itself."""

    @model_validator(mode="before")
    @classmethod
    def _source_alone(cls, values: Any) -> Any:
        return {"source": values} if isinstance(values, str) else values


class IngestSettings(Settings):
    """Where the images come from."""

    source: str | None
    """The images: a path to a folder, an archive or a file, an address such as `s3://bucket/set`,
    or `builtin:digits`, `builtin:mnist5k`, `builtin:mnist-few` or `builtin:fonts`. null: there is
    no image with a label; then `ingest.unlabelled` holds the images, and `ingest.domains` names the
    classes.
    """
    reader: Annotated[PartSpec, Kind("augment.readers.base", "READERS", automatic=True)] = "auto"
    """The reader of `ingest.source`; `auto` recognises the format by itself."""
    unlabelled: str | None = None
    """A second source, whose images have no label; all of them go into the train split. null: none.
    """
    domains: dict[Annotated[str, Field(pattern="^[a-z][a-z0-9_-]*$")], FurtherSource] = {}
    """Further sources by a name, such as `{font: builtin:fonts}` or `{font: {source: builtin:fonts,
    reader: {name: fonts, characters: abc}}}`: labelled images of the same classes that look
    different. They teach which image without a label shows which class (`adopt.labellers`); they
    are never in valid or test, nor in the written set.
    """
    helpers: FurtherSource | None = None
    """Labelled images of *other* classes, such as `{source: builtin:fonts, reader: {name: fonts,
    characters: abc}}`, from which a generator that is told no class (`train.recipe: dagan`) also
    learns how images of one class differ. Their classes are none of the set's, whatever their
    names; no helper is in valid or test, is judged or scored, trains a classifier or is written.
    null: none.
    """
    split: SplitSettings = SplitSettings()
    """Shares that are held out where the source has no splits of its own."""
    group: str | None = None
    """A regular expression that is searched in each image's path; its first group names what must
    not straddle splits (a writer, a page, a patient). null: the source's own groups.
    """
    encoding: str | None = None
    """The encoding of the names in an archive that does not say it, such as gbk, big5, cp932
    (Shift-JIS) or cp437. null: names that the archive marks as UTF-8, or a stop that shows the
    first names in the likely encodings.
    """
    max_pixels: Annotated[int, Field(ge=1, le=MOST_PIXELS)] = MAX_PIXELS
    """Pixels of an image, at most; a larger one is rejected. 1 to 268,435,456. A JPEG above
    32,000,000 is decoded at half its size or less; other formats take three bytes of memory for
    each pixel, in each worker.
    """
    pages: Literal["first", "all"] = "first"
    """What is read of a TIFF of several pages: `first`, or `all` as an image each."""
    max_rejected: Fraction = 0.05
    """The largest share of images that may be rejected, 0 to 1; the run stops above it."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Processes that decode images; 0 takes one for each core."""
    seed: int = 0
    """Seed of the split; the same seed puts an image into the same split."""

    @model_validator(mode="after")
    def _helpers_are_no_domain(self) -> IngestSettings:
        if HELPERS in self.domains:
            raise ValueError(
                f"domains.{HELPERS}: images of other classes are ingest.helpers; give a domain "
                "another name"
            )
        return self

    @model_validator(mode="after")
    def _images_are_named(self) -> IngestSettings:
        if self.source is None and not (self.unlabelled and self.domains):
            raise ValueError(
                "source: null needs unlabelled images (ingest.unlabelled) and a source that names "
                "the classes (ingest.domains)"
            )
        return self
