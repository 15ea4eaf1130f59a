"""A film of value iteration, as a GIF and as a page with a player."""

from itertools import islice
from pathlib import Path

import matplotlib as mpl

from gridrl import penguin_world, plot, value_iteration

mpl.use("agg")
ice = penguin_world()
film = plot.animate(ice, islice(value_iteration.iterates(ice.mdp(gamma=0.9)), 20))
for name in ("value-iteration.gif", "value-iteration.html"):
    print(film, "->", film.save(Path(name)))
