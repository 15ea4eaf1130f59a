"""No test needs a display; none fails because a machine is slow; browsers only where there is one."""

import os

import matplotlib as mpl
from hypothesis import settings

mpl.use("agg")
settings.register_profile("gridrl", deadline=None)
settings.load_profile("gridrl")

collect_ignore = [] if "GRIDRL_BROWSER" in os.environ else ["browser"]  # see .ci/browser
