"""One model away from its training: `interp conditions` and `interp.conditions`."""
