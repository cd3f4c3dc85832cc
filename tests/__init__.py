"""The tests: `unit`, `functional`, `conformance`, `deployment`, and the `kit` for new rotators."""
