"""Makes an application's database user once, through the administrator, for the examples."""
