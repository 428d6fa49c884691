"""The disk: plain, blocking functions that know the formats and nothing of the event loop."""
