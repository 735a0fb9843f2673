"""What all packages share: durations, argument checks and object snapshots, on torch and the standard library alone."""
