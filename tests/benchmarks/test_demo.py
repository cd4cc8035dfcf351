from benchmarks import demo
from experiments.grokking.outcomes import Outcome

GENERALISED = Outcome(
    first_step=1200, lowest_since=0.97, lowest_late=0.995, lowest_end=0.99, highest=1.0
)
MEMORISED = Outcome(
    first_step=None, lowest_since=0.0, lowest_late=0.2, lowest_end=0.2, highest=0.21
)
ENDS = {"low": MEMORISED, "re-warmed": MEMORISED, "re-warmed more": GENERALISED}


def test_the_table_counts_from_the_re_warm():
    table = demo.table({(3, (0,)): ENDS, (3, (0, 1)): dict.fromkeys(ENDS, MEMORISED)})
    assert table.splitlines()[2:] == [
        "| 3 | 1 | 500 | 0.9950 | 0.210 | yes |",
        "| 3 | 2 | never | 0.2000 | 0.210 | NO |",
    ]
