"""One file a benchmark; `eval/catalogue.py` lists the rows of the README that they measure."""
