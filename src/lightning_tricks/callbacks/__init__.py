"""When a trick acts in a run: Lightning callbacks, one file per trick."""
