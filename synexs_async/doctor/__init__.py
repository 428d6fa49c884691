"""Finding out whether a mission kind is what it has to be: a pure function of seed and index."""
