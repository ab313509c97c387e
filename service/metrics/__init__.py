"""Numbers about the service: counted in memory that its processes share, told to Prometheus."""
