"""Says why a session ended, from the session record."""
