"""Threads, signals and processes of the interpreter."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from ssdlite import Classifier, Detections, Detector, GroundTruth, evaluate

from conftest import LOW
from results import assert_equal

Pixels = npt.NDArray[np.uint8]


def test_threads_share_a_detector(detector: Detector, photos: list[Path]) -> None:
    expected = [detector.detect(photo) for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        for found, of_one in zip(pool.map(detector.detect, photos * 3), expected * 3, strict=True):
            assert_equal(found, of_one)


@pytest.fixture
def threads_wait() -> Iterator[None]:
    """Threads that run Python keep the interpreter until they wait or let it go."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.parametrize("name", ["load", "detect", "detect_batch", "classify", "evaluate"])
@pytest.mark.usefixtures("threads_wait")
def test_other_threads_go_on_meanwhile(
    name: str, detector: Detector, classifier: Classifier, detector_file: Path, pixels: Pixels
) -> None:
    count = 2000
    truth = GroundTruth([[0, 0, 9, 9]] * count, ["a"] * count)
    guess = Detections([[0, 0, 9, 9]] * count, np.linspace(0, 1, count), [0] * count, ["a"] * count)
    call: Callable[[], object] = {
        "load": lambda: Detector.load(detector_file),
        "detect": lambda: detector.detect(pixels),
        "detect_batch": lambda: detector.detect_batch([pixels] * 4),
        "classify": lambda: classifier.classify(pixels),
        "evaluate": lambda: evaluate([truth], [guess]),
    }[name]
    begun, ended = threading.Event(), threading.Event()
    calls_after = []

    def work() -> None:
        begun.set()
        for _ in range(500):
            call()
            if ended.is_set():
                calls_after.append(name)
                return

    worker = threading.Thread(target=work)
    worker.start()
    begun.wait()
    # This thread is here while the other is in a call, or has made all of them.
    ended.set()
    worker.join()
    assert calls_after == [name]


def test_a_batch_is_interrupted(detector: Detector, pixels: Pixels) -> None:
    begun = threading.Event()

    def interrupt() -> None:
        begun.wait()
        signal.raise_signal(signal.SIGINT)

    # A batch that goes on to its end is an error.
    images: list[Pixels | bytes] = [pixels] * 5000 + [b"no image"]
    thread = threading.Thread(target=interrupt)
    thread.start()
    # A shell's background jobs begin with the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            begun.set()
            detector.detect_batch(images)
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(detector.detect(pixels)) > 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked there")
def test_a_forked_process_is_told_to_load_its_own(
    detector: Detector, detector_file: Path, pixels: Pixels
) -> None:
    single = Detector.load(detector_file, threads=1, score=LOW)
    expected = single.detect(pixels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        # Waiting for threads that are not there would never end.
        signal.alarm(60)
        outcome = 1
        try:
            assert_equal(single.detect(pixels), expected)
            with pytest.raises(ValueError, match="forked"):
                detector.detect(pixels)
            assert_equal(Detector.load(detector_file, score=LOW).detect(pixels), expected)
            outcome = 0
        finally:
            os._exit(outcome)
    _, status = os.waitpid(child, 0)
    assert status == 0


def test_results_are_sent_to_other_processes(detector: Detector, pixels: Pixels) -> None:
    found = detector.detect(pixels)
    assert_equal(pickle.loads(pickle.dumps(found)), found)
    truth = GroundTruth(found.boxes, found.names, [True] * len(found))
    copy = pickle.loads(pickle.dumps(truth))
    np.testing.assert_array_equal(copy.boxes, truth.boxes)
    assert (copy.names, copy.difficult.tolist()) == (truth.names, truth.difficult.tolist())
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(detector)


def test_a_second_interpreter_is_refused() -> None:
    program = """
try:
    import _interpreters
    run = lambda code: _interpreters.run_string(_interpreters.create("legacy"), code)
except ImportError:
    import _xxsubinterpreters as _interpreters
    run = lambda code: _interpreters.run_string(_interpreters.create(), code)
import ssdlite
run('''
try:
    import ssdlite
except ImportError as error:
    print("refused", flush=True)
''')
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout == "refused\n", ran.stderr
