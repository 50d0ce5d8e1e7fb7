"""Judges what is new in `raw_data` by a Great Expectations suite; refused rows go to quarantine."""
