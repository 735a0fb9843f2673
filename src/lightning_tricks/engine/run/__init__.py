"""What all tricks of a fit share: the clock, the ranks, wrapped methods."""
