"""Connectomes and cohorts by name."""
