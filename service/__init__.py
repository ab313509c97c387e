"""jobspool: batches of jobs over HTTP, on threads, durable."""

__version__ = "0.1.0"
