"""The session record and its vocabularies: what every other part speaks."""
