"""Independent pieces of work: where they run, and what becomes of them when a process dies.

Nothing here knows what the work is: sweeps and calibrations run on it.
"""
