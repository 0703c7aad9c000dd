"""Firewalls over recorded sessions: packet-exact evaluation, what-if from gap profiles, sweeps, timer finder."""
