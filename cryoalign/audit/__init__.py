"""Are simulated and measured images pairs? Hypotheses of what went wrong, tested on the images themselves."""
