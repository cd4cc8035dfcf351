"""The figures of both papers that nobody has built here yet, so that `--list` is whole.

An entry whose figure has been built is not shown.
"""

LYLE = "Lyle et al., 2025, arXiv 2507.20057"
KUMAR = "Kumar et al., 2024, arXiv 2310.06110"
OWN = "Studies of this project"

PAPERS = {"lyle2025": LYLE, "kumar2024": KUMAR, "nap": OWN}

NOT_BUILT = {
    "lyle2025/fig6": "Atari, Rainbow: cyclic learning rates against resets",
    "lyle2025/fig7": "Atari, high replay ratio: cycles that stop early",
    "lyle2025/fig10": "Atari, DQN: when to stop cycling",
    "lyle2025/fig11": "Atari, Rainbow, 57 games: more variants, in aggregate",
    "lyle2025/fig12": "Atari, Rainbow: each of the 57 games",
    "kumar2024/fig1": "regression of a square: test loss falls late, while the weight "
    "norm rises and the kernel aligns",
    "kumar2024/fig2": "modular addition by gradient descent groks without weight decay",
    "kumar2024/fig3a": "the output scale alpha sets the delay of generalisation",
    "kumar2024/fig3b": "so does the kernel's alignment, through epsilon",
    "kumar2024/fig4": "dynamical mean-field theory predicts the loss curves",
    "kumar2024/fig5a": "images: alpha makes grokking vanish",
    "kumar2024/fig5b": "a one-layer transformer: alpha makes grokking vanish",
    "kumar2024/fig5c": "labels from eigenvectors of the kernel: the worse the "
    "alignment, the longer the delay",
    "kumar2024/fig6": "output scale, label scale and initial scale are equivalent",
    "kumar2024/fig11": "the test loss in its parts: linear power falls late",
    "kumar2024/fig13": "more loss curves beside those of mean-field theory",
    "kumar2024/sec9": "a little of the solution in the initial weights ends grokking",
    "kumar2024/sec15": "momentum changes the speed, not the kind",
    "kumar2024/sec16": "targets of several directions, and of higher degree",
    "kumar2024/sec18": "more data lets the network generalise on harder labels",
}
