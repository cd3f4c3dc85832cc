"""The tests: `unit`, `functional`, `conformance`, `histories`, `deployment`, and the `kit`."""
