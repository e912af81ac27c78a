"""A search on the command line: where its numbers come from, its folder, its result in words and pictures."""
