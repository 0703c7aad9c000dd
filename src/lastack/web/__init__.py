"""The web server: a JSON API over datasets, and pages that show it; only `lastack serve` starts it."""
