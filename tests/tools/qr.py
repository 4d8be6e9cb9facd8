"""How many of the QR codes in generated pictures are read: by Mingpian, and by zbarimg.

    qr.py FOLDER SEED EACH READER...

Makes EACH pictures of each kind in FOLDER, lets READER and zbarimg read them, and prints what
each found by kind, and finds of what no picture says. READER takes paths on its standard input
and writes one JSON object, path to list of contents. Fails where READER reads fewer codes than
zbarimg does or finds one that is not there.
"""

import json
import subprocess
import sys
from multiprocessing import Pool
from pathlib import Path

import qr_pictures

ZBARIMG = ["zbarimg", "-q", "--nodbus", "--raw", "-Sdisable", "-Sqrcode.enable", "-Sbinary"]


def make(job):
    kind, folder, seed, each = job
    made = []
    for name, picture, contents, file in qr_pictures.pictures(seed, each, kind):
        ending, options = qr_pictures.FILES[file]
        path = str(folder / f"{name}.{ending}")
        picture.save(path, **options)
        made.append((path, kind.__name__, contents))
    return made


def by_reader(reader, pictures):
    paths = "\n".join(path for path, _, _ in pictures)
    done = subprocess.run(reader, input=paths, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def by_zbarimg(pictures):
    """Its raw output has nothing between two codes: what is known is taken out of it."""
    found = {}
    for path, _, contents in pictures:
        rest = subprocess.run([*ZBARIMG, path], stdout=subprocess.PIPE).stdout
        found[path] = []
        for content in contents:
            if content.encode() in rest:
                found[path].append(content)
                rest = rest.replace(content.encode(), b"", 1)
        if rest.strip():
            found[path].append(repr(rest))
    return found


def count(pictures, found):
    """(codes read, finds that are none) by kind."""
    counts = {}
    for path, kind, contents in pictures:
        read, false = counts.get(kind, (0, 0))
        seen, known = set(found[path]), set(contents)
        counts[kind] = (read + len(seen & known), false + len(seen - known))
    return counts


def total(counts):
    return tuple(sum(column) for column in zip(*counts.values()))


def report(pictures, ours, theirs):
    codes = {}
    for _, kind, contents in pictures:
        codes[kind] = codes.get(kind, 0) + len(contents)
    row = "{:<16} {:>6} {:>10} {:>6} {:>10} {:>6}".format
    print(row("kind", "codes", "mingpian", "false", "zbarimg", "false"))
    for kind in codes:
        print(row(kind, codes[kind], *ours[kind], *theirs[kind]))
    everything = sum(codes.values())
    print(row("all", everything, *total(ours), *total(theirs)))
    print(f"recall: mingpian {total(ours)[0] / everything:.1%}, zbarimg {total(theirs)[0] / everything:.1%}")


def main(folder, seed, each, *reader):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    kinds = qr_pictures.WITH + qr_pictures.WITHOUT
    with Pool() as pool:
        made = pool.map(make, [(kind, folder, seed, int(each)) for kind in kinds], 1)
    pictures = [picture for of_kind in made for picture in of_kind]
    ours = count(pictures, by_reader(reader, pictures))
    theirs = count(pictures, by_zbarimg(pictures))
    report(pictures, ours, theirs)
    return int(total(ours)[0] < total(theirs)[0] or total(ours)[1] > 0)


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
