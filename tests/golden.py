"""Textbook numbers, each with its page; fractions where the book has them."""

from __future__ import annotations

# --- worlds ---------------------------------------------------------------------------------------

# The lecture's slide "Markov Process - Transition Probabilities": row s_{t+1}, column s_t, as
# printed. Row 11 is garbled there: 0.25 stands under 9 instead of 10, 0.33 under 11 instead of 12.
SLIDE = """
0    .33  0    0    .33  0    0    0    0    0    0    0    0    0    0    0
.5   0    .33  0    0    .25  0    0    0    0    0    0    0    0    0    0
0    .33  0    .5   0    0    .25  0    0    0    0    0    0    0    0    0
0    0    .33  0    0    0    0    .33  0    0    0    0    0    0    0    0
.5   0    0    0    0    .25  0    0    .33  0    0    0    0    0    0    0
0    .33  0    0    .33  0    .25  0    0    .25  0    0    0    0    0    0
0    0    .33  0    0    .25  0    .33  0    0    .25  0    0    0    0    0
0    0    0    .5   0    0    .25  0    0    0    0    .33  0    0    0    0
0    0    0    0    .33  0    0    0    0    .25  0    0    .5   0    0    0
0    0    0    0    0    .25  0    0    .33  0    .25  0    0    .33  0    0
0    0    0    0    0    0    .25  0    .25  0    .33  0    0    0    .33  0
0    0    0    0    0    0    0    .33  0    0    .25  0    0    0    0    .5
0    0    0    0    0    0    0    0    .33  0    0    0    0    .33  0    0
0    0    0    0    0    0    0    0    0    .25  0    0    .5   0    .33  0
0    0    0    0    0    0    0    0    0    0    .25  0    0    .33  0    .5
0    0    0    0    0    0    0    0    0    0    0    .33  0    0    .33  0
"""
SLIDE_ROW_11 = "0    0    0    0    0    0    .25  0    0    .25  0    .33  0    0    .33  0"

# The degree of each square of a 4 x 4 sheet; the stationary distribution is degree / 48.
DEGREES = [2, 3, 3, 2, 3, 4, 4, 3, 3, 4, 4, 3, 2, 3, 3, 2]

# Sutton & Barto (2018), figure 3.2: uniform policy, gamma 0.9, the first and the last row.
SUTTON_5X5_FIRST = [3.3090, 8.7893, 4.4276, 5.3224, 1.4922]
SUTTON_5X5_LAST = [-1.8577, -1.3452, -1.2293, -1.4229, -1.9752]

# Sutton & Barto (2018), figure 4.1: uniform policy, gamma 1.
SUTTON_4X4 = [0, -14, -20, -22, -14, -18, -20, -20, -20, -20, -18, -14, -22, -20, -14, 0]

# Russell & Norvig (2010), figure 17.3, to four digits; +1 and -1 are the exits.
RUSSELL_NORVIG = [
    *(0.8116, 0.8678, 0.9178, 1.0),
    *(0.7616, 0.6603, -1.0),
    *(0.7053, 0.6553, 0.6114, 0.3879),
]

# Silver (2015), lecture 2: Facebook, Class 1, 2, 3, Pub, Pass, Sleep.
STUDENT = {
    1.0: [-22.5432, -12.5432, 1.4568, 4.3210, 0.8025, 10, 0],
    0.9: [-7.6376, -5.0127, 0.9427, 4.0870, 1.9084, 10, 0],
}

# pymdptoolbox, example.forest(3, r1=4, r2=2, p=0.1), gamma 0.9.
FOREST = [26.244, 29.484, 33.484]
