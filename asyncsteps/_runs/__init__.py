"""Runs in the background of a program: how many at once, who follows them, how they end."""
