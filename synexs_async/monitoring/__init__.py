"""Looking on: what a run's folder tells of the run, for monitors in this process or another."""
