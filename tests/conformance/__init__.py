"""The promises that hold for every engine and every strategy, on real servers."""
