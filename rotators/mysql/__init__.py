"""Rotates passwords of MySQL, MariaDB and Aurora MySQL; see README.md."""
