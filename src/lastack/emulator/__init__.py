"""The inline box: a sans-IO engine around the entry state machine, and its drivers."""
