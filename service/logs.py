"""The log: one event a line on stderr, whatever stands in it.

Modules log through the standard library, with a fixed text as the event and what varies in
``extra``. Here their records, and those of every library, become lines.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterable
from itertools import islice
from json import JSONEncoder
from math import isfinite
from typing import Any, TextIO

import orjson
import structlog
from structlog.stdlib import ExtraAdder, ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

LINE_BYTES = 4096
"""A pipe keeps a write of so many bytes whole (POSIX: PIPE_BUF, on Linux 4096); the lines of
several workers that share one never mix."""

LENGTHS = (2048, 512, 128, 32)
"""Most characters of a value. The first that makes the line fit is taken."""

LONGEST_NAME = 64
MOST_FIELDS = 30
MOST_ITEMS = 20

_ORDINARY = frozenset({str, int, float, bool, type(None)})
_UNPRINTABLE = re.compile(r"[^ -~]")
_encode = JSONEncoder(allow_nan=False, separators=(",", ":")).encode

log = logging.getLogger(__name__)


def configure(log_format: str, level: str, stream: TextIO | None = None) -> None:
    """Send all that is logged, warned of, or raised and caught by nobody to ``stream``.

    For a process's main module, not for a library. ``log_format``: json, console, or auto,
    which is console on a terminal. Safe twice: the last call holds. Default stream: stderr.
    """
    stream = stream or sys.stderr
    handler = Lines(stream)
    handler.setFormatter(formatter(log_format, stream))
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level.upper())
    logging.captureWarnings(True)
    _look_for_no_more_than_is_told()
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *_described(),
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _look_for_no_more_than_is_told() -> None:
    """No record needs the line of code that made it, nor its thread (Python's Logging HOWTO,
    "Optimization")."""
    logging._srcfile = None
    logging.logThreads = logging.logMultiprocessing = logging.logProcesses = False


def writes_json(log_format: str, stream: TextIO | None = None) -> bool:
    return not (stream or sys.stderr).isatty() if log_format == "auto" else log_format == "json"


def formatter(log_format: str, stream: TextIO) -> logging.Formatter:
    if writes_json(log_format, stream):
        last: list[Processor] = [_json_line]
    else:
        colors = stream.isatty() and not os.environ.get("NO_COLOR")
        console = structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=structlog.dev.plain_traceback
        )
        last = [_made_printable, console]
    return _Formatter(
        foreign_pre_chain=[ExtraAdder(), *_described()],
        processors=[ProcessorFormatter.remove_processors_meta, _tell_error, *last],
    )


class _Formatter(ProcessorFormatter):
    """Does the same to an ordinary record with less ado, as three of them stand in a POST's way:
    the processors leave such a record as it is, so they need no copy of it."""

    def format(self, record: logging.LogRecord) -> str:
        if type(record.msg) is not str or record.exc_info or record.stack_info:
            return super().format(record)
        event: Any = {"event": record.getMessage(), "_record": record, "_from_structlog": False}
        for process in (*(self.foreign_pre_chain or ()), *self.processors):
            event = process(self.logger, record.levelname.lower(), event)
        return str(event)


class Lines(logging.StreamHandler[TextIO]):
    """Writes each record as one line, also one that can't be formatted."""

    def format(self, record: logging.LogRecord) -> str:
        try:
            return super().format(record)
        except Exception as error:  # noqa: BLE001 - the log must not break what it tells of
            about = {"logger": record.name, "reason": repr(error)}
            return self._plain(record, str(record.msg), about)

    def _plain(self, record: logging.LogRecord, event: str, about: dict[str, Any]) -> str:
        broken = logging.makeLogRecord({"name": record.name, "levelno": record.levelno})
        broken.levelname, broken.msg = record.levelname, event
        broken.__dict__.update(about)
        return super().format(broken)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - its name there
        """There is nowhere left to tell it."""


def _described() -> list[Processor]:
    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.contextvars.merge_contextvars,
        _add_process,
    ]


def _add_process(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event["pid"] = os.getpid()
    return event


def _tell_error(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """An exception becomes text under ``exception``."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()
    if isinstance(error, BaseException):
        error = (type(error), error, error.__traceback__)
    if error and error[0] is not None:
        event["exception"] = "".join(traceback.format_exception(*error)).rstrip()
    return event


# --- JSON -----------------------------------------------------------------------------------


def _json_line(_: WrappedLogger, __: str, event: EventDict) -> str:
    first = {name: event.pop(name, "") for name in ("timestamp", "level", "event")}
    fields = {**first, **dict(islice(event.items(), MOST_FIELDS))}
    if line := _ordinary_line(fields):
        return line
    for most in LENGTHS:
        line = _encoded(
            {short(str(k), LONGEST_NAME): plain(v, _most(k, most)) for k, v in fields.items()}
        )
        if len(line) < LINE_BYTES:
            return line
    return _encoded({name: plain(value, LENGTHS[-1]) for name, value in first.items()})


def _ordinary_line(fields: dict[str, Any]) -> str | None:
    """The line of values that can stand in it as they are, as nearly all do."""
    values = fields.values()
    floats = [value for value in values if type(value) is float]
    if not (_ORDINARY.issuperset(map(type, values)) and all(map(isfinite, floats))):
        return None
    try:
        line = orjson.dumps(fields, option=orjson.OPT_STRICT_INTEGER)
    except orjson.JSONEncodeError:
        return None
    # in a line so short no value is too long; a name may be
    if len(line) > LENGTHS[1] or not line.isascii() or max(map(len, fields)) > LONGEST_NAME:
        return None
    return _harmless(line.decode())


def _most(name: str, most: int) -> int:
    return most if name == "exception" else min(most, LENGTHS[1])


def _encoded(fields: dict[str, Any]) -> str:
    return _harmless(_encode(fields))


def _harmless(line: str) -> str:
    return line.replace("\x7f", "\\u007f")  # the one control character JSON allows


def plain(value: Any, most: int) -> Any:
    """The value as JSON can hold it, its texts no longer than ``most`` (and a remark)."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < 1 << 63:
        return int(value)
    if isinstance(value, float) and abs(value) < float("inf"):
        return float(value)
    if isinstance(value, dict):
        return {
            short(_text(k), LONGEST_NAME): _item(v, most)
            for k, v in islice(value.items(), MOST_ITEMS)
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_item(v, most) for v in islice(value, MOST_ITEMS)]
    return short(_text(value), most)


def _item(value: Any, most: int) -> Any:
    nested = isinstance(value, dict | list | tuple | set | frozenset)
    return short(_text(value), most) if nested else plain(value, most)


def short(text: str, most: int) -> str:
    """Its first and last characters if it is longer; of a traceback both ends tell most."""
    # a lone surrogate is no character: strict readers refuse the whole line
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= most:
        return text
    left = most // 2
    return f"{text[:left]} … {len(text) - most} characters … {text[left - most :]}"


def _text(value: Any) -> str:
    try:
        return str.__str__(value) if isinstance(value, str) else repr(value)
    except Exception:  # noqa: BLE001 - a stranger's __repr__, or an int of too many digits
        return f"<{type(value).__name__}>"


# --- the console ----------------------------------------------------------------------------


def _made_printable(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Nothing in it moves the cursor or begins a line, but for the lines of a traceback, which
    are indented so that none can pass for an event."""
    error = event.pop("exception", None)
    made = {printable(str(k)): _printable_value(v) for k, v in islice(event.items(), MOST_FIELDS)}
    if error:
        made["exception"] = "\n".join(_indented(str(error).splitlines()))
    return made


def _printable_value(value: Any) -> Any:
    value = plain(value, LENGTHS[0])
    return printable(value if isinstance(value, str) else repr(value))


def _indented(lines: Iterable[str]) -> Iterable[str]:
    return (f"    {printable(short(line, LENGTHS[1]))}" for line in islice(lines, 200))


def printable(text: str) -> str:
    """With what does not show, or changes how the rest shows, as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return _UNPRINTABLE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    return character if character.isprintable() else ascii(character)[1:-1]


# --- what nobody caught ---------------------------------------------------------------------


def _uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        log.info("interrupted")
    else:
        log.critical("an error that nobody caught", exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        told = (args.exc_type, args.exc_value, args.exc_traceback)
        name = args.thread.name if args.thread else None
        log.critical("a thread died of an error", exc_info=told, extra={"of_thread": name})


def _unraisable(args: Any) -> None:
    told = (args.exc_type, args.exc_value, args.exc_traceback)
    what = {"during": args.err_msg, "of_object": repr(args.object)}
    log.error("an error that could not be raised", exc_info=told, extra=what)
