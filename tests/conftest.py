"""No test needs a display; none fails because a machine is slow; browsers where there are any."""

import os

import matplotlib as mpl
from hypothesis import settings

mpl.use("agg")
# on a laptop hypothesis looks further each time; a build must not fail by chance
settings.register_profile("gridrl", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("gridrl")

collect_ignore = [] if "GRIDRL_BROWSER" in os.environ else ["browser"]  # see .ci/browser
