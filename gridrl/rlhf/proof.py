"""Why p* is the optimum: from J(p) to beta log Z - beta KL(p || p*), line by line.

Symbols: p policy; Z (P,); beta reward units per nat; P prompts.

Reading: Rafailov et al. (2023), arXiv:2305.18290, appendix A.1; lecture 003.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gridrl.rlhf.divergences import Policy, expected, log_ratio
from gridrl.rlhf.language import LanguageModel
from gridrl.rlhf.regularised import positive, regularised_optimum, three
from gridrl.rlhf.tokens import Reward
from gridrl.tables import Array, read_only, restore


@dataclass(frozen=True, eq=False)
class Line:
    """A line of the derivation: its formula, and what that comes to for each prompt, (P,)."""

    formula: str
    value: Array

    def __post_init__(self) -> None:
        read_only(self.value)

    __setstate__ = restore

    def __repr__(self) -> str:
        return f"{self.formula} = {np.array2string(self.value, precision=6)}"


def derivation(
    policy: Policy, reference: LanguageModel, reward: Reward, beta: float
) -> tuple[Line, ...]:
    """From J(p) to beta log Z - beta KL(p || p*): five lines of one value, whatever the policy.

    In the last, the first term does not depend on p and the second is least, 0, where p = p*.
    [arXiv:2305.18290, app. A.1]

    >>> from gridrl.rlhf.tokens import TokenWorld
    >>> reference = LanguageModel(TokenWorld(["?"], "a", 1))
    >>> first, *_, last = derivation(reference, reference, [[np.log(3), 0.0]], 1.0)
    >>> first
    E_p[R] - beta KL(p || p_ref) = [0.549306]
    >>> last
    beta log Z - beta KL(p || p*) = [0.549306]

    Raises:
        TypeError, ValueError: as `optimality_gap`.
    """
    lp, lq, R = three(policy, reference, reward)
    b = positive(beta)
    optimum = regularised_optimum(reference, R, b)
    log_z, tilted = optimum.log_z, lq + R / b  # log(p_ref exp(R / beta))
    log_star = optimum.log_probs
    return (
        Line("E_p[R] - beta KL(p || p_ref)", expected(lp, R) - b * expected(lp, log_ratio(lp, lq))),
        Line("E_p[R - beta log(p / p_ref)]", expected(lp, R - b * log_ratio(lp, lq))),
        Line("-beta E_p[log(p / (p_ref exp(R/beta)))]", -b * expected(lp, log_ratio(lp, tilted))),
        Line(
            "-beta E_p[log(p / (p* Z))]",
            -b * expected(lp, log_ratio(lp, log_star + log_z[:, None])),
        ),
        Line(
            "beta log Z - beta KL(p || p*)", b * log_z - b * expected(lp, log_ratio(lp, log_star))
        ),
    )
