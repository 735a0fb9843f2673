"""The lightning-tricks command: one file a subcommand."""
