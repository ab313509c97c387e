"""Job queues that people use instead: each one's application, workers and client.

Every module here is run in the peers' environment, and says the same three things: ``noop``, a
job that does nothing (it returns the moment at which it ran, on the machine's monotonic clock);
``run``, which submits so many and returns every result; and what its workers need to find both.
"""
