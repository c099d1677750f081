"""What the plan of memory is made of, and what checks it."""
