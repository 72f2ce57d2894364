"""Fitting: from recordings to parameters, and how sure they are."""
