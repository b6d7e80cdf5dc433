"""Results on disk and in memory: plain data with named axes, which know no picture and no page."""
