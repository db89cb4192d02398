"""Classifiers."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from ssdlite import Classifier, Image, SsdliteError

from conftest import Cli
from images import png_from_pixels
from results import form


@pytest.fixture(scope="session")
def images(data: Path) -> list[Path]:
    return sorted((data / "classification/test").rglob("*.jpg"))


def test_scores_are_the_command_line_s(
    cli: Cli, classifier: Classifier, classifier_file: Path, images: list[Path]
) -> None:
    printed = cli.run("classifier", "predict", classifier_file, *images, "--json", "--top", "3")
    lines = printed.splitlines()
    assert len(lines) == len(images) > 0
    batch = classifier.classify_batch(images)
    assert form(batch) == ("float32", (len(images), len(classifier.class_names)))
    for image, line, of_batch in zip(images, lines, batch, strict=True):
        scores = classifier.classify(image)
        np.testing.assert_array_equal(of_batch, scores)
        assert scores.sum() == pytest.approx(1, abs=1e-5)
        top = classifier.top(image, most=3)
        expected = json.loads(line)["top"]
        assert [name for name, _ in top] == [each["class"] for each in expected]
        for (name, score), each in zip(top, expected, strict=True):
            assert np.float32(score) == np.float32(each["score"])
            assert score == scores[classifier.class_names.index(name)]


def test_paths_bytes_and_arrays_are_one_image(
    classifier: Classifier, pixels: npt.NDArray[np.uint8], tmp_path: Path
) -> None:
    file = tmp_path / "photo.png"
    file.write_bytes(png_from_pixels(pixels))
    expected = classifier.classify(pixels)
    images: list[Image] = [file, file.read_bytes(), np.asfortranarray(pixels)]
    for image in images:
        np.testing.assert_array_equal(classifier.classify(image), expected)


def test_the_top_has_as_many_as_are_asked_for(
    classifier: Classifier, pixels: npt.NDArray[np.uint8]
) -> None:
    count = len(classifier.class_names)
    assert len(classifier.top(pixels)) == 5
    assert len(classifier.top(pixels, most=1000)) == count
    assert classifier.top(pixels, most=0) == []
    with pytest.raises(ValueError, match="most: expected 0 or more, found -1"):
        classifier.top(pixels, most=-1)


def test_faults_are_told(
    classifier: Classifier, classifier_file: Path, detector_file: Path, tmp_path: Path
) -> None:
    with pytest.raises(SsdliteError, match="found a detector's"):
        Classifier.load(detector_file)
    with pytest.raises(ValueError, match="threads"):
        Classifier.load(classifier_file, threads=0)
    with pytest.raises(FileNotFoundError):
        classifier.classify(tmp_path / "absent.jpg")
    with pytest.raises(SsdliteError, match="^image 0: "):
        classifier.classify_batch([b"no image"])
    empty = classifier.classify_batch([])
    assert empty.shape == (0, len(classifier.class_names))
