"""A project whose images and set lie in a bucket: a real S3 server on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
import yaml

import augment
from augment import stage_code
from augment.data import table
from augment.errors import AugmentError
from augment.ingest import run as ingest
from augment.ingest.settings import IngestSettings
from augment.runtime import remote
from tests.ingest.test_run import png

DVC = [
    "dvc remote add --default store s3://bucket/dvc".split(),
    "dvc push".split(),
    "dvc pull".split(),
]  # of the guide *Images in a bucket*


def fill(s3: fsspec.AbstractFileSystem, bucket: str) -> None:
    for label in "ab":
        for number in range(10):
            name = f"{bucket}/photos/{label}/{number}.png"
            s3.pipe_file(name, png(20 * number + ord(label)))


def settings(source: str) -> IngestSettings:
    return IngestSettings.model_validate({"source": source, "workers": 1})


def test_a_source_in_a_bucket_is_read_like_a_folder(
    s3: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    fill(s3, "bucket/ingest")
    report = ingest.run(settings("s3://bucket/ingest/photos"), tmp_path / "there")
    assert (report["read"], report["kept"]) == (20, 20)
    assert report["source"] == "s3://bucket/ingest/photos"
    (home,) = (tmp_path / "there" / remote.FOLDER).iterdir()
    here = ingest.run(settings(str(home / "files")), tmp_path / "here")
    assert {**here, "source": 0, "settings": 0} == {**report, "source": 0, "settings": 0}
    tables = [
        [path.read_bytes() for path in table.shards(tmp_path / name / "data/ingested")]
        for name in ("there", "here")
    ]
    assert tables[0] == tables[1]


def test_an_error_names_the_address(s3: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    with pytest.raises(AugmentError, match="s3://bucket/nowhere: no such file or folder"):
        ingest.run(settings("s3://bucket/nowhere"), tmp_path)
    s3.pipe_file("bucket/texts/read me.txt", b"nothing to see")
    with pytest.raises(AugmentError, match="s3://bucket/texts: no image found"):
        ingest.run(settings("s3://bucket/texts"), tmp_path)


def test_dvc_sees_what_changes_in_a_bucket(s3: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    fill(s3, "bucket/digest")
    first = stage_code.listing(["s3://bucket/digest/photos"], tmp_path)
    assert stage_code.listing(["s3://bucket/digest/photos"], tmp_path) == first
    s3.pipe_file("bucket/digest/photos/a/0.png", png(1))
    assert stage_code.listing(["s3://bucket/digest/photos"], tmp_path) != first


def test_a_training_job_loads_a_set_from_a_bucket(
    s3: fsspec.AbstractFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fill(s3, "bucket/load")
    ingest.run(settings("s3://bucket/load/photos"), tmp_path)
    remote.send(tmp_path / "data/ingested", "s3://bucket/load/set")
    loaded = augment.load("s3://bucket/load/set", None)
    assert (len(loaded), loaded.classes) == (20, ["a", "b"])


def test_a_new_project_takes_an_address(s3: fsspec.AbstractFileSystem, tmp_path: Path) -> None:
    from augment import new_project

    new_project.init(tmp_path / "mine", "s3://bucket/photos")
    params = yaml.safe_load((tmp_path / "mine" / "params.yaml").read_text())
    assert params["ingest"]["source"] == "s3://bucket/photos"
    with pytest.raises(AugmentError, match="nonsense"):
        new_project.init(tmp_path / "other", "nonsense://bucket/photos")


@pytest.mark.slow
@pytest.mark.parametrize("address", ["s3://bucket/dvc", "here"])
def test_what_dvc_pushed_another_machine_pulls(
    address: str, s3: fsspec.AbstractFileSystem, tmp_path: Path, dvc: Callable[..., str]
) -> None:
    from augment import new_project

    fill(s3, "bucket/dvc-source")
    first, second = tmp_path / "first", tmp_path / "second"
    new_project.init(first, "s3://bucket/dvc-source/photos")
    dvc(first, "repro", "ingest")
    remote_add, push, pull = DVC
    place = str(tmp_path / "store") if address == "here" else address
    dvc(first, *remote_add[1:-1], place)
    dvc(first, *push[1:])
    left = ("data", ".augment", "cache", "tmp")  # what git does not keep
    shutil.copytree(first, second, ignore=shutil.ignore_patterns(*left))
    dvc(second, *pull[1:], "ingest")
    assert table.count(second / "data/ingested") == 20
    assert "Running stage 'ingest'" not in dvc(second, "repro", "ingest")
    s3.pipe_file("bucket/dvc-source/photos/a/0.png", png(5))
    assert "Running stage 'ingest'" in dvc(second, "repro", "ingest")
