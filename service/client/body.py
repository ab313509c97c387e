"""Request bodies that can be sent again, or know that they can't."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

PIECE = 1 << 16

Line = bytes | str | Mapping[str, Any]
Source = bytes | str | BinaryIO | Iterable[Line]


class Body:
    """A body made of lines, sent in pieces as the source gives them, never held whole.

    Text and bytes, a file that can seek, and whatever can be iterated again (a list) can be
    sent again; a pipe and a generator only as long as nothing was taken from them.
    ``failure`` is what the source raised while it was read: not the service's fault.
    """

    def __init__(self, source: Source) -> None:
        self._source = source.encode() if isinstance(source, str) else source
        self._begun = False
        self._start = _position(self._source)
        self.failure: Exception | None = None

    @property
    def replayable(self) -> bool:
        if not self._begun or self._start is not None:
            return True
        return not _is_file(self._source) and iter(self._source) is not self._source

    def pieces(self) -> Iterator[bytes]:
        """The body from its beginning."""
        if self._begun and self._start is not None:
            self._source.seek(self._start)  # type: ignore[union-attr]
        self._begun = True
        try:
            yield from _pieces(self._source)
        except Exception as error:
            self.failure = error
            raise


def _position(source: Any) -> int | None:
    seekable = _is_file(source) and hasattr(source, "seekable") and source.seekable()
    return source.tell() if seekable else None


def _is_file(source: Any) -> bool:
    return hasattr(source, "read") and not isinstance(source, io.TextIOBase)


def _pieces(source: Any) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
    elif _is_file(source):
        while piece := source.read(PIECE):
            yield piece
    else:
        yield from _gathered(map(_line, source))


def _gathered(lines: Iterable[bytes]) -> Iterator[bytes]:
    """A write for every line would cost more than the lines."""
    piece = bytearray()
    for line in lines:
        piece += line + b"\n"
        if len(piece) >= PIECE:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


def _line(line: Line) -> bytes:
    """One line without its end. Raises ValueError for what would become two."""
    if isinstance(line, Mapping):
        return dumps(line)
    text = line.encode() if isinstance(line, str) else line
    text = text.rstrip(b"\r\n")
    if b"\n" in text:
        raise ValueError(f"a line break inside of one line: {text[:80]!r}")
    return text


def dumps(value: Any) -> bytes:
    """JSON on one line. Raises TypeError and ValueError for what is not JSON, as NaN."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
