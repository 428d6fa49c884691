"""The tasks of a run: what knows the event loop, and no file format."""
