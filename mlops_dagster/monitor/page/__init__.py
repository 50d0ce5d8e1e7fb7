"""The page of a monitored model: one HTML file that needs nothing but a browser."""
