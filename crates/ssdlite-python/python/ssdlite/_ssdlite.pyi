from collections.abc import Sequence
from os import PathLike
from typing import Literal, final, overload

import numpy as np
import numpy.typing as npt

from ._types import CocoReport, Image, VocReport

__all__ = [
    "Classifier",
    "Detections",
    "Detector",
    "GroundTruth",
    "SsdliteError",
    "__version__",
    "evaluate",
]

__version__: str

class SsdliteError(Exception): ...

@final
class Detections:
    def __new__(
        cls,
        boxes: npt.ArrayLike,
        scores: npt.ArrayLike,
        classes: Sequence[int] | npt.NDArray[np.int64],
        names: Sequence[str],
    ) -> Detections: ...
    @property
    def boxes(self) -> npt.NDArray[np.float32]: ...
    @property
    def scores(self) -> npt.NDArray[np.float32]: ...
    @property
    def classes(self) -> npt.NDArray[np.int64]: ...
    @property
    def names(self) -> list[str]: ...
    def __len__(self) -> int: ...

@final
class GroundTruth:
    def __new__(
        cls,
        boxes: npt.ArrayLike,
        names: Sequence[str],
        difficult: Sequence[bool] | npt.NDArray[np.bool_] | None = None,
    ) -> GroundTruth: ...
    @property
    def boxes(self) -> npt.NDArray[np.float32]: ...
    @property
    def names(self) -> list[str]: ...
    @property
    def difficult(self) -> npt.NDArray[np.bool_]: ...
    def __len__(self) -> int: ...

@final
class Detector:
    @staticmethod
    def load(
        path: str | PathLike[str],
        *,
        threads: int | None = None,
        score: float | None = None,
        nms: float | None = None,
        max_detections: int | None = None,
        tiles: Literal["auto", "off"] | int | None = None,
    ) -> Detector: ...
    @property
    def class_names(self) -> list[str]: ...
    @property
    def threads(self) -> int: ...
    def detect(self, image: Image) -> Detections: ...
    def detect_batch(self, images: Sequence[Image] | npt.NDArray[np.uint8]) -> list[Detections]: ...

@final
class Classifier:
    @staticmethod
    def load(path: str | PathLike[str], *, threads: int | None = None) -> Classifier: ...
    @property
    def class_names(self) -> list[str]: ...
    @property
    def threads(self) -> int: ...
    def classify(self, image: Image) -> npt.NDArray[np.float32]: ...
    def classify_batch(
        self, images: Sequence[Image] | npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.float32]: ...
    def top(self, image: Image, most: int = 5) -> list[tuple[str, float]]: ...

@overload
def evaluate(
    ground_truths: Sequence[GroundTruth],
    detections: Sequence[Detections],
    *,
    metric: Literal["voc07", "voc"] = "voc07",
    iou: float | None = None,
) -> VocReport: ...
@overload
def evaluate(
    ground_truths: Sequence[GroundTruth],
    detections: Sequence[Detections],
    *,
    metric: Literal["coco"],
    iou: None = None,
) -> CocoReport: ...
