"""Ten thousand slippery squares: the exact answer to a millionth, and what it took."""

import numpy as np

from gridrl import GridWorld, solve

rng = np.random.default_rng(0)
tiles = np.where(rng.random((100, 100)) < 0.05, "H", ".")
tiles[0, 0], tiles[-1, -1] = "S", "G"
lake = GridWorld.from_text(
    "\n".join("".join(row) for row in tiles),
    rewards={"G": 1.0, "H": -1.0},
    terminal="GH",
    reward_on="arrive",
)

for gamma in (0.9, 0.99, 0.999):
    mdp = lake.mdp(gamma)  # the table of P is sparse by itself
    answer = solve(mdp, tol=1e-6)
    print(f"gamma = {gamma}: V(start) = {mdp.start @ answer.V:.6f}  {answer}")
