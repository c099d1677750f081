"""`ot.watch`: values of a function as it runs, replays included."""
