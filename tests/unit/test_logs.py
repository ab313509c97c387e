from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from structlog.stdlib import ProcessorFormatter

from service import logs
from service.engine.surprises import Surprises

HOSTILE = [
    "two\nlines",
    "carriage\r\nreturn",
    "\x1b[31mred\x1b[2J",
    "\u2028line\u2029paragraph\x85next\x0b\x0c\x1c\x1d\x1e",
    "nul \x00 del \x7f bell \a",
    "right\u202eto left, zero\u200bwidth",
    "a lone \ud800 surrogate",
    "long " * 100_000,
    "\U0001f600" * 5_000,
    "\x7f" * 5_000,
    '{"timestamp":"2000-01-01","level":"info","event":"forged"}',
]

any_text = st.text(st.characters(codec=None, categories=None), max_size=200)
any_value = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | any_text
    | st.binary(max_size=50)
    | st.sampled_from([*HOSTILE, object()]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(any_text, inner, max_size=5),
    max_leaves=20,
)


def written(log_format: str, event: str, error: BaseException | None = None, **more: Any) -> str:
    """What a handler of ours writes for a record."""
    stream = io.StringIO()
    handler = logs.Lines(stream)
    handler.setFormatter(logs.formatter(log_format, stream))
    record = logging.makeLogRecord(
        {"name": "test", "levelname": "WARNING", "levelno": 30, "msg": event, **more}
    )
    if error:
        record.exc_info = (type(error), error, error.__traceback__)
    handler.handle(record)
    return stream.getvalue()


def without_its_time(line: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(line)
    del told["timestamp"]
    return told


def one_json_line(text: str) -> dict[str, Any]:
    assert text.endswith("\n")
    line = text[:-1]
    assert line.isascii()
    assert line.isprintable()
    assert len(text) <= 4096, "it may be mixed with another worker's line"
    event: dict[str, Any] = json.loads(line, parse_constant=pytest.fail)
    json.dumps(event, ensure_ascii=False).encode()  # strict: no lone surrogate
    assert (event["level"], bool(event["timestamp"])) == ("warning", True)
    return event


@given(event=any_text, value=any_value, name=any_text)
def test_whatever_is_told_is_one_json_line(event: str, value: Any, name: str) -> None:
    more = {"value": value, f"x{name}": value}
    told = one_json_line(written("json", event, ValueError(value), **more))
    assert "ValueError" in told["exception"]


@given(event=any_text, value=any_value)
def test_whatever_is_told_is_one_printable_line_on_a_console(event: str, value: Any) -> None:
    text = written("console", event, value=value)
    assert text.count("\n") == 1
    assert text[:-1].isprintable()


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_line_of_a_traceback_can_pass_for_an_event(hostile: str) -> None:
    first, *rest = written("console", "failed", ValueError(hostile)).split("\n")
    assert "failed" in first
    assert rest.pop() == ""
    assert rest
    assert all(line.startswith("    ") and line.isprintable() for line in rest)


def test_a_traceback_stands_in_the_line_of_its_event() -> None:
    try:
        raise KeyError("where")
    except KeyError as error:
        told = one_json_line(written("json", "failed", error))
    assert "test_logs.py" in told["exception"]
    assert told["exception"].endswith("KeyError: 'where'")


def test_of_a_long_value_both_ends_are_told_and_that_it_was_longer() -> None:
    told = one_json_line(written("json", "long", value="first" + "x" * 10_000 + "last"))
    assert told["value"].startswith("first")
    assert told["value"].endswith("last")
    assert "9497 characters" in told["value"]


def test_many_fields_and_values_still_fit_a_line() -> None:
    told = one_json_line(written("json", "many", **{f"field{n}": HOSTILE[8] for n in range(500)}))
    assert told["event"] == "many"


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    "value",
    [10**5000, Broken(), [[[[Broken()]]]], {"a": Broken()}],
    ids=["huge", "broken", "deep", "in a dict"],
)
def test_a_value_without_words_does_not_cost_the_line(value: Any) -> None:
    assert one_json_line(written("json", "odd", ValueError(value), value=value))["value"]
    assert "odd" in written("console", "odd", value=value)


def test_a_record_that_can_not_be_formatted_is_told_all_the_same() -> None:
    told = one_json_line(written("json", "%d apples", args=("two",)))
    assert told["event"] == "%d apples"
    assert "TypeError" in told["reason"]


def test_it_is_readable_on_a_terminal_and_json_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert logs.writes_json("auto", io.StringIO())
    assert not logs.writes_json("auto", Terminal())
    assert logs.writes_json("json", Terminal())
    record = logging.makeLogRecord({"msg": "hello", "levelname": "INFO"})
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in logs.formatter("auto", Terminal()).format(record)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in logs.formatter("auto", Terminal()).format(record)


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """The whole log of this process, as JSON, in a string."""
    handlers, level = logging.root.handlers[:], logging.root.level
    hooks = sys.excepthook, logs.threading.excepthook, sys.unraisablehook
    stream = io.StringIO()
    logs.configure("json", "warning", stream)
    yield stream
    logging.captureWarnings(False)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    sys.excepthook, logs.threading.excepthook, sys.unraisablehook = hooks
    structlog.reset_defaults()


def test_structlog_threads_and_libraries_speak_through_it(configured: io.StringIO) -> None:
    def die() -> None:
        raise ValueError("of\nthis")

    thread = logs.threading.Thread(target=die, name="doomed")
    thread.start()
    thread.join()
    structlog.get_logger("theirs").warning("said", fruit="apple\n")
    logging.getLogger("lib").info("not at this level")
    logging.getLogger("lib").warning("%s and %s", "a", "b")
    sys.excepthook(ValueError, ValueError("main"), None)
    died, said, lib, main = map(json.loads, configured.getvalue().splitlines())
    assert (died["level"], died["of_thread"]) == ("critical", "doomed")
    assert "of\nthis" in died["exception"]
    assert (said["event"], said["fruit"], said["logger"]) == ("said", "apple\n", "theirs")
    assert lib["event"] == "a and b"
    assert "ValueError: main" in main["exception"]


def test_of_a_million_equal_surprises_few_are_told() -> None:
    surprises = Surprises(every_s=1000)
    assert surprises.untold("scrape KeyError") == 0
    assert {surprises.untold("scrape KeyError") for _ in range(1000)} == {None}
    assert surprises.untold("scrape ValueError") == 0
    now_and_then = Surprises(every_s=0)
    assert [now_and_then.untold("x") for _ in range(3)] == [0, 0, 0]


@given(
    event=any_text.filter(bool),
    extra=st.dictionaries(st.sampled_from(["status", "level", "event", "pid", "x"]), any_value),
)
def test_an_ordinary_record_is_told_as_structlog_tells_any(
    event: str, extra: dict[str, Any]
) -> None:
    formatter = logs.formatter("json", io.StringIO())
    record = logging.makeLogRecord({"name": "a.b", "levelname": "INFO", "msg": event, **extra})
    told, by_structlog = formatter.format(record), ProcessorFormatter.format(formatter, record)
    assert without_its_time(told) == without_its_time(by_structlog)
    assert list(json.loads(told)) == list(json.loads(by_structlog))


def test_a_short_line_is_the_one_that_would_be_shortened() -> None:
    fields = {"timestamp": "t", "level": "info", "event": "e\x7f\n", "n": 1, "s": 0.5, "no": None}
    told = logs._ordinary_line(fields)
    assert told is not None
    assert told == logs._encoded({k: logs.plain(v, 2048) for k, v in fields.items()})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1 << 60, "\xe9", "x" * 500, [1]])
def test_what_needs_care_is_not_told_the_short_way(value: Any) -> None:
    assert logs._ordinary_line({"event": "e", "value": value}) is None


def test_a_long_name_is_cut_in_a_short_line_too() -> None:
    assert len(max(one_json_line(written("json", "e", **{"n" * 200: 1})), key=len)) < 90
    assert logs._ordinary_line({"event": "e", "n" * 65: 1}) is None
    assert logs._ordinary_line({"event": "e", "n" * 64: 1}) is not None
