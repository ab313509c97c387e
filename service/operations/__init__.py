"""The use cases, as HTTP and the command line share them. They read the store, not the registry."""
