"""`ostinato view`: a page on which engineers step through what passes did."""
