"""One file per family: the ways in which a method's loss is written in papers and public code. No torch at import."""
