"""Slow, obvious references straight from the papers. Nothing here imports miscreen."""
