"""Will a flight from New York leave more than 15 minutes late? A year of real departures, 2013."""
