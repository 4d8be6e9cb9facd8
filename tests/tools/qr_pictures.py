"""Pictures with known QR codes, and pictures without any: what qr.py measures on.

Each picture has a kind and a seed of its own: the same one gives the same pixels.
"""

import math
import random

import segno
from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageFilter, ImageFont

HANZI = "扫码添加微信领取优惠客服预订酒店门票接机团购群聊好友专属福利名片"
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0123456789"
FILES = {
    "png": ("png", {}),
    "jpeg": ("jpg", {"quality": 85}),
    "jpeg30": ("jpg", {"quality": 30}),
    "webp": ("webp", {"quality": 75}),
    "webp_lossless": ("webp", {"lossless": True}),
}


def word(rng, length):
    return "".join(rng.choice(LETTERS) for _ in range(length))


def content(rng, length=None):
    """What codes of people, groups and shops say."""
    if length:
        return "https://example.com/" + word(rng, length)
    return rng.choice(
        [
            lambda: "https://u.wechat.com/" + word(rng, 23),
            lambda: "https://weixin.qq.com/g/" + word(rng, 16),
            lambda: "https://work.weixin.qq.com/u/vc" + word(rng, 16) + "?v=4.1.0.6007",
            lambda: "http://qm.qq.com/cgi-bin/qm/qr?k=" + word(rng, 32),
            lambda: "weixin://dl/add?" + word(rng, 10),
            lambda: "tel:+86138" + "".join(rng.choice("0123456789") for _ in range(8)),
            lambda: "HTTPS://T.CN/" + word(rng, 8).upper(),
        ]
    )()


def code(rng, text=None, error=None):
    text = text or content(rng)
    made = segno.make(text, error=error or rng.choice("LMQH"), micro=False, boost_error=False)
    return text, made


def is_finder(x, y, size):
    return any(x - a in range(7) and y - b in range(7) for a, b in ((0, 0), (size - 7, 0), (0, size - 7)))


def draw(made, module, border=4, dark=(0, 0, 0), light=(255, 255, 255), shape="square", dot=0.8):
    """The code as a picture; `module` in pixels, which need not be a whole number."""
    rows = [bytes(row) for row in made.matrix]
    size, fine = len(rows), max(4, math.ceil(module * 2))
    picture = Image.new("RGB", ((size + 2 * border) * fine,) * 2, light)
    pen = ImageDraw.Draw(picture)
    for y, row in enumerate(rows):
        for x, bit in enumerate(row):
            if not bit:
                continue
            left, top = (x + border) * fine, (y + border) * fine
            if shape == "square" or (shape == "dots" and is_finder(x, y, size)):
                pen.rectangle((left, top, left + fine - 1, top + fine - 1), dark)
            else:
                gap = fine * (1 - dot) / 2
                pen.ellipse((left + gap, top + gap, left + fine - 1 - gap, top + fine - 1 - gap), dark)
    side = max(1, round((size + 2 * border) * module))
    return picture.resize((side, side), Image.Resampling.BOX if module >= 2 else Image.Resampling.LANCZOS)


def octaves(rng, size, steps=5):
    """Smooth noise in color: clouds, walls, skin."""
    picture = Image.new("RGB", size, tuple(rng.randrange(60, 200) for _ in range(3)))
    for step in range(steps):
        n = 3 * 2**step
        layer = Image.frombytes("RGB", (n, n), rng.randbytes(3 * n * n))
        picture = Image.blend(picture, layer.resize(size, Image.Resampling.BICUBIC), 0.5 / (1 + step / 2))
    return picture


def shapes(rng, picture, count):
    pen = ImageDraw.Draw(picture, "RGBA")
    width, height = picture.size
    for _ in range(count):
        color = tuple(rng.randrange(256) for _ in range(3)) + (rng.randrange(90, 255),)
        x, y = rng.randrange(width), rng.randrange(height)
        w, h = rng.randrange(5, max(6, width // 3)), rng.randrange(5, max(6, height // 3))
        rng.choice(
            [
                lambda: pen.ellipse((x, y, x + w, y + h), color),
                lambda: pen.rectangle((x, y, x + w, y + h), color),
                lambda: pen.line((x, y, x + w, y + h), color, rng.randrange(1, 9)),
                lambda: pen.polygon([(x, y), (x + w, y + h // 3), (x + w // 2, y + h)], color),
                lambda: pen.text((x, y), word(rng, 12), color, font(rng.randrange(10, 60))),
            ]
        )()
    return picture


def font(size):
    return ImageFont.load_default(size)


def grain(rng, picture, strength):
    """Noise of single pixels, ± strength."""
    noise = Image.frombytes("L", picture.size, rng.randbytes(picture.width * picture.height))
    noise = noise.point(lambda v: v * 2 * strength // 255).convert(picture.mode)
    return ImageChops.add(picture, noise, 1, -strength)


def photo(rng, size=None):
    size = size or (rng.randrange(700, 1600), rng.randrange(700, 1600))
    picture = shapes(rng, octaves(rng, size), rng.randrange(10, 50))
    return grain(rng, picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2))), rng.randrange(2, 18))


def paste(picture, patch, at, mask=None):
    picture.paste(patch, (int(at[0]), int(at[1])), mask)


def somewhere(rng, picture, patch):
    return (
        rng.randint(0, max(0, picture.width - patch.width)),
        rng.randint(0, max(0, picture.height - patch.height)),
    )


def rotated(patch, angle, background=None):
    """Turned by degrees, with the mask of what is the patch."""
    mask = Image.new("L", patch.size, 255).rotate(angle, Image.Resampling.BICUBIC, expand=True)
    return patch.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor=background), mask


def solve(rows):
    """Gauss: rows of coefficients with the right side last."""
    n = len(rows)
    for i in range(n):
        pivot = max(range(i, n), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for r in range(n):
            if r != i:
                factor = rows[r][i] / rows[i][i]
                rows[r] = [a - factor * b for a, b in zip(rows[r], rows[i])]
    return [rows[i][n] / rows[i][i] for i in range(n)]


def tilted(rng, patch, strength):
    """Seen from the side: each corner moves in by up to `strength` of the width."""
    w, h = patch.size
    move = lambda: rng.uniform(0, strength) * w
    to = [(move(), move()), (w - move(), move()), (w - move(), h - move()), (move(), h - move())]
    rows = []
    for (x, y), (u, v) in zip(to, [(0, 0), (w, 0), (w, h), (0, h)]):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y, u])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y, v])
    numbers = solve(rows)
    bend = lambda p: p.transform((w, h), Image.Transform.PERSPECTIVE, numbers, Image.Resampling.BICUBIC)
    return bend(patch), bend(Image.new("L", patch.size, 255))


def on_page(rng, patch, color=(255, 255, 255)):
    margin = rng.randrange(0, 200)
    page = Image.new("RGB", (patch.width + margin, patch.height + rng.randrange(0, 200)), color)
    paste(page, patch, somewhere(rng, page, patch))
    return page


# Kinds with codes: each gives (picture, contents, file kind).


def plain(rng):
    text, made = code(rng)
    return on_page(rng, draw(made, rng.uniform(3, 12))), [text], rng.choice(list(FILES))


def several(rng):
    columns, rows, cell = rng.randint(2, 3), rng.randint(1, 3), 420
    page = Image.new("RGB", (columns * cell, rows * cell), (255, 255, 255))
    if rng.random() < 0.5:
        page = photo(rng, page.size)
    texts = []
    for i in range(columns * rows):
        text, made = code(rng)
        patch = draw(made, rng.uniform(3, 400 / (len(made.matrix) + 8)))
        paste(page, patch, (i % columns * cell + rng.randrange(20), i // columns * cell + rng.randrange(20)))
        texts.append(text)
    return page, texts, rng.choice(["png", "jpeg"])


def turned(rng):
    text, made = code(rng)
    patch, _ = rotated(draw(made, rng.uniform(3, 10)), rng.uniform(0, 360), (255, 255, 255))
    return on_page(rng, patch), [text], rng.choice(["png", "jpeg"])


def tiny(rng):
    text, made = code(rng)
    return on_page(rng, draw(made, rng.uniform(1.3, 2.5))), [text], "png"


def huge(rng):
    text, made = code(rng)
    return draw(made, rng.uniform(2500, 4500) / (len(made.matrix) + 8)), [text], "jpeg"


def faint(rng):
    text, made = code(rng)
    light = rng.randrange(120, 250)
    dark = light - rng.randrange(14, 45)
    patch = draw(made, rng.uniform(4, 9), dark=(dark,) * 3, light=(light,) * 3)
    return grain(rng, on_page(rng, patch, (light,) * 3), 2), [text], rng.choice(["png", "jpeg"])


def jpeg30(rng):
    text, made = code(rng)
    patch = draw(made, rng.uniform(2.5, 5))
    page = photo(rng)
    paste(page, patch, somewhere(rng, page, patch))
    return page, [text], "jpeg30"


def logo(rng):
    text, made = code(rng, error=rng.choice("QH"))
    patch = draw(made, rng.uniform(5, 10))
    side = int(patch.width * rng.uniform(0.14, 0.24))
    corner = (patch.width - side) // 2
    paste(patch, photo(rng, (side, side)), (corner, corner))
    return on_page(rng, patch), [text], "jpeg"


def perspective(rng, strength=0.12):
    text, made = code(rng)
    patch = draw(made, rng.uniform(6, 12))
    square = Image.new("RGBA", patch.size)
    square.paste(patch)
    bent, mask = tilted(rng, square, strength)
    bent.putalpha(mask)
    bent = bent.rotate(rng.uniform(-45, 45), Image.Resampling.BICUBIC, expand=True)
    page = photo(rng, (bent.width + rng.randrange(100, 700), bent.height + rng.randrange(100, 700)))
    paste(page, bent, somewhere(rng, page, bent), bent)
    page = ImageEnhance.Brightness(page.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 1.2))))
    return grain(rng, page.enhance(rng.uniform(0.6, 1.1)), rng.randrange(3, 14)), [text], "jpeg"


def steep(rng):
    return perspective(rng, 0.22)


def inverted(rng):
    text, made = code(rng)
    dark = tuple(rng.randrange(0, 70) for _ in range(3))
    patch = draw(made, rng.uniform(3, 10), dark=(255, 255, 255), light=dark)
    return on_page(rng, patch, dark), [text], rng.choice(["png", "jpeg"])


def dotted(rng):
    text, made = code(rng, error=rng.choice("MQH"))
    shape = rng.choice(["dots", "dots", "dots", "all dots"])
    return on_page(rng, draw(made, rng.uniform(5, 14), shape=shape, dot=rng.uniform(0.6, 0.95))), [text], "png"


def borderless(rng):
    """No quiet zone: on black, on a photo, or at the picture's very edge."""
    text, made = code(rng)
    patch = draw(made, rng.uniform(4, 9), border=0)
    page = rng.choice([
        lambda: patch,
        lambda: photo(rng, (patch.width + 300, patch.height + 300)),
        lambda: Image.new("RGB", (patch.width + 120, patch.height + 120), (rng.randrange(90),) * 3),
    ])()
    if page is not patch:
        paste(page, patch, somewhere(rng, page, patch))
    return page, [text], "jpeg"


def small_in_large(rng):
    text, made = code(rng)
    patch = draw(made, rng.uniform(3, 6))
    page = photo(rng, (rng.randrange(2400, 4000), rng.randrange(2400, 4000)))
    paste(page, patch, somewhere(rng, page, patch))
    return page, [text], "jpeg"


def blurred(rng):
    text, made = code(rng)
    module = rng.uniform(5, 10)
    page = on_page(rng, draw(made, module))
    return page.filter(ImageFilter.GaussianBlur(module * rng.uniform(0.3, 0.62))), [text], "jpeg"


def noisy(rng):
    text, made = code(rng)
    page = on_page(rng, draw(made, rng.uniform(5, 10)))
    return grain(rng, page.point(lambda v: 40 + v * 170 // 255), rng.randrange(40, 110)), [text], "jpeg"


def colored(rng):
    text, made = code(rng)
    dark, light = rng.choice([
        ((7, 193, 96), (255, 255, 255)), ((200, 30, 30), (255, 240, 220)), ((30, 60, 160), (250, 220, 60)),
        ((120, 20, 130), (210, 240, 250)), ((20, 90, 30), (190, 230, 160)), ((230, 90, 20), (255, 255, 255)),
    ])
    return on_page(rng, draw(made, rng.uniform(4, 9), dark=dark, light=light)), [text], "jpeg"


def transparent(rng):
    """Dark or light modules on nothing: what the viewer's page shows through."""
    text, made = code(rng)
    dark = rng.choice([(0, 0, 0), (40, 40, 40), (255, 255, 255)])
    mask = ImageChops.invert(draw(made, rng.uniform(4, 9)).convert("L"))
    picture = Image.new("RGBA", mask.size, dark)
    picture.putalpha(mask)
    return picture, [text], rng.choice(["png", "webp_lossless"])


def shaded(rng):
    """Under a lamp and a shadow's edge."""
    text, made = code(rng)
    page = on_page(rng, draw(made, rng.uniform(5, 10)))
    light = Image.linear_gradient("L").rotate(rng.randrange(360), expand=False).resize(page.size)
    light = light.point(lambda v: 30 + v * 225 // 255)
    pen, (w, h) = ImageDraw.Draw(light), page.size
    pen.polygon([(0, 0), (w * rng.random(), 0), (w * rng.random(), h), (0, h)], rng.randrange(60, 120))
    light = light.filter(ImageFilter.GaussianBlur(4))
    return grain(rng, ImageChops.multiply(page, light.convert("RGB")), 4), [text], "jpeg"


def chinese(rng):
    text = "".join(rng.choice(HANZI) for _ in range(rng.randint(4, 40)))
    made = segno.make(text, error="M", micro=False, encoding="utf-8")
    return on_page(rng, draw(made, rng.uniform(3, 9))), [text], rng.choice(["png", "webp"])


def dense(rng):
    text, made = code(rng, content(rng, rng.randint(250, 1100)), "L")
    return on_page(rng, draw(made, rng.uniform(3, 6))), [text], "png"


def poster(rng):
    """A screenshot: a bar above, a photo, words, and one or two codes."""
    page = Image.new("RGB", (1080, rng.randrange(1600, 2400)), (rng.randrange(200, 256),) * 3)
    paste(page, photo(rng, (1080, 700)), (0, 120))
    pen, texts = ImageDraw.Draw(page), []
    for line in range(12):
        pen.text((60, 860 + line * 40), word(rng, rng.randint(10, 40)), (60, 60, 60), font(28))
    for i in range(rng.randint(1, 2)):
        text, made = code(rng)
        paste(page, draw(made, rng.uniform(2.5, 6)), (60 + 500 * i, page.height - 480))
        texts.append(text)
    return page, texts, rng.choice(["jpeg", "webp", "png"])


def mirrored(rng):
    text, made = code(rng)
    page = on_page(rng, draw(made, rng.uniform(3, 9)))
    return page.transpose(Image.Transpose.FLIP_LEFT_RIGHT), [text], "png"


def hidden(rng):
    """Two things at once, by who would not be seen: inverted, dotted, tilted, faint."""
    text, made = code(rng, error=rng.choice("QH"))
    light, dark = rng.choice([((230, 230, 230), (120, 120, 120)), ((60, 30, 30), (200, 190, 180))])
    patch = draw(made, rng.uniform(6, 12), dark=dark, light=light, shape=rng.choice(["square", "dots"]))
    square = Image.new("RGBA", patch.size)
    square.paste(patch)
    bent, mask = tilted(rng, square, 0.08)
    bent.putalpha(mask)
    bent = bent.rotate(rng.uniform(0, 360), Image.Resampling.BICUBIC, expand=True)
    page = photo(rng, (bent.width + 200, bent.height + 200))
    paste(page, bent, somewhere(rng, page, bent), bent)
    return page, [text], "jpeg"


def rounded(rng):
    """Modules that flow into each other, rings for finders' frames."""
    text, made = code(rng, error=rng.choice("MQH"))
    module = rng.uniform(6, 12)
    soft = draw(made, module * 3).filter(ImageFilter.GaussianBlur(module * rng.uniform(0.7, 1.1)))
    soft = soft.point(lambda v: 255 if v > 128 else 0)
    return on_page(rng, soft.resize((soft.width // 3, soft.height // 3), Image.Resampling.BOX)), [text], "png"


WITH = [
    plain, several, turned, tiny, huge, faint, jpeg30, logo, perspective, steep, inverted, dotted, borderless,
    small_in_large, blurred, noisy, colored, transparent, shaded, chinese, dense, poster, mirrored, hidden, rounded,
]  # fmt: skip


# Kinds without.


def no_photo(rng):
    return photo(rng), "jpeg"


def no_noise(rng):
    w, h = rng.randrange(200, 900), rng.randrange(200, 900)
    noise = Image.frombytes("L", (w, h), rng.randbytes(w * h))
    return noise.filter(ImageFilter.GaussianBlur(rng.choice([0, 1, 2]))), "png"


def no_checkers(rng):
    n, cell = rng.randrange(15, 80), rng.randrange(2, 14)
    board = Image.new("L", (n, n))
    rule = rng.choice([
        lambda x, y: (x + y) % 2, lambda x, y: y % 2, lambda x, y: x % 3 == 0, lambda x, y: (x + y) % 3 == 0,
        lambda x, y: (y // 2 + x // 3) % 2, lambda x, y: x * y % 2 + x * y % 3 == 0,
    ])
    board.putdata([0 if rule(x, y) else 255 for y in range(n) for x in range(n)])
    return board.resize((n * cell, n * cell), Image.Resampling.NEAREST), "png"


def no_text(rng):
    page = Image.new("RGB", (900, 1200), (255, 255, 255))
    pen, size = ImageDraw.Draw(page), rng.randrange(12, 50)
    for y in range(20, 1150, size + 6):
        pen.text((20, y), " ".join(word(rng, rng.randint(1, 9)) for _ in range(20)), (20, 20, 20), font(size))
    return page, "jpeg"


def no_barcode(rng):
    page = Image.new("RGB", (700, 400), (255, 255, 255))
    pen, x = ImageDraw.Draw(page), 60
    module = rng.randint(1, 5)
    while x < 620:
        bar = rng.randint(1, 4) * module
        pen.rectangle((x, 60, x + bar - 1, 330), (0, 0, 0))
        x += bar + rng.randint(1, 4) * module
    return page.rotate(rng.choice([0, 90, rng.uniform(0, 360)]), expand=True, fillcolor=(255,) * 3), "png"


def no_targets(rng):
    """Finders, three and more, and nothing between them but noise."""
    n, module = rng.choice([21, 25, 29, 33, 41, 45]), rng.randint(3, 8)
    _, made = code(rng)
    finder = [bytes(row)[:7] for row in made.matrix[:7]]
    grid = Image.frombytes("L", (n + 8, n + 8), bytes(rng.choice((0, 255)) for _ in range((n + 8) ** 2)))
    for left, top in ((4, 4), (n - 3, 4), (4, n - 3)):
        grid.paste(255, (left - 1, top - 1, left + 8, top + 8))
        for y in range(7):
            for x in range(7):
                grid.putpixel((left + x, top + y), 0 if finder[y][x] else 255)
    return grid.resize(((n + 8) * module,) * 2, Image.Resampling.NEAREST), "png"


def no_damaged(rng):
    """A real code with so much of it turned over that nobody can say what it said."""
    _, made = code(rng)
    page = draw(made, 6)
    pen, modules = ImageDraw.Draw(page), len(made.matrix)
    for y in range(modules):
        for x in range(modules):
            if not is_finder(x, y, modules) and rng.random() < 0.6:
                left, top = (x + 4) * 6, (y + 4) * 6
                pen.rectangle((left, top, left + 5, top + 5), rng.choice([(0,) * 3, (255,) * 3]))
    return page, "png"


def no_rings(rng):
    page = Image.new("RGB", (900, 900), (255, 255, 255))
    pen = ImageDraw.Draw(page)
    for _ in range(40):
        x, y, r = rng.randrange(900), rng.randrange(900), rng.randrange(8, 90)
        shape = rng.choice([pen.ellipse, pen.rectangle])
        for k, color in ((7, 0), (5, 255), (3, 0)):
            shape((x - r * k / 7, y - r * k / 7, x + r * k / 7, y + r * k / 7), (color,) * 3)
    return page, "png"


def no_halftone(rng):
    small = photo(rng, (160, 160)).convert("1")
    return small.resize((160 * rng.randint(2, 6),) * 2, Image.Resampling.NEAREST).convert("L"), "png"


def no_grid(rng):
    """Like a code of another kind: a random grid in a frame."""
    n, module = rng.randrange(12, 60), rng.randint(3, 10)
    grid = Image.frombytes("L", (n, n), bytes(rng.choice((0, 255)) for _ in range(n * n)))
    pen = ImageDraw.Draw(grid)
    pen.line((0, 0, 0, n), 0)
    pen.line((0, n - 1, n, n - 1), 0)
    return grid.resize((n * module,) * 2, Image.Resampling.NEAREST), rng.choice(["png", "jpeg"])


WITHOUT = [
    no_photo, no_noise, no_checkers, no_text, no_barcode, no_targets, no_damaged, no_rings, no_halftone, no_grid,
]  # fmt: skip


def pictures(seed, each, kind):
    """Yields (name, picture, contents, file kind)."""
    for i in range(each):
        made = kind(random.Random(f"{seed} {kind.__name__} {i}"))
        contents = made[1] if len(made) == 3 else []
        yield f"{kind.__name__}-{i:02}", made[0], contents, made[-1]
