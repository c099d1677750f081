"""The first application of a rewrite that makes a region compute something else, from a bundle."""
