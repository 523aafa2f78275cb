"""Views: what the templates print, in Python's terms."""
