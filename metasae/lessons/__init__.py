"""Guided walks: each step a question, and what the open preset answers to it, measured."""
