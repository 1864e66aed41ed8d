"""Files that are whole or not there: written beside and renamed, lines appended complete or not at all. No torch."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

_PLAIN = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


def write_whole(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    The folder must be there. `durable` waits until it is on the disk. Raises OSError (disk full, for instance); nothing
    is left behind then.
    """
    beside = path.parent / f".{path.name[:80]}.{secrets.token_hex(4)}.part"
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _PLAIN, 0o644)
        try:
            _write_all(handle, content)
            if durable:
                os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def settle(path: Path) -> None:
    """Wait until a file is on the disk. Raises OSError."""
    handle = os.open(path, os.O_RDWR | _PLAIN)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def share_file(path: Path, to: Path) -> bool:
    """Let a whole file that nobody will change stand in a second place too; False where the system cannot."""
    try:
        os.link(path, to)
        return True
    except OSError:
        return False


def append_line(path: Path, line: bytes, *, durable: bool = False) -> None:
    """Add one line with its newline to a file that has one writer.

    What an earlier writer left without a newline is closed with one first, so that it spoils no other line. When the
    disk is full the half-written line is taken back. Raises OSError.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _PLAIN, 0o644)
    try:
        size = os.fstat(handle).st_size
        if size:
            os.lseek(handle, size - 1, os.SEEK_SET)
            if os.read(handle, 1) != b"\n":
                line = b"\n" + line
        try:
            _write_all(handle, line + b"\n")
        except BaseException:
            with contextlib.suppress(OSError):
                os.ftruncate(handle, size)
            raise
        if durable:
            os.fsync(handle)
    finally:
        os.close(handle)


def read_up_to(path: Path, limit: int) -> bytes:
    """The file's bytes. Raises OSError, and ValueError for a file with more than `limit` bytes."""
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"{path.name} has more than {limit:,} bytes")
    return content


def read_between(path: Path, start: int, end: int | None = None) -> bytes:
    """The bytes from `start` (negative: counted from the end) up to `end`; nothing where there is no file."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            begin = max(0, size + start) if start < 0 else start
            file.seek(begin)
            return file.read() if end is None else file.read(max(0, end - begin))
    except FileNotFoundError:
        return b""


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def cut_to(path: Path, size: int) -> None:
    """Take away what stands in the file after so many bytes. Raises OSError."""
    if size_of(path) > size:
        os.truncate(path, max(0, size))


def size_of_folder(folder: Path) -> int:
    """Bytes of all files below, links not followed; files that vanish meanwhile count nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total


def _write_all(handle: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(handle, left) :]
