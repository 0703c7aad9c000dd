"""LastACK sees how every TCP session opened and closed."""

__version__ = "0.1.0"
