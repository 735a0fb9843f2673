"""BEH: behavior on one batch."""
