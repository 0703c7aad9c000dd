"""Turns rows into files that other programs read: one exporter each."""
