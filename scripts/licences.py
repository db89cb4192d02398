#!/usr/bin/env python3
"""Prints the licences of all crates that the program is linked from.

    scripts/licences.py x86_64-unknown-linux-gnu > LICENCES

Texts are those that the crates bring, each printed once with the crates that bring it. A
crate that brings none gets the text of Apache 2.0 where it offers that, or else of MIT in
its authors' names; any other is an error.
"""

import collections
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = "ssdlite-cli"
FILES = re.compile(r"(un)?licen[cs]e|copying|copyright|notice", re.IGNORECASE)

# The standard library is no package of the lock file.
STANDARD_LIBRARY = """\
The standard library of Rust, under MIT or Apache-2.0 as follows, is linked too.
Its source and notices: https://github.com/rust-lang/rust
"""


def cargo(*arguments):
    done = subprocess.run(["cargo", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode()


def linked(target):
    """The packages of others that the program consists of, without those that run while
    it is built: of metadata's, which are the workspace's, those in the program's tree."""
    tree = ["--package", PROGRAM, "--edges", "normal,no-proc-macro", "--prefix", "none"]
    lines = cargo("tree", "--locked", "--target", target, *tree).splitlines()
    names = {tuple(line.split()[:2]) for line in lines}
    options = ["--locked", "--format-version", "1", "--filter-platform", target]
    packages = json.loads(cargo("metadata", *options))["packages"]
    found = [p for p in packages if (p["name"], f"v{p['version']}") in names]
    if len(found) != len(names):
        sys.exit(f"expected {len(names)} packages, as in the tree, found {len(found)}")
    found = [package for package in found if package["source"] is not None]
    return sorted(found, key=lambda package: (package["name"], package["version"]))


def without_text(package):
    """The text for a package that brings none."""
    licences = re.split(r"\s+OR\s+|/", package["license"].strip("()"))
    if "Apache-2.0" in licences:
        return (ROOT / "LICENSE-APACHE").read_text(encoding="utf-8")
    if "MIT" in licences:
        text = (ROOT / "LICENSE-MIT").read_text(encoding="utf-8")
        owner = ", ".join(package["authors"]) or f"the authors of {package['name']}"
        return re.sub(r"(?m)^Copyright.*$", f"Copyright (c) {owner}", text)
    sys.exit(f"{package['name']}: no text of its licence, {package['license']}")


def texts(package):
    folder = pathlib.Path(package["manifest_path"]).parent
    files = [p for p in folder.iterdir() if p.is_file() and FILES.match(p.name)]
    if package["license_file"]:
        files.append(folder / package["license_file"])
    found = [p.read_text(encoding="utf-8", errors="replace") for p in sorted(set(files))]
    return found or [without_text(package)]


def main():
    (target,) = sys.argv[1:]
    packages = linked(target)
    # By the words alone: line ends and indentation differ from crate to crate.
    crates, text_of = collections.defaultdict(list), {}
    for package in packages:
        for text in texts(package):
            words = " ".join(text.split())
            text_of.setdefault(words, text.strip("\r\n").replace("\r\n", "\n"))
            name = f"{package['name']} {package['version']} ({package['license']})"
            if name not in crates[words]:
                crates[words].append(name)
    print(STANDARD_LIBRARY)
    print(f"The {len(packages)} crates that are linked:\n")
    for package in packages:
        print(f"{package['name']} {package['version']}: {package['license']}")
    for words in sorted(crates, key=lambda words: (-len(crates[words]), crates[words])):
        print("\n" + "=" * 80)
        print("\n".join(crates[words]))
        print("=" * 80 + "\n")
        print(text_of[words])


if __name__ == "__main__":
    main()
