"""Make what the model is given: joins as known at the row's time, then the user's functions."""
