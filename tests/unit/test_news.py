"""News of batches: who is told what."""

from __future__ import annotations

from service.model import Committed, EndedBatch
from service.operations.news import BatchNews


def committed(*touched: str, ended: str | None = None) -> Committed:
    batches = [EndedBatch(ended, "succeeded", None, 0, 1, 0, 0)] if ended else []
    return Committed([], batches, 1, 0.0, {*touched})


def test_a_change_is_told_to_those_who_listen_to_its_batch() -> None:
    news = BatchNews()
    with news.of("a") as of_a, news.of("b") as of_b:
        news.announce(committed("a"))
        assert of_a.changed.is_set()
        assert not of_a.ended.is_set()
        assert not of_b.changed.is_set()


def test_the_end_of_a_batch_is_told_as_such() -> None:
    news = BatchNews()
    with news.of("a") as first, news.of("a") as second, news.of("b") as of_b:
        news.announce(committed("a", "b", ended="a"))
        assert first.ended.is_set()
        assert second.ended.is_set()
        assert not of_b.ended.is_set()


def test_who_has_left_is_told_nothing_more() -> None:
    news = BatchNews()
    with news.of("a") as gone:
        pass
    news.announce(committed("a", ended="a"))
    assert not gone.changed.is_set()
