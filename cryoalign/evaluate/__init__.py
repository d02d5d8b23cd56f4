"""Do fakes have the statistics of raw, and is their content kept: measures, intervals, floors, verdicts."""
