"""Detectors: the command line's numbers, from paths, bytes and arrays."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ssdlite import Detections, Detector, Image, SsdliteError

from conftest import LOW, Cli
from images import png_from_pixels
from results import assert_equal, form


def from_json(line: str, class_names: list[str]) -> Detections:
    """What the command line has printed of an image."""
    objects = json.loads(line)["detections"]
    names = [each["class"] for each in objects]
    return Detections(
        [each["box"] for each in objects],
        [each["score"] for each in objects],
        [class_names.index(name) for name in names],
        names,
    )


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({}, []),
        ({"threads": 1}, ["--threads", "1"]),
        ({"nms": 0.2, "max_detections": 9}, ["--nms", "0.2", "--max-detections", "9"]),
        ({"tiles": 3}, ["--tiles", "3"]),
        ({"tiles": "off"}, ["--tiles", "off"]),
    ],
)
def test_detections_are_the_command_line_s(
    cli: Cli,
    detector_file: Path,
    photos: list[Path],
    options: dict[str, Any],
    flags: list[str],
) -> None:
    detector = Detector.load(detector_file, score=LOW, **options)
    printed = cli.run("detect", detector_file, *photos, "--json", "--score", str(LOW), *flags)
    lines = printed.splitlines()
    assert len(lines) == len(photos)
    batch = detector.detect_batch(photos)
    for photo, line, of_batch in zip(photos, lines, batch, strict=True):
        found = detector.detect(photo)
        assert_equal(found, from_json(line, detector.class_names))
        assert_equal(of_batch, found)
    assert any(len(found) > 0 for found in batch)


def test_the_model_s_own_settings_are_the_default(
    cli: Cli, detector_file: Path, photos: list[Path]
) -> None:
    detector = Detector.load(str(detector_file))
    printed = cli.run("detect", detector_file, photos[0], "--json")
    expected = from_json(printed, detector.class_names)
    assert_equal(detector.detect(photos[0]), expected)


def test_results_are_arrays(detector: Detector, photos: list[Path]) -> None:
    found = detector.detect(photos[0])
    count = len(found)
    assert count > 0
    assert form(found.boxes) == ("float32", (count, 4))
    assert form(found.scores) == ("float32", (count,))
    assert form(found.classes) == ("int64", (count,))
    assert found.names == [detector.class_names[index] for index in found.classes]
    assert (np.diff(found.scores) <= 0).all()
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()
    # One and the same at each look.
    assert found.boxes is found.boxes


def test_where_nothing_is_found_arrays_have_their_shapes(
    detector_file: Path, photos: list[Path]
) -> None:
    found = Detector.load(detector_file, score=1.0).detect(photos[0])
    assert len(found) == 0
    assert (found.boxes.shape, found.scores.shape, found.names) == ((0, 4), (0,), [])


def test_paths_bytes_and_arrays_are_one_image(
    detector: Detector, pixels: npt.NDArray[np.uint8], tmp_path: Path
) -> None:
    file = tmp_path / "photo.png"
    file.write_bytes(png_from_pixels(pixels))
    kept = pixels.copy()
    expected = detector.detect(pixels)
    assert len(expected) > 0
    images: list[Image] = [file, str(file), file.read_bytes(), pixels]
    for image in images:
        assert_equal(detector.detect(image), expected)
    for found in detector.detect_batch(images):
        assert_equal(found, expected)
    np.testing.assert_array_equal(pixels, kept)


def test_arrays_of_any_layout_are_the_pixels_that_they_show(
    detector: Detector, pixels: npt.NDArray[np.uint8]
) -> None:
    wide = np.zeros((90, 150, 4), np.uint8)
    wide[3:86, 7:138, :3] = pixels
    views = {
        "columns first": np.asfortranarray(pixels),
        "blue first": np.ascontiguousarray(pixels[..., ::-1])[..., ::-1],
        "upside down": np.ascontiguousarray(pixels[::-1])[::-1],
        "a part": wide[3:86, 7:138, :3],
        "every other row": np.repeat(pixels, 2, axis=0)[::2],
        "read only": np.frombuffer(pixels.tobytes(), np.uint8).reshape(pixels.shape),
    }
    expected = detector.detect(pixels)
    for name, view in views.items():
        assert np.array_equal(view, pixels), name
        assert_equal(detector.detect(view), expected)
    mirrored = detector.detect(pixels[:, ::-1])
    assert not np.array_equal(mirrored.boxes, expected.boxes)
    several = np.stack([pixels, pixels[::-1]])
    of_array = detector.detect_batch(several)
    assert_equal(of_array[0], expected)
    assert_equal(of_array[1], detector.detect(pixels[::-1]))


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited otherwise there")
def test_packed_arrays_are_not_copied(detector_file: Path) -> None:
    import resource

    detector = Detector.load(detector_file, threads=1, tiles="off")
    # 432 MB, none of which is in memory as long as nobody writes there.
    large = np.zeros((12000, 12000, 3), np.uint8)
    detector.detect(large)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (in_use + large.nbytes // 4, hard))
    try:
        detector.detect(large)
        detector.detect_batch([large, large])
        with pytest.raises(MemoryError):
            detector.detect(large[:, :, ::-1])
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def endless(shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """An array of one byte, shown again and again."""
    return np.broadcast_to(np.zeros((1,) * len(shape), np.uint8), shape)


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        (np.zeros((9, 8, 3), np.float32), TypeError, "uint8, 0 to 255, found float32"),
        (np.zeros((9, 8, 3), np.int8), TypeError, "found int8"),
        (np.zeros((9, 8), np.uint8), ValueError, r"\[height, width, 3\].*found \[9, 8\]"),
        (np.zeros((9, 8, 4), np.uint8), ValueError, r"found \[9, 8, 4\]"),
        (np.zeros((3, 9, 8), np.uint8), ValueError, r"found \[3, 9, 8\]"),
        (np.zeros((0, 8, 3), np.uint8), ValueError, "at least one pixel, found 8x0"),
        (np.zeros((8, 0, 3), np.uint8), ValueError, "at least one pixel, found 0x8"),
        (np.zeros((2, 9, 8, 3), np.uint8), ValueError, r"found \[2, 9, 8, 3\]"),
        (np.zeros((), np.uint8), ValueError, r"found \[\]"),
        (np.zeros((9, 8, 3), bool), TypeError, "found bool"),
        (np.zeros((9, 8, 3), object), TypeError, "found object"),
        (endless((2**33, 1, 3)), ValueError, "sides of at most 4294967295 pixels"),
        (7, TypeError, "path, the bytes of a file or an array"),
        (None, TypeError, "found <class 'NoneType'>"),
        ([[[0, 0, 0]]], TypeError, "found <class 'list'>"),
        (bytearray(b"GIF"), TypeError, "found <class 'bytearray'>"),
        ("photo\0.jpg", OSError, "NUL byte"),
        ("\ud800.jpg", UnicodeEncodeError, "surrogates"),
    ],
)
def test_what_is_no_image_is_told(
    detector: Detector, image: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        detector.detect(image)
    with pytest.raises(error):
        detector.detect_batch([image])


@pytest.mark.skipif(sys.platform != "linux", reason="paths are Unicode there")
def test_paths_need_no_unicode(
    detector: Detector, detector_file: Path, photos: list[Path], tmp_path: Path
) -> None:
    photo = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    photo.write_bytes(photos[0].read_bytes())
    assert_equal(detector.detect(photo), detector.detect(photos[0]))
    assert_equal(detector.detect_batch([str(photo)])[0], detector.detect(photos[0]))
    model = tmp_path / os.fsdecode(b"\xff.safetensors")
    model.write_bytes(detector_file.read_bytes())
    assert len(Detector.load(model, score=LOW).detect(photo)) > 0
    with pytest.raises(FileNotFoundError):
        detector.detect(tmp_path / os.fsdecode(b"\xfe.jpg"))


def test_broken_files_are_told_by_name(
    detector: Detector, photos: list[Path], tmp_path: Path
) -> None:
    whole = photos[0].read_bytes()
    text, half = tmp_path / "notes.jpg", tmp_path / "half.jpg"
    text.write_text("no image")
    half.write_bytes(whole[: len(whole) // 2])
    absent = tmp_path / "absent.jpg"
    for path in [text, half]:
        with pytest.raises(SsdliteError, match=path.name):
            detector.detect(path)
    with pytest.raises(FileNotFoundError, match="absent.jpg: there is no such file"):
        detector.detect(absent)
    with pytest.raises(OSError, match="found a folder"):
        detector.detect(tmp_path)
    for content in [b"", b"no image", whole[:100]]:
        with pytest.raises(SsdliteError):
            detector.detect(content)
    with pytest.raises(SsdliteError, match="^image 2: .*half.jpg"):
        detector.detect_batch([photos[0], whole, half, absent])
    # The detector is none the worse.
    assert len(detector.detect(photos[0])) > 0


def test_models_that_cannot_be_loaded_are_told(
    classifier_file: Path, detector_file: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(detector_file.read_bytes()[:-1])
    with pytest.raises(SsdliteError, match="broken.safetensors"):
        Detector.load(broken)
    with pytest.raises(FileNotFoundError, match="absent"):
        Detector.load(tmp_path / "absent")
    with pytest.raises(SsdliteError, match="found a classifier's"):
        Detector.load(classifier_file)
    with pytest.raises(SsdliteError, match="found a folder"):
        Detector.load(tmp_path)
    with pytest.raises(TypeError):
        Detector.load(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Detector()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"threads": 0}, "threads: expected 1 to 256, found 0"),
        ({"threads": -1}, "found -1"),
        ({"threads": 257}, "found 257"),
        ({"score": 1.5}, "found 1.5"),
        ({"score": float("nan")}, "found NaN"),
        ({"nms": -0.1}, "found -0.1"),
        ({"max_detections": 0}, "found 0"),
        ({"max_detections": -2}, "max_detections: expected 0 or more, found -2"),
        ({"max_detections": 10**7}, "at most 10000"),
        ({"tiles": 1}, "tiles: .*found `1`"),
        ({"tiles": "many"}, "found `many`"),
    ],
)
def test_options_out_of_range_are_told(
    detector_file: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        Detector.load(detector_file, **options)


def test_an_empty_batch_is_empty(detector: Detector) -> None:
    assert detector.detect_batch([]) == []
    with pytest.raises(TypeError):
        detector.detect_batch("photo.jpg")


def test_a_detector_tells_of_itself(detector: Detector) -> None:
    assert detector.class_names == ["apple", "book", "key", "leaf", "mug"]
    assert detector.threads == 2
    assert repr(detector) == "<ssdlite.Detector of apple, book, key, leaf, mug>"
    with pytest.raises(AttributeError):
        detector.threads = 3  # type: ignore[misc]
