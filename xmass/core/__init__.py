"""The numerical core: plain arrays ``(region, run)``, no labels, no units."""
