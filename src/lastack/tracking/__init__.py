"""Follows TCP sessions: feed segments, take rows."""
