"""No test needs a display; no test fails because a machine is slow."""

import matplotlib as mpl
from hypothesis import settings

mpl.use("agg")
settings.register_profile("gridrl", deadline=None)
settings.load_profile("gridrl")
