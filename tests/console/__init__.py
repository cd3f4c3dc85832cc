"""The command `rotation`: every command over accounts that stand well, or do not."""
