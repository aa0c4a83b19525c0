"""Lists every key under a prefix, several pages at a time, knowing only how one page is fetched."""
