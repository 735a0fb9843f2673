"""What all rooms speak in: durations, argument checks, snapshots of objects; torch and the standard library alone."""
