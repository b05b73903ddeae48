"""Answers: every function takes a span frame and returns a frame, a series or a graph."""
