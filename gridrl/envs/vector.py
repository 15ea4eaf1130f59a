"""Many environments at once, in lock-step on arrays: a native `VectorEnv`, no loop over them.

Environment k draws from a Generator of its own, a fixed number of uniforms a step: with the same
seed it tells the same story as a `GridRLEnv`, however many others there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from gridrl.envs.dynamics import Events, Process, actions_of, dynamics
from gridrl.envs.pictures import frame, one_of, text
from gridrl.processes import MDP
from gridrl.tables import Array, Indices, Mask, whole
from gridrl.worlds import GridWorld

UNIFORMS = 2**18  # drawn at once, for all environments together

Steps = tuple[Indices, Array, Mask, Mask, dict[str, Any]]


class GridRLVectorEnv(VectorEnv[Any, Any, Any]):
    """Environments of one process or world, all stepped together; see `GridRLEnv`.

    Where an episode is over, the next step begins another one (Gymnasium's NEXT_STEP): its action
    does not count, its reward is 0. `infos` holds what `info` does, arrays (num_envs,), and beside
    each the mask "_state", "_meant", "_happened", everywhere True.

    Args:
        process_or_world, world, steps: as for `GridRLEnv`.
        num_envs: how many.
        render_mode: "ansi" or "rgb_array", a tuple with one for each environment; or None.

    >>> from gridrl.worlds import frozen_lake
    >>> envs = GridRLVectorEnv(frozen_lake(success_rate=1.0), 3)
    >>> envs.reset(seed=0)[0]
    array([0, 0, 0])
    >>> s, r, terminated, truncated, infos = envs.step([0, 1, 2])
    >>> s, infos["happened"]
    (array([0, 1, 4]), array(['stay', 'right', 'down'], dtype=object))

    Raises:
        TypeError, ValueError: as `GridRLEnv`; no environment.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["ansi", "rgb_array"],
        "render_fps": 4,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        process_or_world: GridWorld | Process,
        num_envs: int = 1,
        *,
        world: GridWorld | None = None,
        steps: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.dynamics = dynamics(process_or_world, world)
        self.num_envs = n = whole(num_envs, "num_envs", least=1)
        self.steps = None if steps is None else whole(steps, "steps", least=1)
        self.render_mode = one_of(render_mode, self.metadata["render_modes"])
        self.single_observation_space = gym.spaces.Discrete(len(self.observation_labels))
        self.single_action_space = gym.spaces.Discrete(self.mdp.n_actions)
        self.observation_space = batch_space(self.single_observation_space, n)
        self.action_space = batch_space(self.single_action_space, n)
        self._at: Events | None = None
        self._t, self._over = np.zeros(n, np.intp), np.ones(n, bool)
        self._streams: list[tuple[np.random.Generator, int]] = []
        self._numbers = np.empty((0, self.dynamics.uniforms, n))  # (steps ahead, uniforms, n)
        self._place = 0

    @property
    def mdp(self) -> MDP:
        """What happens, behind the observations if there are any."""
        return self.dynamics.mdp

    @property
    def observation_labels(self) -> tuple[str, ...]:
        """The names of what is seen: of the states, or of a POMDP's observations."""
        return self.dynamics.observation_labels

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seed of each environment."""
        return tuple(seed for _, seed in self._streams)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Indices, dict[str, Any]]:
        """Begin an episode in every environment: what is seen, and `infos`.

        Args:
            seed: environment k gets seed + k, or seed[k]; None goes on with the chance there is.
            options: {"reset_mask": (num_envs,)} begins anew only where it is True.

        Raises:
            ValueError: not a seed for each; a mask of another shape, or of nothing.
            ResetNeeded: only some of them, before there are episodes.
        """
        mask, old = _reset_mask(options, self.num_envs), self._at
        if old is None and not mask.all():
            raise ResetNeeded("there is no episode yet: the first reset must be of all of them")
        self._seed(seed, mask)
        nobody = np.zeros(self.num_envs, np.intp)
        new = self.dynamics.play(nobody, nobody, np.ones(self.num_envs, bool), self._ahead())
        self._skip(mask)
        self._at = new if old is None else _mixed(mask, new, old)
        self._t, self._over = np.where(mask, 0, self._t), self._over & ~mask
        return self._at.o.copy(), _infos(self._at, mask)

    def step(self, actions: ArrayLike) -> Steps:
        """Act in all of them: what is seen, rewards, terminated, truncated, `infos`.

        Args:
            actions: one for each, (num_envs,).

        Raises:
            ValueError: an action that is none; the first is named.
            ResetNeeded: there is no episode yet.
        """
        if self._at is None:
            raise ResetNeeded("there is no episode yet: call envs.reset() before envs.step()")
        begins = self._over
        a = actions_of(actions, "actions", self.mdp.n_actions, begins)
        self._at = at = self.dynamics.play(self._at.s, a, begins, self._ahead())
        self._place += 1
        self._t = np.where(begins, 0, self._t + 1)
        terminated, truncated = self.mdp.terminal[at.s], self._t == self.steps
        if self.steps is None:
            truncated = np.zeros(self.num_envs, bool)
        self._over = terminated | truncated
        everywhere = np.ones(self.num_envs, bool)
        return at.o.copy(), at.r, terminated, truncated, _infos(at, everywhere)

    def render(self) -> Any:
        """A tuple with the text or the picture of each environment; None without a mode.

        Raises:
            ResetNeeded: there is no episode yet.
        """
        if self.render_mode is None:
            gym.logger.warn('render_mode is None: make the environment with "ansi", say, to render')
            return None
        if self._at is None:
            raise ResetNeeded("there is no episode yet: call envs.reset() before envs.render()")
        if self.render_mode == "ansi":
            return tuple(text(self.dynamics, self._at, k) for k in range(self.num_envs))
        return tuple(frame(self.dynamics, int(s)) for s in self._at.s)

    # --- chance -------------------------------------------------------------------------------

    def _seed(self, seed: int | Sequence[int | None] | None, mask: Mask) -> None:
        """Give new Generators to those with a new seed; the first time, to all."""
        seeds = _seeds(seed, self.num_envs)
        if not self._streams:
            self._streams = [seeding.np_random(k) for k in seeds]
            return
        for k in np.flatnonzero(mask):
            if seeds[k] is not None:
                self._streams[k] = seeding.np_random(seeds[k])
                rest = self._numbers[self._place :, :, k]
                rest[:] = self._streams[k][0].random(rest.shape)

    def _ahead(self) -> Array:
        """The uniform numbers of this step, (uniforms, num_envs)."""
        if self._place == len(self._numbers):
            U = self.dynamics.uniforms
            block = np.empty((self.num_envs, max(16, UNIFORMS // (U * self.num_envs)), U))
            for (stream, _), numbers in zip(self._streams, block, strict=True):
                stream.random(out=numbers)
            self._numbers, self._place = np.ascontiguousarray(block.transpose(1, 2, 0)), 0
        return self._numbers[self._place]

    def _skip(self, mask: Mask) -> None:
        """Use up a row for some environments only: the others find it at the next step."""
        if mask.all():
            self._place += 1
            return
        for k in np.flatnonzero(mask):
            rest = self._numbers[self._place :, :, k]
            rest[:-1] = rest[1:].copy()
            rest[-1] = self._streams[k][0].random(rest.shape[1])


def _seeds(seed: int | Sequence[int | None] | None, n: int) -> list[int | None]:
    if seed is None:
        return [None] * n
    if isinstance(seed, int | np.integer):
        return [whole(seed, "seed", least=0) + k for k in range(n)]
    seeds = [None if k is None else whole(k, "seed", least=0) for k in seed]
    if len(seeds) != n:
        raise ValueError(f"seed must hold one for each of {n} environments; it holds {len(seeds)}")
    return seeds


def _reset_mask(options: dict[str, Any] | None, n: int) -> Mask:
    mask = np.asarray((options or {}).get("reset_mask", np.ones(n, bool)))
    if mask.dtype != bool or mask.shape != (n,) or not mask.any():
        raise ValueError(
            f"reset_mask must say True or False for each of {n} environments, somewhere True;"
            f" it has shape {mask.shape}, {mask.dtype}, {np.count_nonzero(mask)} True"
        )
    return mask


def _mixed(mask: Mask, new: Events, old: Events) -> Events:
    """The events of those that begin anew, and the last ones of the others."""
    return Events(
        np.where(mask, new.s, old.s),
        np.where(mask, new.r, old.r),
        np.where(mask, new.o, old.o),
        np.where(mask, new.meant, old.meant),
        np.where(mask, new.happened, old.happened),
    )


def _infos(at: Events, mask: Mask) -> dict[str, NDArray[Any]]:
    return {
        "state": at.s.copy(), "_state": mask,
        "meant": at.meant, "_meant": mask.copy(),
        "happened": at.happened, "_happened": mask.copy(),
    }  # fmt: skip
