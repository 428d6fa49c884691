"""Reports that people can look at: a run's figures, computed from its folder, and drawn."""
