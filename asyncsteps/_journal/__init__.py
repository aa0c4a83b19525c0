"""The journal: the story of each run, as lines of JSON beside the store; what writes and reads them."""
