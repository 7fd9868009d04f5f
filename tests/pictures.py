"""Small pictures in many file layouts, for the tests that read images."""

import struct

import numpy as np
from PIL import Image

RAMP = np.linspace(0, 1, 48 * 64).reshape(48, 64)
PHOTO = (np.stack([RAMP, RAMP[::-1], RAMP**2], 2) * 255).astype(np.uint8)
GREY = (RAMP * 255).astype(np.uint8)


def raw_tiff(path, width, height, bits, data, photometric=1, first_offset=None):
    """A TIFF written by hand, for layouts that no library writes."""
    tags = [(256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 1), (262, 3, photometric)]
    tags += [(273, 4, 8 + 2 + 8 * 12 + 4), (277, 3, 1), (279, 4, len(data))]
    out = b"II*\0" + struct.pack("<IH", 8, 8)
    for tag, kind, value in tags:
        out += struct.pack("<HHII", tag, kind, 1, value)
    path.write_bytes(out + struct.pack("<I", first_offset or 0) + data)


def saved(path, pixels, mode=None, **options):
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


LAYOUTS = {
    "planar": {"planarconfig": "separate"},
    "tiled": {"tile": (32, 32)},
    "planar tiles": {"planarconfig": "separate", "tile": (16, 32)},
    "strips": {"rowsperstrip": 5},
    "deflate": {"compression": "zlib"},
    "deflate with predictor": {"compression": "zlib", "predictor": True, "tile": (16, 16)},
    "lzw": {"compression": "lzw"},
    "packbits": {"compression": "packbits"},
    "big-endian": {"byteorder": ">"},
    "bigtiff": {"bigtiff": True},
}
