"""Examples of answers."""

from __future__ import annotations

from typing import Any, Final

BATCH_ID: Final = "07NC4gTqVd1FhRz2sKpW"
JOB_ID: Final = f"{BATCH_ID}.7"

BATCH: Final[dict[str, Any]] = {
    "id": BATCH_ID,
    "name": "nightly",
    "labels": {"team": "a"},
    "executor": "pool",
    "max_workers": 8,
    "lock": "line",
    "priority": 0,
    "status": "running",
    "outcome": None,
    "counts": {
        "total": 100, "queued": 61, "running": 8, "succeeded": 29, "failed": 2, "cancelled": 0,
    },
    "concurrency": {"average": 7.6, "peak": 8, "cpu_parallelism": 0.2},
    "elapsed_s": 12.214,
    "created_at": "2026-01-31T12:00:00.000Z",
    "started_at": "2026-01-31T12:00:00.012Z",
    "finished_at": None,
    "expires_at": None,
    "eta_s": 28,
    "poll_after_s": 2,
    "retry_of": None,
    "links": {
        "self": f"/v1/batches/{BATCH_ID}",
        "jobs": f"/v1/batches/{BATCH_ID}/jobs",
        "results": f"/v1/batches/{BATCH_ID}/results",
        "console": f"/v1/batches/{BATCH_ID}/console",
        "events": f"/v1/batches/{BATCH_ID}/events",
        "timeline": f"/v1/batches/{BATCH_ID}/timeline",
        "cancel": f"/v1/batches/{BATCH_ID}/cancel",
    },
}  # fmt: skip

JOB: Final[dict[str, Any]] = {
    "id": JOB_ID,
    "batch_id": BATCH_ID,
    "index": 7,
    "custom_id": "b7",
    "type": "numbers",
    "params": {"name": "Thread-1", "count": 2},
    "status": "succeeded",
    "wait_reason": None,
    "attempts": [
        {
            "n": 1,
            "thread": "pool-3",
            "queued_at": "2026-01-31T12:00:00.000Z",
            "started_at": "2026-01-31T12:00:00.012Z",
            "finished_at": "2026-01-31T12:00:00.014Z",
            "cpu_ms": 0.21,
            "error": None,
        }
    ],
    "error": None,
    "result": {"lines": ["Thread-1: 1", "Thread-1: 2"]},
}

RESULT: Final[dict[str, Any]] = {
    "seq": 31,
    "index": 7,
    "custom_id": "b7",
    "job_id": JOB_ID,
    "type": "scrape",
    "status": "failed",
    "error": {"code": "http_status", "detail": "the server answered 404", "retryable": False},
    "result": None,
}

NDJSON: Final = (
    f'{{"seq":31,"index":0,"custom_id":null,"job_id":"{BATCH_ID}.0","type":"letters",'
    '"status":"succeeded","error":null,"result":{"lines":["A","B"]}}\n'
)
CSV: Final = (
    "index,custom_id,job_id,type,status,error_code,error_detail,result\r\n"
    f'0,,{BATCH_ID}.0,letters,succeeded,,,"{{""lines"":[""A"",""B""]}}"\r\n'
)
CONSOLE: Final = "Thread-1: 1\nLetters: A\nThread-1: 2\n"
EVENT: Final = {
    "event": "job",
    "id": "31",
    "data": f'{{"seq":31,"index":0,"custom_id":null,"job_id":"{BATCH_ID}.0","type":"letters",'
    f'"status":"succeeded","error":null,"links":{{"result":"/v1/jobs/{BATCH_ID}.0/result"}}}}',
}

JOB_TYPE: Final[dict[str, Any]] = {
    "name": "numbers",
    "description": "Prints `count` numbers from `start`, waiting `delay_s` after each.",
    "params_schema": {"type": "object", "properties": {"count": {"type": "integer"}}},
    "example": {"type": "numbers", "params": {"count": 5}},
}

EXECUTOR: Final[dict[str, Any]] = {
    "version": "0.1.0",
    "threads": {"busy": 3, "idle": 13, "not_returned": 0},
    "queued": 120,
    "oldest_wait_s": 4.2,
    "processes": 1,
    "limits": {"pool_size": 16, "max_batch_jobs": 1_000_000, "max_wait_s": 60.0},
}
