"""The guarded HTTP client: the only place that opens sockets to strangers."""
