"""The worlds of this project's own engines: an example each for a new one."""
