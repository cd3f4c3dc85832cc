"""Claims about single modules, without servers."""
