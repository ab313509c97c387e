"""What a job does. A new job type is one file: a ``JobType`` and its params model."""
