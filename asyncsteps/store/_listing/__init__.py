"""List every key under a prefix, several pages at a time, given only how one page is fetched."""
