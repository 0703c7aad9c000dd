"""Tests of a real path: half-close and idle survival, and the half-open monitor."""
