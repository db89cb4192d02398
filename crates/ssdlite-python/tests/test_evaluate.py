"""Evaluation: numbers made by hand, and the command line's."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssdlite import Detections, Detector, GroundTruth, evaluate

from conftest import Cli
from results import form

# Three objects apart from each other, and a place where there is none.
BOXES = [[0.0, 0.0, 10.0, 20.0], [50.0, 0.0, 70.0, 10.0], [0.0, 60.0, 30.0, 90.0]]
NOTHING = [200.0, 200.0, 220.0, 230.0]

NAN, INF = float("nan"), float("inf")


def found(boxes: Any, scores: Any, names: list[str]) -> Detections:
    return Detections(boxes, scores, [0] * len(names), names)


def test_an_example_worked_by_hand() -> None:
    truth = GroundTruth(BOXES, ["cat"] * 3)
    # Hit, miss, hit, miss, hit: precisions 1, 2/3 and 3/5 at recalls 1/3, 2/3 and 1.
    boxes = [BOXES[0], NOTHING, BOXES[1], NOTHING, BOXES[2]]
    detections = found(boxes, [0.9, 0.8, 0.7, 0.6, 0.5], ["cat"] * 5)
    report = evaluate([truth], [detections])
    expected = (4 + 3 * 2 / 3 + 4 * 0.6) / 11
    assert report["map"] == pytest.approx(expected, abs=1e-12)
    assert dict(report) == {
        "metric": "voc07",
        "iou": 0.5,
        "map": report["map"],
        "per_class": {"cat": report["map"]},
        "images": 1,
        "objects": 3,
    }
    area = evaluate([truth], [detections], metric="voc")
    assert area["map"] == pytest.approx((1 + 2 / 3 + 0.6) / 3, abs=1e-12)


def test_what_is_found_exactly_is_1_by_all_metrics() -> None:
    truths = [GroundTruth(BOXES, ["cat", "dog", "cat"]), GroundTruth([], [])]
    detections = [
        found(BOXES, [0.9, 0.8, 0.7], ["cat", "dog", "cat"]),
        found([], [], []),
    ]
    assert evaluate(truths, detections)["map"] == 1
    assert evaluate(truths, detections, metric="voc")["map"] == 1
    report = evaluate(truths, detections, metric="coco")
    assert report["metric"] == "coco"
    assert (report["map"], report["ap50"], report["ar100"]) == pytest.approx((1, 1, 1))
    assert report["per_class"] == pytest.approx({"cat": 1, "dog": 1})
    assert (report["images"], report["objects"]) == (2, 3)
    # There is no large object.
    assert report["ap_large"] is None


def test_the_least_overlap_is_asked_for() -> None:
    truth = GroundTruth([[0, 0, 10, 10]], ["cat"])
    half = found([[0, 0, 10, 6]], [0.9], ["cat"])
    assert evaluate([truth], [half])["map"] == 1
    assert evaluate([truth], [half], iou=0.6)["map"] == 1
    assert evaluate([truth], [half], iou=0.7)["map"] == 0


def test_difficult_objects_neither_count_nor_punish() -> None:
    truth = GroundTruth(BOXES, ["cat"] * 3, [False, True, False])
    detections = found(BOXES, [0.9, 0.8, 0.7], ["cat"] * 3)
    report = evaluate([truth], [detections])
    assert (report["map"], report["objects"]) == (1, 2)


def test_classes_are_compared_by_name() -> None:
    truth = GroundTruth(BOXES[:2], ["dog", "caf\u00e9"])
    # The ids are another detector's, and one name is written in other code points.
    names = ["cafe\u0301", "dog", "Dog"]
    detections = Detections([BOXES[1], BOXES[0], BOXES[0]], [0.9, 0.8, 0.7], [7, 3, 1], names)
    report = evaluate([truth], [detections])
    assert report["per_class"] == {"dog": 1, "caf\u00e9": 1, "Dog": None}
    assert report["map"] == 1


def test_numbers_may_come_in_many_forms() -> None:
    expected = evaluate([GroundTruth(BOXES, ["a"] * 3)], [found(BOXES, [0.9] * 3, ["a"] * 3)])
    array = np.array(BOXES)
    forms: list[tuple[Any, Any, Any, Any]] = [
        (array, np.full(3, 0.9), np.zeros(3, np.int32), np.zeros(3, bool)),
        (array.astype(int), (0.9, 0.9, 0.9), (0, 0, 0), (False,) * 3),
        (array[:, ::-1][:, ::-1].astype(np.float32), np.full(6, 0.9)[::2], [0] * 3, None),
    ]
    for boxes, scores, classes, difficult in forms:
        detections = Detections(boxes, scores, classes, ["a"] * 3)
        assert form(detections.boxes) == ("float32", (3, 4))
        assert len(detections) == 3
        truth = GroundTruth(boxes, ["a"] * 3, difficult)
        assert (truth.difficult.tolist(), len(truth)) == ([False] * 3, 3)
        assert evaluate([truth], [detections]) == expected


def test_the_report_is_the_command_line_s(cli: Cli, data: Path, detector_file: Path) -> None:
    detector = Detector.load(detector_file, score=0.01)
    names = (data / "ImageSets/Main/test.txt").read_text().split()
    truths = [ground_truth_from_voc(data / f"Annotations/{name}.xml") for name in names]
    photos = [data / f"JPEGImages/{name}.jpg" for name in names]
    detections = detector.detect_batch(photos)
    reports: list[dict[str, Any]] = [
        dict(evaluate(truths, detections)),
        dict(evaluate(truths, detections, metric="voc")),
        dict(evaluate(truths, detections, metric="coco")),
    ]
    for report in reports:
        metric = report.pop("metric")
        printed = cli.run("eval", detector_file, data, "--metric", metric, "--json")
        expected = json.loads(printed)
        assert metric == expected.pop("metric")
        per_class = report.pop("per_class")
        known = expected.pop("per_class")
        # The model's classes that occur nowhere have no name here.
        assert per_class == {name: known[name] for name in per_class}
        assert all(known[name] is None for name in known.keys() - per_class.keys())
        # Means are taken in another order of the classes.
        for key, number in report.items():
            if number is None:
                assert expected[key] is None, key
            else:
                assert number == pytest.approx(expected[key], rel=1e-12), key
    assert reports[0]["map"] is not None


def ground_truth_from_voc(path: Path) -> GroundTruth:
    boxes, names, difficult = [], [], []
    for each in ET.parse(path).iterfind("object"):
        corner = {tag: float(each.findtext(f"bndbox/{tag}", "")) for tag in CORNERS}
        boxes.append([corner["xmin"] - 1, corner["ymin"] - 1, corner["xmax"], corner["ymax"]])
        names.append(each.findtext("name", ""))
        difficult.append(each.findtext("difficult", "0") == "1")
    return GroundTruth(boxes, names, difficult)


CORNERS = ["xmin", "ymin", "xmax", "ymax"]


@pytest.mark.parametrize(
    ("truth", "detections", "options", "words"),
    [
        ((BOXES, ["a"] * 3), ([[5, 0, 1, 9]], [0.5], ["a"]), {}, "image 0, detection 0: .*x2 >= x1"),
        (([[0, 0, 0, 4]], ["a"]), ([], [], []), {}, "image 0, object 0: .*with an area"),
        ((BOXES, ["a"] * 3), ([NOTHING], [1.5], ["a"]), {}, "score from 0 to 1, found 1.5"),
        ((BOXES, ["a"] * 3), ([NOTHING], [NAN], ["a"]), {}, "found NaN"),
        ((BOXES, ["a"] * 3), ([[0, NAN, 9, 9]], [0.5], ["a"]), {}, "image 0, detection 0: .*NaN"),
        ((BOXES, ["a"] * 3), ([[0, 0, INF, 9]], [0.5], ["a"]), {}, "image 0, detection 0: .*inf"),
        (([[0, NAN, 9, 9]], ["a"]), ([], [], []), {}, "image 0, object 0: .*NaN"),
        ((BOXES, ["a"] * 3), ([], [], []), {"iou": NAN}, "found NaN"),
        ((BOXES, ["a"] * 3), ([], [], []), {"iou": 1.5}, "found 1.5"),
        ((BOXES, ["a", "", "a"]), ([], [], []), {}, 'class name "": the name is empty'),
        ((BOXES, ["background"] * 3), ([], [], []), {}, "added by the network"),
        ((BOXES, ["a"] * 3), ([], [], []), {"metric": "map"}, "'voc07', 'voc' or 'coco'"),
        ((BOXES, ["a"] * 3), ([], [], []), {"iou": 0.0}, "IoU threshold above 0"),
        ((BOXES, ["a"] * 3), ([], [], []), {"metric": "coco", "iou": 0.5}, "no effect"),
        (([], []), ([], [], []), {}, "found none in any image"),
    ],
)
def test_what_cannot_be_judged_is_told(
    truth: tuple[Any, list[str]],
    detections: tuple[Any, Any, list[str]],
    options: dict[str, Any],
    words: str,
) -> None:
    with pytest.raises(ValueError, match=words):
        evaluate([GroundTruth(*truth)], [found(*detections)], **options)


def test_lists_of_other_lengths_are_told() -> None:
    truth = GroundTruth(BOXES, ["a"] * 3)
    with pytest.raises(ValueError, match="as many images as have ground truths, 1, found those of 0"):
        evaluate([truth], [])
    wrongs: list[tuple[Callable[[], object], str]] = [
        (lambda: GroundTruth(BOXES, ["a"]), "names: expected as many as boxes, 3, found 1"),
        (lambda: GroundTruth(BOXES, ["a"] * 3, [True]), "difficult: .*found 1"),
        (lambda: found(BOXES, [0.5], ["a"] * 3), "scores: .*found 1"),
        (lambda: found([1, 2, 3, 4], [0.5], ["a"]), r"shape \[n, 4\].*found \[4\]"),
        (lambda: found([NOTHING], [[0.5]], ["a"]), r"scores: expected shape \[n\]"),
        (lambda: found(["cat"], [0.5], ["a"]), "could not convert"),
    ]
    for wrong, words in wrongs:
        with pytest.raises(ValueError, match=words):
            wrong()
    no_ids: Any = [0.5] * 3
    with pytest.raises(TypeError):
        Detections(BOXES, [0.5] * 3, no_ids, ["a"] * 3)
    no_detections: Any = truth
    with pytest.raises(TypeError):
        evaluate([truth], [no_detections])


def test_arrays_that_were_changed_meanwhile_are_checked_anew() -> None:
    truth = GroundTruth(BOXES, ["a"] * 3)
    detections = found(BOXES, [0.9] * 3, ["a"] * 3)
    detections.names.append("b")
    with pytest.raises(ValueError, match="names: .*found 4"):
        evaluate([truth], [detections])
    truth.boxes.resize(12, refcheck=False)
    with pytest.raises(ValueError, match=r"found \[12\]"):
        evaluate([truth], [found(BOXES, [0.9] * 3, ["a"] * 3)])
