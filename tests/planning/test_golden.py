"""Numbers and arrows that other books print, with their source."""

from itertools import product

import numpy as np
import pytest

from gridrl.planning import (
    average_reward,
    backward_induction,
    deterministic_policy,
    discounted_return,
    expected_return,
    greedy,
    policy_evaluation,
    policy_iteration,
    returns_to_go,
    state_values,
    uniform_policy,
)
from gridrl.processes import interleave
from gridrl.worlds import (
    cliff_walking,
    dyna_maze,
    forest,
    frozen_lake,
    gamblers_problem,
    lost_penguin_world,
    maximisation_bias,
    penguin_world,
    random_walk,
    russell_norvig_4x3,
    short_corridor,
    student,
    sutton_4x4,
    sutton_5x5,
    windy_gridworld,
)
from tests.planning.oracles import OPTIMISERS, drawn

every_optimiser = pytest.mark.parametrize("name", OPTIMISERS)


# --- the lecture --------------------------------------------------------------------------------


def test_the_slides_returns() -> None:
    # lecture 000; the slide prints 1.31 for G_2, which is 1.31949 and rounds to 1.32
    ice = penguin_world()
    labels = [1, 2, 6, 10, 9, 10, 11, 15]
    rewards = ice.reward_process(gamma=0.9).R[[ice.index(label) for label in labels]]
    assert interleave(labels, rewards) == [1, 0, 2, 0, 6, 0, 10, 0, 9, 1, 10, 0, 11, 1, 15, 0]
    assert discounted_return(rewards, 0.9) == pytest.approx(0.9**4 + 0.9**6, abs=1e-12)
    np.testing.assert_allclose(returns_to_go(rewards, 0.9)[:3], [1.187541, 1.31949, 1.4661])


def test_the_penguins_return() -> None:
    # facts/oracles.md: 2.172 for the optimal policy, 1.364 for the uniform one
    mdp = penguin_world().mdp(gamma=0.9)
    best = policy_iteration(mdp)
    assert round(float(mdp.start @ best.V), 3) == 2.172
    assert round(expected_return(mdp, uniform_policy(mdp)), 3) == 1.364
    assert expected_return(mdp, best.policy) == pytest.approx(mdp.start @ best.V)


@pytest.mark.parametrize(
    ("intended", "memoryless", "seeing"), [(0.5, 3.25418, 4.26370), (0.8, 5.631, 8.859)]
)
def test_the_lost_penguin(intended: float, memoryless: float, seeing: float) -> None:
    # facts/oracles.md: the best of all 4^5 policies that map what is seen to an action
    pomdp = lost_penguin_world(intended).pomdp(gamma=0.9)
    sees, mdp = pomdp.O.argmax(axis=1), pomdp.mdp
    returns = [
        expected_return(mdp, deterministic_policy(np.array(actions)[sees], 4))
        for actions in product(range(4), repeat=5)
    ]
    digits = 5 if intended == 0.5 else 3
    assert round(max(returns), digits) == memoryless
    assert round(float(mdp.start @ policy_iteration(mdp).V), digits) == seeing


# --- Sutton & Barto (2018) ----------------------------------------------------------------------

EXAMPLE_3_5 = """
     3.3  8.8  4.4  5.3  1.5
     1.5  3.0  2.3  1.9  0.5
     0.1  0.7  0.7  0.4 -0.4
    -1.0 -0.4 -0.4 -0.6 -1.2
    -1.9 -1.3 -1.2 -1.4 -2.0
"""
FIGURE_3_5 = """
    22.0 24.4 22.0 19.4 17.5
    19.8 22.0 19.8 17.8 16.0
    17.8 19.8 17.8 16.0 14.4
    16.0 17.8 16.0 14.4 13.0
    14.4 16.0 14.4 13.0 11.7
"""
FIGURE_3_5_ARROWS = """\
→ ↑→↓← ← ↑→↓← ←
↑→ ↑ ↑← ← ←
↑→ ↑ ↑← ↑← ↑←
↑→ ↑ ↑← ↑← ↑←
↑→ ↑ ↑← ↑← ↑←"""


def test_example_3_5_under_the_uniform_policy() -> None:
    mdp = sutton_5x5().mdp(gamma=0.9)
    V = state_values(mdp, uniform_policy(mdp))
    printed = np.array(EXAMPLE_3_5.split(), float)
    np.testing.assert_allclose(V, printed, atol=0.05 + 1e-3)  # the book prints one decimal
    np.testing.assert_allclose(V[:5].round(4), [3.3090, 8.7893, 4.4276, 5.3224, 1.4922])
    np.testing.assert_allclose(V[20:].round(4), [-1.8577, -1.3452, -1.2293, -1.4229, -1.9752])


@every_optimiser
def test_figure_3_5(name: str) -> None:
    world = sutton_5x5()
    # in place, one direction comes before the other: ties are equal only to within tol
    promise = {"tol": 1e-12} if name == "gauss_seidel" else {}
    best = OPTIMISERS[name](world.mdp(gamma=0.9), **promise)
    np.testing.assert_array_equal(best.V.round(1), np.array(FIGURE_3_5.split(), float))
    assert best.V[1] == pytest.approx(10 / (1 - 0.9**5), abs=1e-8)  # A, round and round: 5 steps
    assert drawn(world, best.policy) == FIGURE_3_5_ARROWS


def test_figure_4_1() -> None:
    world = sutton_4x4()
    mdp = world.mdp(gamma=1)
    sweeps = list(policy_evaluation.iterates(mdp, uniform_policy(mdp)))
    once, twice = (sweep.V.reshape(4, 4) for sweep in sweeps[:2])
    np.testing.assert_array_equal(once, -1.0 + (mdp.terminal.reshape(4, 4)))
    np.testing.assert_array_equal(
        twice,
        [[0, -1.75, -2, -2], [-1.75, -2, -2, -2], [-2, -2, -2, -1.75], [-2, -2, -1.75, 0]],
    )
    exact = [[0, -14, -20, -22], [-14, -18, -20, -20], [-20, -20, -18, -14], [-22, -20, -14, 0]]
    np.testing.assert_allclose(sweeps[-1].V.reshape(4, 4), exact, atol=1e-8)
    np.testing.assert_allclose(state_values(mdp, uniform_policy(mdp)).reshape(4, 4), exact)
    # the figure's last column; greedy after ten sweeps is the same already
    arrows = ". ← ← ↓←\n↑ ↑← ↓← ↓\n↑ ↑→ →↓ ↓\n↑→ → → ."
    assert drawn(world, greedy(sweeps[-1].Q)) == drawn(world, greedy(sweeps[9].Q)) == arrows


@every_optimiser
def test_example_4_1_at_best_is_the_way_to_the_next_corner(name: str) -> None:
    V = OPTIMISERS[name](sutton_4x4().mdp(gamma=1)).V.reshape(4, 4)
    steps = [[0, 1, 2, 3], [1, 2, 3, 2], [2, 3, 2, 1], [3, 2, 1, 0]]
    np.testing.assert_allclose(-V, steps, atol=1e-8)


@every_optimiser
def test_example_4_3_the_gambler(name: str) -> None:
    # bold play: V(50) = p, V(25) = p^2, V(75) = p + (1 - p) p
    best = OPTIMISERS[name](gamblers_problem(0.4))
    np.testing.assert_allclose(best.V[[25, 50, 75]], [0.16, 0.4, 0.64], atol=1e-8)
    assert best.policy[50].argmax() == 50 - 1  # action a stakes a + 1
    np.testing.assert_allclose(best.V[[0, 100]], 0)


def test_a_gambler_with_a_fair_coin_is_worth_his_capital() -> None:
    np.testing.assert_allclose(
        policy_iteration(gamblers_problem(0.5)).V[:100], np.arange(100) / 100, atol=1e-12
    )


def test_example_6_2_the_random_walk() -> None:
    mdp = random_walk().mdp(gamma=1)
    V = state_values(mdp, uniform_policy(mdp))[1:-1]
    np.testing.assert_allclose(V, np.arange(1, 6) / 6)
    assert np.sqrt(np.mean((0.5 - V) ** 2)) == pytest.approx(0.23570226, abs=5e-9)


def test_example_7_1_the_longer_walk() -> None:
    mdp = random_walk(19, left=-1).mdp(gamma=1)
    V = state_values(mdp, uniform_policy(mdp))[1:-1]
    np.testing.assert_allclose(V, np.arange(-9, 10) / 10, atol=1e-12)


@every_optimiser
@pytest.mark.parametrize(("kings_moves", "steps"), [(False, 15), (True, 7)])
def test_example_6_5_and_exercise_6_9_the_wind(name: str, kings_moves: bool, steps: int) -> None:
    mdp = windy_gridworld(kings_moves).mdp(gamma=1)
    assert mdp.start @ OPTIMISERS[name](mdp).V == pytest.approx(-steps, abs=1e-8)


@every_optimiser
def test_example_6_6_the_cliff(name: str) -> None:
    world = cliff_walking()
    mdp = world.mdp(gamma=1)
    best = OPTIMISERS[name](mdp)
    assert mdp.start @ best.V == pytest.approx(-13, abs=1e-8)
    above, along = drawn(world, best.policy).splitlines()[2:]
    assert above.split() == ["→"] * 11 + ["↓"]  # the optimal path, on the edge
    assert along.split()[0] == "↑"


def test_example_6_7_nobody_should_go_left() -> None:
    mdp = maximisation_bias()
    best = policy_iteration(mdp)
    np.testing.assert_allclose(best.V, [0, -0.1, 0], atol=1e-12)
    assert best.policy[0, :5].sum() == 0


def test_figure_8_2_the_maze() -> None:
    # the shortest way takes 14 steps, the last of them paid: 0.95^13
    mdp = dyna_maze().mdp(gamma=0.95)
    assert mdp.start @ policy_iteration(mdp).V == pytest.approx(0.95**13)


def test_example_13_1_the_corridor() -> None:
    # blind: right with probability 2 - sqrt 2 is worth -(6 + 4 sqrt 2) = -11.66; seeing: -3
    mdp = short_corridor().mdp(gamma=1)
    right = 2 - np.sqrt(2)
    J = expected_return(mdp, np.tile([1 - right, right], (4, 1)))
    assert pytest.approx(-(6 + 4 * np.sqrt(2))) == J
    assert mdp.start @ policy_iteration(mdp).V == -3


# --- others -------------------------------------------------------------------------------------


@every_optimiser
def test_russell_and_norvig_figure_17_3(name: str) -> None:
    world = russell_norvig_4x3()
    best = OPTIMISERS[name](world.mdp(gamma=1))
    printed = "0.812 0.868 0.918 1 0.762 0.660 -1 0.705 0.655 0.611 0.388 0"
    np.testing.assert_array_equal(best.V.round(3), np.array(printed.split(), float))
    four = [0.8116, 0.8678, 0.9178, 1, 0.7616, 0.6603, -1, 0.7053, 0.6553, 0.6114, 0.3879, 0]
    np.testing.assert_allclose(best.V, four, atol=5e-5 + 1e-8)
    arrows = drawn(world, best.policy[:-1]).replace("↑→↓←", "*")  # the exits: all the same
    assert arrows == "→ → → *\n↑ # ↑ *\n↑ ← ← ←"


def test_russell_and_norvigs_squares_are_worth_their_own_price_less_when_paid_on_leaving() -> None:
    on_leaving = policy_iteration(russell_norvig_4x3("leave").mdp(gamma=1)).V[:-1]
    on_arrival = policy_iteration(russell_norvig_4x3("arrive").mdp(gamma=1)).V
    R = np.array([-0.04] * 3 + [1] + [-0.04] * 2 + [-1] + [-0.04] * 4)
    np.testing.assert_allclose(on_leaving, R + on_arrival, atol=1e-12)


@pytest.mark.parametrize(
    ("gamma", "printed"),
    [
        (1.0, [-22.5432, -12.5432, 1.4568, 4.3210, 0.8025, 10, 0]),
        (0.9, [-7.6376, -5.0127, 0.9427, 4.0870, 1.9084, 10, 0]),
    ],
)
def test_silvers_student(gamma: float, printed: list[float]) -> None:
    # lecture 2; the slides print one decimal
    np.testing.assert_array_equal(student().replace(gamma=gamma).values().round(4), printed)


@every_optimiser
def test_slippery_frozen_lake(name: str) -> None:
    # staying in the top row for ever costs nothing at gamma = 1: fixed points are not unique
    mdp = frozen_lake().mdp(gamma=1)
    best = OPTIMISERS[name](mdp)
    assert mdp.start @ best.V == pytest.approx(14 / 17, abs=1e-8)
    assert expected_return(mdp, policy_iteration(mdp).policy) == pytest.approx(14 / 17)


def test_discounted_frozen_lake() -> None:
    # the values and arrows that courses print for gamma = 0.99
    world = frozen_lake()
    best = policy_iteration(world.mdp(gamma=0.99))
    printed = (
        "0.542 0.499 0.471 0.457 0.558 0 0.358 0 0.592 0.643 0.615 0 0 0.742 0.863 0"  # rounded
    )
    np.testing.assert_array_equal(best.V.round(3), np.array(printed.split(), float))
    assert drawn(world, best.policy) == "← ↑ ↑ ↑\n← . →← .\n↑ ↓ ← .\n. → ↓ ."


@every_optimiser
def test_the_forest(name: str) -> None:
    # pymdptoolbox, example.forest: its own ValueIteration stops too early, at 5.05 for the first
    best = OPTIMISERS[name](forest())
    np.testing.assert_allclose(best.V, [26.244, 29.484, 33.484], atol=1e-8)
    np.testing.assert_array_equal(best.policy, [[1, 0]] * 3)  # wait, always


def test_the_forest_over_three_years_and_for_ever() -> None:
    # pymdptoolbox, FiniteHorizon(P, R, 0.9, 3): V[:, 0] of its docstring
    best = backward_induction(forest(), horizon=3)
    np.testing.assert_allclose(best.V[0], [2.6973, 5.9373, 9.9373])
    np.testing.assert_array_equal(best.policy[:, 1].argmax(axis=1), [0, 0, 1])  # at last, cut
    assert average_reward(forest()).gain == pytest.approx(0.9**2 * 4)
