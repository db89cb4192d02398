"""Comparing what was found."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ssdlite import Detections


def assert_equal(found: Detections, expected: Detections) -> None:
    """Fails where two results differ in a bit."""
    assert found.names == expected.names
    np.testing.assert_array_equal(found.classes, expected.classes)
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.boxes, expected.boxes)


def form(array: npt.NDArray[Any]) -> tuple[str, tuple[int, ...]]:
    """The type and the shape of an array."""
    return array.dtype.name, array.shape
