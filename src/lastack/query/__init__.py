"""The filter language and the questions asked of sessions."""
