"""The lightning-tricks command: one file per subcommand."""
