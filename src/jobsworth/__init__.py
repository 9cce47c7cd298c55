"""Background jobs for Python web apps, done by the book."""
