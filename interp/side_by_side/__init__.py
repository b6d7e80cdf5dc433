"""Several models beside each other: `interp compare` and `interp.compare`."""
