"""A line of a segment: the CRC-32 of a document as 8 hex digits, a space, the document, a newline.

A segment is written by one process only, each reply in one system call, so that a crash can tear
nothing but its last line.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path

BUFFER = 1 << 20


def line(document: bytes) -> bytes:
    """A document (without a newline) as a line."""
    return b"%08x %s\n" % (zlib.crc32(document), document)


def document(raw: bytes) -> bytes:
    """The document of a whole line.

    Raises
    ------
    ValueError
        When the checksum is not that of the document.
    """
    crc, _, content = raw[:-1].partition(b" ")
    if crc != b"%08x" % zlib.crc32(content):
        raise ValueError("damaged, its checksum does not match")
    return content


def raw_lines(file: Path, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Lines from a byte offset on, each with its own; one without a newline is cut off."""
    with file.open("rb", buffering=BUFFER) as stream:
        stream.seek(start)
        offset = start
        for raw in stream:
            yield offset, raw
            offset += len(raw)


def line_number(file: Path, offset: int) -> int:
    """The number, from 1, of the line at a byte offset."""
    with file.open("rb", buffering=BUFFER) as stream:
        number, left = 1, offset
        while left and (part := stream.read(min(BUFFER, left))):
            number += part.count(b"\n")
            left -= len(part)
    return number
