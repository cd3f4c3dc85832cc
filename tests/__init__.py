"""The tests: `unit`, `functional`, `conformance`, `histories`, `deployment`, and the rotators' `kit`."""
