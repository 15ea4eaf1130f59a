"""Think about one square only: Monte Carlo tree search beside the exact answer."""

from gridrl import mcts, penguin_world, value_iteration

ice = penguin_world()
mdp, s = ice.mdp(gamma=0.9), ice.index(5)
exact = value_iteration(mdp).Q[s]

print(
    "exact      ", *(f"{name} {q:.2f}  " for name, q in zip(mdp.action_labels, exact, strict=True))
)
for n in (20, 200, 2000):
    found = mcts(mdp, s, simulations=n, rng=0)
    print(
        f"{n:5} plays",
        *(f"{name} {q:.2f}  " for name, q in zip(mdp.action_labels, found.Q, strict=True)),
    )
