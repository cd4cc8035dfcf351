"""`python -m experiments.runs`: a table of the runs on disk.

`reading` says of one run directory what became of each member, `columns` chooses what
to show, `selection` filters and sorts, and `table` and `csv_text` are the two forms.
"""
