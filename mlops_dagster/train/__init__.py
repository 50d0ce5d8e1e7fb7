"""Fit an estimator on the features, and log it with all that is needed to make it again."""
