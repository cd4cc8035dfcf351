"""`python -m experiments.runs`: a table of the runs on disk.

`reading` reads the state of each member of a run directory, `columns` chooses the
columns, `selection` filters and sorts, and `table` and `csv_text` print the result.
"""
