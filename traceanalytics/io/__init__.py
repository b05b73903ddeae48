"""Formats: one module each, all opened through ``source`` and built through ``builder``."""
