"""Whether a run's folder holds what it should: by going through its journal once more."""
