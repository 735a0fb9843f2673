"""What all tricks of one fit share: the clock, the ranks, wrapped methods."""
