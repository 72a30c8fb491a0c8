#!/usr/bin/env python3
"""Pictures of kinds that decoders treat apart, and what Pillow makes of them: `tests/fixtures/images/kinds/`.

Needs Pillow 13.0.0 and numpy:

    python3 tools/reference/input_pictures.py
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

SIDE = 32


def texture(channels, seed, cycles=1):
    """A soft pattern with all values, so that codecs with loss keep it."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    waves = [127.5 + 127.5 * np.sin(2 * np.pi * cycles * (x * (c + 1) + y * (seed - c)) + c) for c in range(channels)]
    return np.stack(waves, -1).round().astype(np.uint8).squeeze()


def main(root):
    folder = root / "kinds"
    folder.mkdir(exist_ok=True)
    rgb = Image.fromarray(texture(3, 2))
    # Decoders differ in how they spread the colours of a JPEG over its pixels: little where colours change slowly.
    soft = Image.fromarray(texture(3, 2, 0.2))
    rgba = Image.fromarray(texture(4, 2))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    exif = Image.Exif()
    exif[0x112] = 8
    files = {
        "progressive.jpg": (soft, {"quality": 90, "progressive": True}),
        "subsampled.jpg": (soft, {"quality": 90, "subsampling": 2}),
        "grey.jpg": (rgb.convert("L"), {"quality": 90}),
        "cmyk.jpg": (rgb.convert("CMYK"), {"quality": 90}),
        "srgb.jpg": (soft, {"quality": 50, "icc_profile": srgb}),
        "profile.png": (rgb, {"icc_profile": lab}),
        "lossy.webp": (rgb, {"quality": 80}),
        "alpha.webp": (rgba, {"lossless": True, "exact": True}),
        "animated.webp": (rgb, {"save_all": True, "append_images": [rgb.transpose(2)], "lossless": True}),
        "animated.png": (rgb, {"save_all": True, "append_images": [rgb.transpose(2)]}),
        "pages.tiff": (rgb, {"save_all": True, "append_images": [rgb.transpose(2)], "compression": "tiff_lzw"}),
        "deflate.tiff": (rgba, {"compression": "tiff_adobe_deflate"}),
        "bilevel.tiff": (rgb.convert("1"), {"compression": "group4"}),
        "turned.tiff": (rgb.crop((0, 0, SIDE, SIDE // 2)), {"exif": exif}),
        "palette.bmp": (rgb.convert("P", palette=Image.Palette.ADAPTIVE, colors=16), {}),
        "rgba.bmp": (rgba, {}),
        "palette4.png": (rgb.convert("P", palette=Image.Palette.ADAPTIVE, colors=16), {"bits": 4}),
    }
    rows = []
    for name, (picture, options) in files.items():
        picture.save(folder / name, **options)
        read = Image.open(folder / name)
        # Pillow turns TIFF upright by itself, when it loads the pixels.
        read.load()
        stem = name.replace(".", "_")
        row = {"input": f"kinds/{name}", "rgb": f"kinds/{stem}_rgb.png"}
        read.convert("RGB").save(root / row["rgb"], optimize=True, icc_profile=None)
        if "A" in read.mode:
            row |= {"on_white": f"kinds/{stem}_on_white.png", "alpha": f"kinds/{stem}_alpha.png"}
            white = Image.new("RGBA", read.size, "white")
            white.alpha_composite(read)
            white.convert("RGB").save(root / row["on_white"], optimize=True)
            read.getchannel("A").save(root / row["alpha"], optimize=True)
        rows.append(row)
    lines = ",\n".join(json.dumps(row) for row in rows)
    (root / "kinds.json").write_text(f'{{"cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main(Path(__file__).resolve().parents[2] / "tests" / "fixtures" / "images")
