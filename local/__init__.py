"""What stands in for AWS on one machine, and what builds and checks the parts that go there."""
