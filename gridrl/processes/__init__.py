"""What a world is: Markov process, reward process, decision process, partially observable process.

Reading order: `markov`, `structure`, `payments`, `reward`, `decision`, `partial`; beside them
`transitions` (dense and sparse tables), `trajectories` (what happened) and `checks` (what is odd).
"""

from gridrl.processes.checks import Finding
from gridrl.processes.decision import MDP
from gridrl.processes.markov import MarkovProcess
from gridrl.processes.partial import POMDP
from gridrl.processes.payments import RewardDistribution, arrive, leave
from gridrl.processes.reward import RewardProcess
from gridrl.processes.trajectories import Trajectories, interleave
from gridrl.processes.transitions import SparseTransitions

__all__ = [
    "MDP",
    "POMDP",
    "Finding",
    "MarkovProcess",
    "RewardDistribution",
    "RewardProcess",
    "SparseTransitions",
    "Trajectories",
    "arrive",
    "interleave",
    "leave",
]
