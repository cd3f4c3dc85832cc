"""Valkey and Redis that you run yourself."""
