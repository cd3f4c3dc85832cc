"""The probes, asked of the local endpoint."""
