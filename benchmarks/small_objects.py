#!/usr/bin/env python3
"""Makes a detection set of small objects in large photos, from photos in class folders.

    python3 -m venv venv
    venv/bin/pip install numpy pillow
    venv/bin/python benchmarks/small_objects.py PHOTOS SET

PHOTOS has `train` and `test` with one folder a class in each, and photos that show
their object in the middle, such as the packages of the Grocery Store Dataset. Of each
photo the middle is cut out, shrunk to a small part of the canvas, turned, lit anew,
and laid with its shadow on another photo, which is enlarged until it covers the
canvas, and out of focus. Cuts from the rims of photos lie there too, and belong to no
class. SET gets VOC's layout with `trainval` = `train` + `val`, and `test`. No photo is
used in two of these lists, neither as an object nor as ground. The same photos and
options give the same set.
"""

import argparse
import pathlib
import random
import sys
from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

CANVAS = (1024, 768)
PHOTO_ENDINGS = {".jpg", ".jpeg", ".png"}

OBJECTS = (3, 12)
CUTS_OF_NO_CLASS = (2, 7)
# The longer side of an object that is not turned, as a part of the canvas's width.
SIDES = (0.04, 0.15)
# What is cut out, as parts of the photo's width and height.
MIDDLE_WIDTH = (0.30, 0.38)
MIDDLE_HEIGHT = (0.48, 0.60)
MOST_TURN = 20.0
MOST_HIDDEN = 0.3
ATTEMPTS = 40

# Radius in pixels of the ground's blur: photos of shelves show more of the classes,
# which have no boxes.
GROUND_BLUR = (5.0, 9.0)
SHADOW = 0.45
JPEG_QUALITY = 90

# Parts of all images, and of the training photos.
TEST_SHARE = 0.25
VAL_SHARE = 0.2


@dataclass(frozen=True)
class Photos:
    """The photos that one list's images are made of, by class."""

    by_class: dict[str, list[pathlib.Path]]

    @property
    def all(self) -> list[pathlib.Path]:
        return [path for paths in self.by_class.values() for path in paths]


@dataclass(frozen=True)
class Laid:
    """An object on the canvas: its box in pixels, right and bottom edges outside."""

    name: str
    box: tuple[int, int, int, int]


def photos_in(folder: pathlib.Path, classes: list[str]) -> dict[str, list[pathlib.Path]]:
    """The photos of each class, sorted by name."""
    found = {}
    for name in classes:
        if not (folder / name).is_dir():
            sys.exit(f"{folder / name}: expected a folder of photos, found none")
        paths = (folder / name).iterdir()
        found[name] = sorted(path for path in paths if path.suffix.lower() in PHOTO_ENDINGS)
        if len(found[name]) < 2:
            sys.exit(f"{folder / name}: expected two photos or more, found {len(found[name])}")
    return found


def class_folders(folder: pathlib.Path) -> list[str]:
    if not folder.is_dir():
        sys.exit(f"{folder}: expected a folder with a folder a class, found none")
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def divided(by_class: dict[str, list[pathlib.Path]], seed: int) -> tuple[Photos, Photos]:
    """Training photos for `train` and for `val`, of each class at least one."""
    train, val = {}, {}
    for name, paths in by_class.items():
        paths = list(paths)
        random.Random(f"{seed} {name}").shuffle(paths)
        count = max(1, round(VAL_SHARE * len(paths)))
        val[name], train[name] = paths[:count], paths[count:]
    return Photos(train), Photos(val)


def opened(path: pathlib.Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except OSError as error:
        sys.exit(f"{path}: expected a photo: {error}")


def ground(photos: Photos, rng: random.Random) -> Image.Image:
    """A photo that covers the canvas, out of focus."""
    photo = opened(rng.choice(photos.all))
    part = rng.uniform(0.6, 1.0)
    width, height = (round(side * part) for side in photo.size)
    left = rng.randint(0, photo.width - width)
    top = rng.randint(0, photo.height - height)
    photo = photo.crop((left, top, left + width, top + height))
    if rng.random() < 0.5:
        photo = ImageOps.mirror(photo)
    canvas = ImageOps.fit(photo, CANVAS, Image.Resampling.BICUBIC)
    canvas = canvas.filter(ImageFilter.GaussianBlur(rng.uniform(*GROUND_BLUR)))
    return lit(canvas, rng)


def lit(image: Image.Image, rng: random.Random) -> Image.Image:
    """The image in another light."""
    for enhance, low, high in [
        (ImageEnhance.Brightness, 0.7, 1.25),
        (ImageEnhance.Contrast, 0.8, 1.2),
        (ImageEnhance.Color, 0.7, 1.25),
    ]:
        image = enhance(image).enhance(rng.uniform(low, high))
    tint = [rng.uniform(0.94, 1.06) for _ in range(3)]
    tinted = numpy.asarray(image, dtype=numpy.float32) * tint
    return Image.fromarray(tinted.clip(0, 255).astype(numpy.uint8))


def middle_of(photo: Image.Image, rng: random.Random) -> Image.Image:
    """What a photo shows: a part around its middle."""
    width = photo.width * rng.uniform(*MIDDLE_WIDTH)
    height = photo.height * rng.uniform(*MIDDLE_HEIGHT)
    x = photo.width * rng.uniform(0.48, 0.52)
    y = photo.height * rng.uniform(0.46, 0.50)
    corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return photo.crop(tuple(round(corner) for corner in corners))


def rim_of(photo: Image.Image, rng: random.Random) -> Image.Image:
    """A part of a photo's left or right rim, too small for the things behind to be
    whole."""
    width = round(photo.width * rng.uniform(0.1, 0.15))
    height = round(photo.height * rng.uniform(0.1, 0.2))
    left = rng.choice([0, photo.width - width])
    top = rng.randint(0, photo.height - height)
    return photo.crop((left, top, left + width, top + height))


def cut_out(part: Image.Image, rng: random.Random) -> Image.Image:
    """A part of a photo as it will lie on the canvas: small, with round corners,
    turned, and clear around it."""
    part = lit(part, rng)
    corner = round(0.06 * min(part.size))
    alpha = Image.new("L", part.size)
    last = (part.width - 1, part.height - 1)
    ImageDraw.Draw(alpha).rounded_rectangle((0, 0, *last), radius=corner, fill=255)
    part.putalpha(alpha)
    # Small ones are as frequent as large ones on a scale of ratios.
    side = CANVAS[0] * SIDES[0] * (SIDES[1] / SIDES[0]) ** rng.random()
    scale = side / max(part.size)
    # Twice as large until it is turned, so that its edges come out smooth.
    size = tuple(max(2, round(2 * scale * length)) for length in part.size)
    part = part.resize(size, Image.Resampling.LANCZOS)
    angle = rng.uniform(-MOST_TURN, MOST_TURN)
    part = part.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    part = part.resize(tuple(max(1, length // 2) for length in part.size), Image.Resampling.BOX)
    return part.crop(part.getchannel("A").point(lambda alpha: 255 * (alpha > 127)).getbbox())


class Canvas:
    """An image in the making, and which pixels show which object."""

    def __init__(self, image: Image.Image):
        self.image = image
        self.owners = numpy.full((image.height, image.width), -1)
        self.areas: list[int] = []

    def lay(self, cut: Image.Image, rng: random.Random, is_object: bool) -> tuple | None:
        """Lays it where it hides at most MOST_HIDDEN of each object, and returns its
        box; None where no such place was found."""
        mask = numpy.asarray(cut.getchannel("A")) > 127
        for _ in range(ATTEMPTS):
            left = rng.randint(0, self.image.width - cut.width)
            top = rng.randint(0, self.image.height - cut.height)
            below = self.owners[top : top + cut.height, left : left + cut.width]
            if self.hides_too_much(below[mask]):
                continue
            below[mask] = len(self.areas) if is_object else -1
            if is_object:
                self.areas.append(int(mask.sum()))
            self.paste(cut, left, top)
            return (left, top, left + cut.width, top + cut.height)
        return None

    def hides_too_much(self, covered: numpy.ndarray) -> bool:
        """Whether an object of which these pixels are covered would not be seen enough;
        its other pixels may be covered already."""
        for index in numpy.unique(covered[covered >= 0]):
            seen = (self.owners == index).sum() - (covered == index).sum()
            if seen < (1 - MOST_HIDDEN) * self.areas[index]:
                return True
        return False

    def paste(self, cut: Image.Image, left: int, top: int) -> None:
        reach = max(2, round(0.06 * max(cut.size)))
        shadow = Image.new("L", self.image.size)
        alpha = cut.getchannel("A").point(lambda alpha: round(SHADOW * alpha))
        shadow.paste(alpha, (left + reach // 2, top + reach // 2))
        around = (left - 2 * reach, top - 2 * reach)
        around += (left + cut.width + 3 * reach, top + cut.height + 3 * reach)
        blurred = shadow.crop(around).filter(ImageFilter.GaussianBlur(reach / 2))
        black = Image.new("RGB", blurred.size)
        self.image.paste(black, around[:2], blurred)
        self.image.paste(cut.convert("RGB"), (left, top), cut.getchannel("A"))


def compose(photos: Photos, rng: random.Random) -> tuple[Image.Image, list[Laid]]:
    """An image and its objects."""
    canvas = Canvas(ground(photos, rng))
    names = sorted(photos.by_class)
    wanted = [rng.choice(names) for _ in range(rng.randint(*OBJECTS))]
    wanted += [None] * rng.randint(*CUTS_OF_NO_CLASS)
    rng.shuffle(wanted)
    laid = []
    for name in wanted:
        if name is None:
            part = rim_of(opened(rng.choice(photos.all)), rng)
        else:
            part = middle_of(opened(rng.choice(photos.by_class[name])), rng)
        box = canvas.lay(cut_out(part, rng), rng, is_object=name is not None)
        if name is not None and box is not None:
            laid.append(Laid(name, box))
    return canvas.image, laid


def annotation(file: str, laid: list[Laid]) -> str:
    """VOC's XML, whose pixels count from 1 with right and bottom edges inside."""
    lines = ["<annotation>", f"  <filename>{escape(file)}</filename>"]
    width, height = CANVAS
    lines.append(
        f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    )
    for one in laid:
        left, top, right, bottom = one.box
        corners = {"xmin": left + 1, "ymin": top + 1, "xmax": right, "ymax": bottom}
        bndbox = "".join(f"<{key}>{value}</{key}>" for key, value in corners.items())
        lines += [
            "  <object>",
            f"    <name>{escape(one.name)}</name>",
            "    <truncated>0</truncated>",
            "    <difficult>0</difficult>",
            f"    <bndbox>{bndbox}</bndbox>",
            "  </object>",
        ]
    return "\n".join([*lines, "</annotation>", ""])


def counts(images: int) -> dict[str, int]:
    test = round(TEST_SHARE * images)
    val = round(VAL_SHARE * (images - test))
    return {"train": images - test - val, "val": val, "test": test}


def write_set(root: pathlib.Path, lists: dict[str, Photos], images: int, seed: int) -> None:
    for folder in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (root / folder).mkdir(parents=True)
    stems = {}
    for split, count in counts(images).items():
        stems[split] = [f"{split}_{index:04}" for index in range(count)]
        for stem in stems[split]:
            image, laid = compose(lists[split], random.Random(f"{seed} {stem}"))
            image.save(root / "JPEGImages" / f"{stem}.jpg", quality=JPEG_QUALITY)
            (root / "Annotations" / f"{stem}.xml").write_text(annotation(f"{stem}.jpg", laid))
    stems["trainval"] = stems["train"] + stems["val"]
    for split, names in stems.items():
        text = "".join(f"{name}\n" for name in names)
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=pathlib.Path, help="with train/CLASS and test/CLASS")
    parser.add_argument("set", type=pathlib.Path, help="a folder that does not exist yet")
    parser.add_argument("--classes", nargs="+", help="folders to use; all by default")
    parser.add_argument("--images", type=int, default=300, help="10 at least")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.images < 10:
        parser.error(f"--images: expected 10 or more, found {arguments.images}")
    if arguments.set.exists():
        parser.error(f"{arguments.set}: expected a folder that does not exist yet")
    classes = arguments.classes or class_folders(arguments.photos / "train")
    train, val = divided(photos_in(arguments.photos / "train", classes), arguments.seed)
    test = Photos(photos_in(arguments.photos / "test", classes))
    lists = {"train": train, "val": val, "test": test}
    write_set(arguments.set, lists, arguments.images, arguments.seed)


if __name__ == "__main__":
    main()
