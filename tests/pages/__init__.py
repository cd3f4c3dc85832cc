"""Pages that say what the code says: the runbook, and diagrams."""
