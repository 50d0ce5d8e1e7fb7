"""Score the rows whose target is still unknown, with the champion."""
