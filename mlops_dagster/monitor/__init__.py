"""Looks at data, model and predictions as time goes by: is it fresh, did it drift, what to show."""
