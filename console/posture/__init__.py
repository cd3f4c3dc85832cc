"""How well secrets, their keys, functions and databases are protected, in one row each."""
