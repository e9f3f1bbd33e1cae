"""A language model cut in two at the hook: tokens → residual stream → log-probabilities."""
