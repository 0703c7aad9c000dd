"""Puts the parts together: sources, tracker and sinks; the only layer that starts threads."""
