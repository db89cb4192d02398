#!/usr/bin/env python3
"""Trains detectors that differ in one thing each, evaluates and times them.

    cargo build --release -p ssdlite-cli
    cargo build --release -p ssdlite-infer --example photo
    python3 benchmarks/study.py STUDY --data bccd=BCCD,trainval --rows paper 'fpn*' --seeds 0 1 2
    python3 benchmarks/study.py STUDY --table

A row is a name for options of `ssdlite train` (ROWS, or --row NAME=OPTIONS), a data
set a VOC folder, NAME=FOLDER[,SPLIT TO LEARN FROM[,SPLIT TO EVALUATE ON]], by default
`train` and `test`. Of what learnt from `trainval` the last network is evaluated, since
`val` is no check on it, otherwise the best. With --subset only so many photos of
`trainval` are learnt from, under the name NAME-PHOTOS.

STUDY gets the runs, one line of JSON for each in results.jsonl, and the times of
inference in times.jsonl. What is there is not run again, so that a study that was
stopped goes on with the same command, and a table grows. Times are taken when all runs
are done, in rounds over the first seed of each row, so that a busy machine slows all.
"""

import argparse
import datetime
import fnmatch
import json
import pathlib
import random
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

import machine
from runs import run_json

PAPER = "--head ssdlite --finest 16 --boxes paper"
SSDLITE = "--head ssdlite --finest 8 --boxes fit"
FPN = "--head fpn --finest 8 --boxes fit"
SOFTMAX = "--classification-loss softmax"

# What each row gives `ssdlite train`, beside data, seed, threads and epochs.
ROWS = {
    # What a user gets who asks for nothing.
    "default": "",
    "default-large-320": "--backbone large --size 320",
    "default-small-416": "--size 416",
    # The paper's head, with its maps and boxes, then its losses and assignment, changed.
    "paper": PAPER,
    "paper-320": f"{PAPER} --size 320",
    "ssdlite-16-fit": "--head ssdlite --finest 16 --boxes fit",
    "ssdlite": SSDLITE,
    "ssdlite-giou": f"{SSDLITE} --regression-loss giou",
    "ssdlite-atss": f"{SSDLITE} --assignment atss",
    "ssdlite-atss-qfl-giou": (
        f"{SSDLITE} --assignment atss --classification-loss quality-focal"
        " --regression-loss giou"
    ),
    # The pyramid with ATSS, quality focal loss and GIoU, and one of them changed.
    "fpn": FPN,
    "fpn-16": "--head fpn --finest 16 --boxes fit",
    "fpn-paper-boxes": "--head fpn --finest 8 --boxes paper",
    "fpn-iou": f"{FPN} --assignment iou",
    "fpn-softmax": f"{FPN} {SOFTMAX}",
    "fpn-smooth-l1": f"{FPN} --regression-loss smooth-l1",
    "fpn-iou-softmax-smooth-l1": f"{FPN} --assignment iou {SOFTMAX} --regression-loss smooth-l1",
    # The recipe, one thing changed in the default.
    "recipe-200-epochs": "--epochs 200",
    "recipe-lr-2e-3": "--lr 0.002",
    "recipe-lr-4e-3": "--lr 0.004",
    "recipe-lr-16e-3": "--lr 0.016",
    "recipe-multi-step": "--schedule multi-step --epochs 50 --milestones 33,45",
    "recipe-warm-up-0.03": "--warmup 0.03",
    "recipe-warm-up-0.3": "--warmup 0.3",
    "recipe-no-average": "--ema 0",
    "recipe-average-0.998": "--ema 0.998",
    "recipe-no-iou-crop": "--iou-crop=false",
    "recipe-no-zoom-out": "--zoom-out 0",
    "recipe-zoom-out-0.2": "--zoom-out 0.2",
    "recipe-no-photometric": "--photometric 0",
    "recipe-batch-8": "--batch 8",
    "recipe-batch-24": "--batch 24",
    # As before 2026-11-28.
    "recipe-batch-24-lr-2e-3": "--batch 24 --lr 0.002",
    "recipe-sgd": "--optimizer sgd --lr 0.02 --weight-decay 0.0005",
    # What only the softmax takes notice of.
    "ssdlite-smoothing-0.1": f"{SSDLITE} --label-smoothing 0.1",
    "ssdlite-negatives-5": f"{SSDLITE} --negative-ratio 5",
}

TIMED_RUNS = 50
# More epochs than any run has.
NEVER = 100_000
SUBSET_SEED = "ssdlite study"
# The part of a subset that picks the best network.
SUBSET_VAL = 0.2


@dataclass(frozen=True)
class Data:
    """A data set and its splits."""

    name: str
    folder: pathlib.Path
    learnt: str = "train"
    evaluated: str = "test"

    @classmethod
    def parse(cls, text: str) -> "Data":
        name, _, rest = text.partition("=")
        folder, *splits = rest.split(",")
        if not name or not folder or len(splits) > 2:
            raise argparse.ArgumentTypeError(
                f"expected NAME=FOLDER[,SPLIT[,SPLIT]], found {text}"
            )
        folder = pathlib.Path(folder).resolve()
        if not (folder / "ImageSets" / "Main").is_dir():
            raise argparse.ArgumentTypeError(f"{folder}: expected a VOC folder with lists")
        return cls(name, folder, *splits)

    @property
    def model_file(self) -> str:
        return "last.safetensors" if self.learnt == "trainval" else "best.safetensors"

    def list(self, split: str) -> list[str]:
        path = self.folder / "ImageSets" / "Main" / f"{split}.txt"
        return [line.split()[0] for line in path.read_text().splitlines() if line.strip()]

    def subset(self, photos: int, parent: pathlib.Path) -> "Data":
        """The same photos to evaluate on, and so many of `trainval` to learn from: a
        folder of links and lists."""
        names = sorted(self.list("trainval"))
        if not 2 <= photos <= len(names):
            sys.exit(
                f"--subset: expected 2 to {len(names)} photos of {self.name}, found {photos}"
            )
        random.Random(SUBSET_SEED).shuffle(names)
        names = names[:photos]
        val = max(1, round(SUBSET_VAL * photos))
        lists = {"trainval": names, "val": names[:val], "train": names[val:]}
        lists[self.evaluated] = self.list(self.evaluated)
        folder = parent / f"{self.name}-{photos}"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "ImageSets" / "Main").mkdir(parents=True)
        for split, stems in lists.items():
            text = "".join(f"{stem}\n" for stem in stems)
            (folder / "ImageSets" / "Main" / f"{split}.txt").write_text(text)
        listed = {stem for stems in lists.values() for stem in stems}
        for part in ("Annotations", "JPEGImages"):
            (folder / part).mkdir()
            for path in (self.folder / part).iterdir():
                if path.stem in listed:
                    (folder / part / path.name).symlink_to(path)
        return Data(folder.name, folder, self.learnt, self.evaluated)

    def photo(self) -> pathlib.Path:
        """A photo to time with: the first of those to evaluate on."""
        stem = self.list(self.evaluated)[0]
        return next(iter(sorted((self.folder / "JPEGImages").glob(f"{stem}.*"))))


class Study:
    """A folder of runs and what came of them."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.results = folder / "results.jsonl"
        self.times = folder / "times.jsonl"

    def lines(self, path: pathlib.Path) -> list[dict]:
        return (
            [json.loads(line) for line in path.read_text().splitlines()]
            if path.exists()
            else []
        )

    def append(self, path: pathlib.Path, line: dict) -> None:
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def run_folder(self, data: str, row: str, seed: int) -> pathlib.Path:
        return self.folder / "runs" / f"{data} {row} {seed}".replace(" ", "-")

    def result(self, data: str, row: str, seed: int) -> dict | None:
        for line in self.lines(self.results):
            if (line["data"], line["row"], line["seed"]) == (data, row, seed):
                return line
        return None


def train(
    study: Study, data: Data, row: str, seed: int, words: list[str], ssdlite: str
) -> dict:
    """Trains a row, and returns seconds and images a second."""
    folder = study.run_folder(data.name, row, seed)
    # Without a result it was stopped; its time could not be told if it went on.
    shutil.rmtree(folder, ignore_errors=True)
    command = [ssdlite, "train", data.folder, "--train-split", data.learnt, *words]
    if data.model_file == "last.safetensors":
        # Evaluations on the way would choose nothing.
        command += ["--every", NEVER]
    command += ["--seed", seed, "--runs", folder.parent, "--name", folder.name, "--json"]
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.parent / f"{folder.name}.log"
    start = time.perf_counter()
    with log.open("w") as told:
        done = subprocess.run(
            [str(word) for word in command],
            check=False,
            stdout=subprocess.PIPE,
            stderr=told,
            text=True,
        )
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        raise RuntimeError(f"train ended with {done.returncode}:\n{log.read_text()[-800:]}")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    epochs = [line for line in lines if "images_per_second" in line]
    return {
        "train_seconds": round(seconds, 1),
        "epochs": len(epochs),
        "images_per_second": statistics.median(line["images_per_second"] for line in epochs),
    }


def evaluate(model: pathlib.Path, data: Data, ssdlite: str) -> dict:
    def evaluated(metric: str) -> dict:
        command = [ssdlite, "eval", model, data.folder, "--split", data.evaluated]
        return run_json([*command, "--metric", metric, "--json"])

    voc, coco = evaluated("voc07"), evaluated("coco")
    return {
        "map50_voc07": voc["map"],
        "map": coco["map"],
        "map_small": coco["ap_small"],
        "ap50_of_class": voc["per_class"],
        "images": voc["images"],
        "objects": voc["objects"],
    }


def run_row(
    study: Study, data: Data, row: str, seed: int, words: list[str], ssdlite: str
) -> None:
    """Trains and evaluates, and writes the result's line."""
    trained = train(study, data, row, seed, words, ssdlite)
    model = study.run_folder(data.name, row, seed) / data.model_file
    inspected = run_json([ssdlite, "inspect", model, "--json"])
    line = {"data": data.name, "row": row, "seed": seed, "options": shlex.join(words)}
    line |= {"learnt": data.learnt, "evaluated": data.evaluated, "model": data.model_file}
    line |= trained | evaluate(model, data, ssdlite)
    line |= {"parameters": inspected["parameters"], "macs": inspected["macs"]}
    line |= {"date": datetime.date.today().isoformat(), "processor": machine.cpu_model()}
    study.append(study.results, line)
    print(
        f"{data.name}, {row}, seed {seed}: mAP@.5 {line['map50_voc07']:.3f}, "
        f"mAP@.5:.95 {line['map']:.3f}, {line['train_seconds']:.0f} s",
        flush=True,
    )


def run_rows(study: Study, sets: list[Data], rows: dict[str, str], arguments) -> int:
    """Runs what has no result yet, and returns how many failed."""
    failed = 0
    shared = ["--threads", str(arguments.threads)]
    if arguments.epochs:
        shared += ["--epochs", str(arguments.epochs)]
    # Seeds last: a study that is stopped has all rows once before any twice.
    plan = [(seed, data, row) for seed in arguments.seeds for data in sets for row in rows]
    for seed, data, row in plan:
        own = shlex.split(rows[row])
        if "--epochs" in own:
            words = [*own, *shared[:2]]
        else:
            words = [*own, *shared]
        found = study.result(data.name, row, seed)
        if found:
            if found["options"] != shlex.join(words):
                sys.exit(
                    f"{data.name}, {row}, seed {seed}: expected the options of its result, "
                    f"{found['options']!r}, found {shlex.join(words)!r}; give the row another name"
                )
            continue
        try:
            run_row(study, data, row, seed, words, arguments.ssdlite)
        except (RuntimeError, subprocess.CalledProcessError) as error:
            failed += 1
            print(f"{data.name}, {row}, seed {seed}: {error}", file=sys.stderr, flush=True)
    return failed


def time_rows(study: Study, sets: list[Data], rows: dict[str, str], arguments) -> None:
    """Times the first seed of each row side by side, the network with resizing before
    and post-processing behind it."""
    for data in sets:
        models = {}
        for row in rows:
            seeds = [seed for seed in arguments.seeds if study.result(data.name, row, seed)]
            folders = (study.run_folder(data.name, row, seed) for seed in seeds)
            # A run may have been removed since its result was written.
            files = [folder / data.model_file for folder in folders]
            files = [file for file in files if file.is_file()]
            if files:
                models[row] = files[0]
        found = {row: [] for row in models}
        settings = [f"threads={arguments.threads}", f"runs={TIMED_RUNS}"]
        for _ in range(arguments.rounds):
            for row, model in models.items():
                found[row].append(run_json([arguments.example, model, data.photo(), *settings]))
        for row, runs in found.items():
            if not runs:
                continue
            line = {"data": data.name, "row": row, "threads": arguments.threads}
            for stage in ("resize_ms", "network_ms", "post_processing_ms"):
                line[stage] = statistics.median(run[stage] for run in runs)
            line |= {
                "date": datetime.date.today().isoformat(),
                "processor": machine.cpu_model(),
            }
            study.append(study.times, line)


def mean_text(values: list[float], digits: int) -> str:
    """The mean, and the standard deviation where there are several values."""
    text = f"{statistics.mean(values):.{digits}f}"
    if len(values) > 1:
        text += f" ± {statistics.stdev(values):.{digits}f}"
    return text


def time_text(line: dict | None) -> str:
    """Milliseconds an image, and those of the network alone."""
    if line is None:
        return ""
    stages = ("resize_ms", "network_ms", "post_processing_ms")
    return f"{sum(line[stage] for stage in stages):.2f} ({line['network_ms']:.2f})"


def print_table(study: Study, name: str, results: list[dict]) -> None:
    """Markdown of one data set; its rows in the order in which they were first run."""
    results = [line for line in results if line["data"] == name]
    # The last line of a row is the newest.
    times = {line["row"]: line for line in study.lines(study.times) if line["data"] == name}
    classes = list(results[0]["ap50_of_class"])
    first = results[0]
    print(f"### {name}\n")
    print(f"Learnt from `{first['learnt']}`, evaluated on `{first['evaluated']}`: ", end="")
    print(f"{first['images']} images, {first['objects']} objects.\n")
    columns = ["row", "mAP@.5, 11 points", "mAP@.5:.95", *classes]
    columns += [
        "training, s",
        "images/s",
        "inference (network), ms",
        "parameters",
        "seeds",
        "date",
    ]
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in dict.fromkeys(line["row"] for line in results):
        lines = [line for line in results if line["row"] == row]

        def mean(values, digits):
            # A class without a countable object has no precision.
            values = [value for value in values if value is not None]
            return mean_text(values, digits) if values else ""

        cells = [row, mean((line["map50_voc07"] for line in lines), 3)]
        cells.append(mean((line["map"] for line in lines), 3))
        cells += [mean((line["ap50_of_class"][c] for line in lines), 3) for c in classes]
        cells.append(mean((line["train_seconds"] for line in lines), 0))
        cells.append(mean((line["images_per_second"] for line in lines), 0))
        cells += [time_text(times.get(row)), f"{lines[0]['parameters']:,}"]
        cells.append(", ".join(str(line["seed"]) for line in lines))
        cells.append(max(line["date"] for line in lines))
        print("| " + " | ".join(cells) + " |")
    print("\nOptions of `ssdlite train`:\n")
    for row in dict.fromkeys(line["row"] for line in results):
        options = next(line["options"] for line in results if line["row"] == row)
        print(f"- {row}: `{options}`")
    print()


def print_tables(study: Study) -> None:
    results = study.lines(study.results)
    if not results:
        sys.exit(f"{study.results}: expected results, found none")
    processors = dict.fromkeys(line["processor"] for line in results + study.lines(study.times))
    print(f"Means and standard deviations over the seeds. {'; '.join(processors)}.\n")
    for name in dict.fromkeys(line["data"] for line in results):
        print_table(study, name, results)


def chosen(patterns: list[str], rows: dict[str, str], parser) -> dict[str, str]:
    """The rows that names or patterns, such as `fpn*`, choose."""
    found = {}
    for pattern in patterns:
        names = [name for name in rows if fnmatch.fnmatchcase(name, pattern)]
        if not names:
            parser.error(
                f"--rows: expected a row's name or pattern, found {pattern!r}; "
                f"there are: {', '.join(rows)}"
            )
        found |= {name: rows[name] for name in names}
    return found


def named_row(text: str) -> tuple[str, str]:
    name, is_there, options = text.partition("=")
    if not name or not is_there:
        raise argparse.ArgumentTypeError(f"expected NAME=OPTIONS, found {text}")
    return name, options


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("study", type=pathlib.Path, help="the folder of runs and results")
    parser.add_argument(
        "--data", type=Data.parse, nargs="+", metavar="NAME=FOLDER[,SPLIT[,SPLIT]]"
    )
    parser.add_argument("--rows", nargs="+", default=[], help="names of rows, or patterns")
    parser.add_argument(
        "--row",
        type=named_row,
        action="append",
        default=[],
        metavar="NAME=OPTIONS",
        help="one more row",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--subset",
        type=int,
        nargs="+",
        metavar="PHOTOS",
        help="learn from so many photos of trainval",
    )
    parser.add_argument(
        "--epochs", type=int, help="of rows that name none; ssdlite's by default"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of timing; 0 for none")
    parser.add_argument("--ssdlite", default="target/release/ssdlite", help="the binary")
    parser.add_argument("--example", default="target/release/examples/photo", help="the timer")
    parser.add_argument("--table", action="store_true", help="print what there is")
    arguments = parser.parse_args()
    study = Study(arguments.study.resolve())
    if arguments.table:
        print_tables(study)
        return
    if not arguments.data or not (arguments.rows or arguments.row):
        parser.error("expected --data and --rows or --row, or --table")
    rows = chosen(arguments.rows, ROWS, parser) | dict(arguments.row)
    for program, used in [(arguments.ssdlite, True), (arguments.example, arguments.rounds > 0)]:
        if used and not pathlib.Path(program).is_file():
            parser.error(
                f"{program}: expected a program, found none: see above how to build it"
            )
    study.folder.mkdir(parents=True, exist_ok=True)
    sets = arguments.data
    if arguments.subset:
        parent = study.folder / "data"
        sets = [data.subset(photos, parent) for data in sets for photos in arguments.subset]
    failed = run_rows(study, sets, rows, arguments)
    time_rows(study, sets, rows, arguments)
    sys.exit(f"{failed} runs failed" if failed else 0)


if __name__ == "__main__":
    main()
