"""DiscriminativeLR: to be."""
