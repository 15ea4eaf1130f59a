"""No test needs a display."""

import matplotlib as mpl

mpl.use("agg")
