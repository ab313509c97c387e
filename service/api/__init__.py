"""HTTP. The only room with Flask. A view parses, calls an operation, presents."""
