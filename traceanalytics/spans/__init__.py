"""The span frame: its columns, how any frame becomes one, and access to what its cells hold."""
