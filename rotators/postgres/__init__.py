"""PostgreSQL, and Aurora PostgreSQL."""
