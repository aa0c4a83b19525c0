"""Stores of done steps."""
