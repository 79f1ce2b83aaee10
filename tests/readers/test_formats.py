"""Formats as people have them on their disks: read right, or refused with the reason."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from augment.data import images, table
from augment.errors import AugmentError
from augment.ingest.run import run
from augment.ingest.settings import IngestSettings
from augment.readers import as_table, recognise
from augment.readers.base import READERS, Item, Listing


def png(value: int = 0) -> bytes:
    return images.encode(np.full((4, 3), value, np.uint8))


def opened(source: Path, **options: object) -> Listing:
    name = recognise(str(source))
    listing: Listing = READERS.build({"name": name, **options}, str(source))()
    return listing


def kept(items: Iterable[Item]) -> list[tuple[str | None, str | None]]:
    return [(item.label, item.split) for item in items if not item.reason]


def reasons(items: Iterable[Item]) -> list[str]:
    return [item.reason for item in items if item.reason]


def ingest(root: Path, **settings: Any) -> dict[str, Any]:
    return run(IngestSettings(workers=1, **settings), root)


def write_zip(path: Path, names: Iterable[bytes], extra: bool = False) -> Path:
    """A zip as Windows writes it: names in raw bytes without the UTF-8 flag."""
    stand_ins = {}
    with zipfile.ZipFile(path, "w") as archive:
        for place, raw in enumerate(names):
            stand_in = "".join("abcdefghij"[int(d)] for d in str(place)).rjust(len(raw), "_")
            info = zipfile.ZipInfo(stand_in)
            if extra:
                name = raw.decode("gbk").encode()
                field = struct.pack("<BL", 1, zlib.crc32(raw)) + name
                info.extra = struct.pack("<HH", 0x7075, len(field)) + field
            archive.writestr(info, png(place))
            stand_ins[stand_in.encode()] = raw
    data = path.read_bytes()
    for stand_in, raw in stand_ins.items():
        data = data.replace(stand_in, raw)
    path.write_bytes(data)
    return path


class TestNamesInArchives:
    @pytest.mark.parametrize(
        ("encoding", "labels"),
        [
            ("gbk", ["汉字", "图像"]),
            ("big5", ["漢字", "圖像"]),
            ("cp932", ["ソース", "表示"]),  # both with a backslash as second byte
            ("cp437", ["été", "über"]),
        ],
    )
    @pytest.mark.parametrize("kind", ["zip", "tar"])
    def test_an_encoding_is_asked_for_and_used(
        self, encoding: str, labels: list[str], kind: str, tmp_path: Path
    ) -> None:
        names = [f"{label}/{n}.png".encode(encoding) for label in labels for n in range(2)]
        if kind == "zip":
            path = write_zip(tmp_path / "set.zip", names)
        else:
            path = tmp_path / "set.tar"
            with tarfile.open(path, "w", encoding=encoding, format=tarfile.GNU_FORMAT) as archive:
                for name in names:
                    member = tarfile.TarInfo(name.decode(encoding))
                    member.size = len(png())
                    archive.addfile(member, io.BytesIO(png()))
        with pytest.raises(AugmentError) as caught:
            opened(path)
        assert "names of 4 members" in str(caught.value)
        assert f"{encoding} ('{labels[0]}/0.png', '{labels[0]}/1.png'" in str(caught.value)
        assert "ingest.encoding" in str(caught.value)
        found = kept(opened(path, encoding=encoding))
        assert sorted(found) == sorted((label, None) for label in labels for _ in range(2))

    def test_the_unicode_field_and_the_flag_need_no_setting(self, tmp_path: Path) -> None:
        names = [f"{label}/{n}.png".encode("gbk") for label in ("汉字", "图像") for n in (0, 1)]
        path = write_zip(tmp_path / "field.zip", names, extra=True)
        assert sorted(kept(opened(path))) == [("图像", None)] * 2 + [("汉字", None)] * 2
        with zipfile.ZipFile(tmp_path / "flag.zip", "w") as archive:
            archive.writestr("汉字/0.png", png())
        assert kept(opened(tmp_path / "flag.zip", encoding="cp437")) == [("汉字", None)]

    def test_an_unknown_or_a_wrong_encoding_is_refused(self, tmp_path: Path) -> None:
        path = write_zip(tmp_path / "set.zip", ["汉字/1.png".encode("gbk")])
        with pytest.raises(AugmentError, match="'klingon' is not known"):
            opened(path, encoding="klingon")
        with pytest.raises(AugmentError, match="are not utf-8; .*gbk"):
            opened(path, encoding="utf-8")

    def test_the_setting_reaches_the_reader(self, tmp_path: Path) -> None:
        names = [f"{label}/{n}.png".encode("gbk") for label in ("汉字", "图像") for n in (0, 1)]
        names = [name.replace(b".png", b"%d.png" % n) for n, name in enumerate(names)]
        write_zip(tmp_path / "set.zip", names)
        report = ingest(tmp_path, source="set.zip", encoding="gbk")
        assert {label: sum(counts.values()) for label, counts in report["classes"].items()} == {
            "汉字": 2,
            "图像": 2,
        }
        (tmp_path / "folder" / "a").mkdir(parents=True)
        (tmp_path / "folder" / "a" / "1.png").write_bytes(png())
        with pytest.raises(AugmentError, match="ingest.encoding: the reader image_folder takes no"):
            ingest(tmp_path, source="folder", encoding="gbk")


def tiff(pages: list[np.ndarray]) -> bytes:
    first, *others = map(Image.fromarray, pages)
    buffer = io.BytesIO()
    first.save(buffer, "TIFF", save_all=True, append_images=others)
    return buffer.getvalue()


def write_files(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def brightness(root: Path) -> dict[str, list[int]]:
    """The levels of each ingested image, by path, as any later stage decodes it."""
    found = {}
    for batch in table.stream(root / "data" / "ingested", ["image", "mode"]):
        for row in batch.to_pylist():
            pixels = images.pixels(row["image"]["bytes"], row["mode"])
            found[row["image"]["path"]] = sorted(set(pixels.ravel().tolist()))
    return found


class TestLevels:
    @pytest.mark.parametrize(
        ("kind", "scale", "white"), [(np.uint16, 16, 4080), (np.float32, 1 / 255, 1)]
    )
    def test_the_set_decides_what_white_is(
        self, kind: type, scale: float, white: float, tmp_path: Path
    ) -> None:
        files = {}
        for place, (low, high) in enumerate([(10, 255), (10, 100), (60, 240), (0, 200)]):
            pixels = np.array([[low, high], [high, low]]).astype(kind) * kind(scale)
            files[f"{'ab'[place % 2]}/{place}.tif"] = tiff([pixels.astype(kind)])
        source = write_files(tmp_path / "set", files)
        report = ingest(tmp_path, source="set")
        assert report["kept"] == 4
        (levels,) = report["levels"].values()
        assert levels["high"] == pytest.approx(white)
        found = brightness(tmp_path)
        assert found["b/1.tif"] == [10, 100]
        assert found["a/0.tif"] == [10, 254 if kind is np.uint16 else 255]
        loaded = as_table(str(source)).to_pylist()
        assert {row["image"]["path"]: row["mode"] for row in loaded} == dict.fromkeys(files, "L")
        assert images.pixels(loaded[0]["image"]["bytes"], "L").max() == found["a/0.tif"][1]

    def test_ids_are_those_of_the_files_and_pages_and_sidecars_are_said(
        self, tmp_path: Path
    ) -> None:
        grey = [np.full((2, 2), level, np.uint8) for level in (40, 90, 200)]
        files = {
            "a/pages.tif": tiff(grey[:2]),
            "b/one.tif": tiff(grey[2:]),
            "b/IMG_1.AAE": b"<plist/>",
            "b/IMG_1.MOV": b"\0\0\0\x14ftypqt  ",
            "b/IMG_1.xmp": b"<x/>",
            "b/Icon\r": b"",
        }
        write_files(tmp_path / "set", files)
        report = ingest(tmp_path, source="set")
        assert (report["kept"], report["ignored"], report["several_pages"]) == (2, 4, 1)
        assert brightness(tmp_path) == {"a/pages.tif": [40], "b/one.tif": [200]}
        report = ingest(tmp_path, source="set", pages="all")
        assert (report["kept"], report["groups"]) == (3, 1)
        assert brightness(tmp_path) == {
            "a/pages.tif#page=1": [40],
            "a/pages.tif#page=2": [90],
            "b/one.tif": [200],
        }

    def test_the_limit_of_pixels_is_a_setting(self, tmp_path: Path) -> None:
        write_files(tmp_path / "set", {f"{c}/1.png": png(i) for i, c in enumerate("ab")})
        with pytest.raises(AugmentError, match="1 megapixels: raise ingest.max_pixels 2"):
            ingest(tmp_path, source="set", max_pixels=11)
        assert ingest(tmp_path, source="set", max_pixels=12)["kept"] == 2
