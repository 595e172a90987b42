"""What people put in the place of weights: pickles, Git LFS pointers, error pages, archives.

Content counts first, then the suffix. Pickled formats run code when they are loaded,
so they are never opened; their first bytes tell enough.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pipeline.catalog.headers.vocabulary import FETCH_AGAIN, TAKE_SAFETENSORS
from pipeline.catalog.parts import Refusal

# What download managers and browsers leave beside a file that they have not finished, or call it until then.
PART_SUFFIXES: Final = (
    *(".aria2", ".crdownload", ".incomplete", ".part", ".partial", ".download", ".downloading", ".opdownload"),
    *(".!qB", ".!ut", ".bc!", ".fdmdownload", ".st", ".td", ".xltd", ".baiduyun.p.downloading"),
)
PICKLE_SUFFIXES: Final = frozenset({".bin", ".pt", ".pt2", ".pth", ".ckpt", ".pkl", ".pickle"})
_PICKLE: Final = Refusal(
    what="a pickled checkpoint", reason="loading one runs whatever code is inside it", instead=TAKE_SAFETENSORS
)
_ONNX: Final = Refusal(what="an ONNX model", reason="it is a compiled graph, not weights", instead=TAKE_SAFETENSORS)
_LFS: Final = Refusal(
    what="a Git LFS pointer",
    reason="the repository was cloned without its large files, so this is a note of some 130 bytes about one",
    instead="run `git lfs pull` there, or download the file itself",
)
_PAGE: Final = Refusal(
    what="a web page",
    reason="the download brought a page instead of the file: often one that asks for a login or for a licence",
    instead="accept the licence, log in, and fetch it again",
)
_TEXT: Final = Refusal(
    what="a text",
    reason="the download brought a message instead of the file, or it was never one of weights",
    instead="read it, then fetch the file again",
)
_ZEROS: Final = Refusal(
    what="a file of zeros", reason="room for it was reserved, and nothing has arrived", instead=FETCH_AGAIN
)
_EMPTY: Final = Refusal(what="an empty file", reason="nothing has arrived", instead=FETCH_AGAIN)
_BY_START: Final[tuple[tuple[bytes, Refusal], ...]] = (
    (b"version https://git-lfs.github.com", _LFS),
    *((b"\x80" + bytes([protocol]), _PICKLE) for protocol in range(2, 6)),
    (b"\x8bHDF\r\n\x1a\n"[:4], Refusal(what="an HDF5 file", reason="it is Keras's", instead=TAKE_SAFETENSORS)),
    (b"\x89HDF", Refusal(what="an HDF5 file", reason="it is Keras's", instead=TAKE_SAFETENSORS)),
    (b"\x93NUMPY", Refusal(what="a NumPy array", reason="it holds one tensor", instead=TAKE_SAFETENSORS)),
    *(
        (start, Refusal(what="an image", reason="it holds no weights", instead="take the model's file"))
        for start in (b"\x89PNG", b"\xff\xd8\xff", b"RIFF")
    ),
    *(
        (start, Refusal(what="an archive", reason="it is packed", instead="unpack it, and take the .safetensors file"))
        for start in (b"7z\xbc\xaf", b"Rar!", b"\x1f\x8b", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"BZh")
    ),
    (b"%PDF", Refusal(what="a PDF document", reason="it holds no weights", instead="take the model's file")),
    (b"ggml", Refusal(what="a GGML file", reason="the format was given up for GGUF", instead="take the .gguf file")),
    (b"lmgg", Refusal(what="a GGML file", reason="the format was given up for GGUF", instead="take the .gguf file")),
    (b"tjgg", Refusal(what="a GGML file", reason="the format was given up for GGUF", instead="take the .gguf file")),
    (b"FUGG", Refusal(what="a big-endian GGUF file", reason="it is for other machines", instead="take the usual one")),
)
_LENGTH_BYTES: Final = 8  # that a safetensors file begins with; fewer tell nothing
_PAGE_STARTS: Final = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<body", b"<error")


def refusal_of(first: bytes, suffix: str) -> Refusal | None:
    """Say what a file is that is neither safetensors nor GGUF; None if it could be one.

    Args:
        first: its first bytes, all of it if it is short.
    """
    if not first:
        return _EMPTY
    if _is_safetensors(first):  # the length of its head may begin like something else, as a pickle does
        return None
    if (refusal := next((refusal for start, refusal in _BY_START if first.startswith(start)), None)) is not None:
        return refusal
    if first.startswith(b"PK\x03\x04"):
        is_pickle = b"data.pkl" in first or b"archive/" in first or suffix.lower() in PICKLE_SUFFIXES
        return _PICKLE if is_pickle else next(refusal for _, refusal in _BY_START if refusal.what == "an archive")
    if suffix.lower() in PICKLE_SUFFIXES and not first.startswith(b"GGUF"):
        return _PICKLE
    if suffix.lower() == ".onnx":
        return _ONNX
    if not any(first):
        return _ZEROS
    return _of_text(first)


def parts_beside(path: Path) -> list[Path]:
    """What says that the download of a file is not finished."""
    return [part for suffix in PART_SUFFIXES if (part := path.with_name(path.name + suffix)).exists()]


def _of_text(first: bytes) -> Refusal | None:
    if len(first) <= _LENGTH_BYTES:
        return None
    start = first.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start[:16].lower().startswith(_PAGE_STARTS):
        return _PAGE
    try:
        text = first[:256].decode("utf-8")
    except UnicodeDecodeError:
        return None
    # The length that a safetensors file begins with ends in zeros: no text has them.
    return _TEXT if all(character.isprintable() or character in "\r\n\t" for character in text) else None


def _is_safetensors(first: bytes) -> bool:
    return len(first) > 8 and first[5:8] == b"\0\0\0" and first[8:9] == b"{"
