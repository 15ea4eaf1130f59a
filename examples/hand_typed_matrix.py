"""A matrix typed by hand: what is refused, what is accepted, and what the linter sees in it."""

import numpy as np

from gridrl import MarkovProcess, penguin_world

ice = penguin_world()
printed = np.round(ice.markov_process().columns, 2)  # two decimals, as on a slide

try:
    MarkovProcess.from_columns(printed)
except ValueError as error:
    print("refused:", error)

chain = MarkovProcess.from_columns(printed, tol=0.02, renormalise=True)
print("accepted; the linter says:", ice.check(chain) or "nothing odd")

printed[[8, 9], 10] = printed[[9, 8], 10]  # 0.25 typed one row too high: 9 instead of 10
typo = MarkovProcess.from_columns(printed, tol=0.02, renormalise=True)
print("with a typo:", *ice.check(typo), sep="\n  ")
