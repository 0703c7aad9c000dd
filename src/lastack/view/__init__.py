"""Turns rows into text and pictures for people."""
