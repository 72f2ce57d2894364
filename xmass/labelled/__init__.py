"""The labelled layer: names, units, alignment, and the way from a Dataset to arrays and back."""
