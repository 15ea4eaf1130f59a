"""Any process or world as a Gymnasium environment.

Reading: lecture 000 (the full loop of agent and environment); Gymnasium's documentation of `Env`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded

from gridrl.envs.dynamics import Events, Process, dynamics
from gridrl.envs.outcomes import ToyText, toy_text
from gridrl.envs.pictures import frame, one_of, text
from gridrl.processes import MDP
from gridrl.tables import Array, index, whole
from gridrl.worlds import GridWorld


class GridRLEnv(gym.Env[Any, Any]):
    """A process or a world, one step at a time.

    An observation is the state's index, counted from 0; of a POMDP the observation's. Where O has
    three axes nothing is seen before the first action: there is one more observation, the last,
    that means so. A world is its MDP, or its POMDP if it has a window of its own (`view`); any lens
    of a world can be given with its map: `GridRLEnv(ice.pomdp(gamma=1), world=ice)`.

    Rewards and states are drawn from what the process was given; gamma plays no part. `terminated`
    is an end of the process, `truncated` the time limit. `info` holds "state" (of a POMDP it is for
    the teacher, not for the agent), "meant", the action's label, and "happened", the direction that
    one went, without a map the label of the state reached; None for both at reset.

    Args:
        process_or_world: a GridWorld, MDP, POMDP, or a Markov or reward process, in which there is
            one action, wait.
        world: the map of a process, for pictures and directions.
        steps: time limit of an episode; None is none.
        render_mode: "ansi", the map as text; "rgb_array", a picture (H, W, 3), uint8; "human", the
            picture in a notebook or a window, after every step; None.

    >>> from gridrl.worlds import frozen_lake
    >>> env = GridRLEnv(frozen_lake(success_rate=1.0))
    >>> env.reset(seed=0)
    (0, {'state': 0, 'meant': None, 'happened': None})
    >>> env.step(1)
    (1, 0.0, False, False, {'state': 1, 'meant': 'right', 'happened': 'right'})

    Raises:
        TypeError: no process, no map.
        ValueError: a map of another size, an episode that may begin at its end, no such mode.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["ansi", "rgb_array", "human"],
        "render_fps": 4,
    }

    def __init__(
        self,
        process_or_world: GridWorld | Process,
        *,
        world: GridWorld | None = None,
        steps: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.dynamics = dynamics(process_or_world, world)
        self.steps = None if steps is None else whole(steps, "steps", least=1)
        self.render_mode = one_of(render_mode, self.metadata["render_modes"])
        self.observation_space = gym.spaces.Discrete(len(self.dynamics.observation_labels))
        self.action_space = gym.spaces.Discrete(self.mdp.n_actions)
        self.spec = EnvSpec(  # what `env.spec.make()` needs to make it again
            f"gridrl/{type(process_or_world).__name__}",
            entry_point="gridrl.envs.env:GridRLEnv",
            max_episode_steps=self.steps,
            kwargs={"process_or_world": process_or_world, "world": world},
        )
        self._at: Events | None = None
        self._t, self._over = 0, True
        self._screen: Any = None  # made when somebody looks

    @property
    def mdp(self) -> MDP:
        """What happens, behind the observations if there are any."""
        return self.dynamics.mdp

    @property
    def observation_labels(self) -> tuple[str, ...]:
        """The names of what is seen: of the states, or of a POMDP's observations."""
        return self.dynamics.observation_labels

    @cached_property
    def P(self) -> ToyText:
        """The model as in Gymnasium's toy-text: P[s][a] = [(p, s', r, terminated), ...]."""
        return toy_text(self.mdp, self.dynamics.outcomes)

    @property
    def initial_state_distrib(self) -> Array:
        """Distribution of the first state, (S,), under the name that toy-text gives it."""
        return self.mdp.start

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Begin an episode: the first observation, and `info`. There are no `options`."""
        super().reset(seed=seed)
        self._t, self._over = 0, False
        at = self._play(0, 0, begins=True)
        return int(at.o[0]), _info(at)

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Act: what is seen, the reward, terminated, truncated, `info`.

        Raises:
            ValueError: the action is none.
            ResetNeeded: there is no episode, or it is over.
        """
        a = _action(action, self.mdp.n_actions)
        if self._at is None or self._over:
            which = "there is no episode yet" if self._at is None else "the episode is over"
            raise ResetNeeded(f"{which}: call env.reset() before env.step()")
        at = self._play(self._at.s[0], a, begins=False)
        self._t += 1
        terminated, truncated = bool(self.mdp.terminal[at.s[0]]), self._t == self.steps
        self._over = terminated or truncated
        return int(at.o[0]), float(at.r[0]), terminated, truncated, _info(at)

    def _play(self, s: int, a: int, *, begins: bool) -> Events:
        chance = self.np_random.random(self.dynamics.uniforms)[:, None]
        self._at = at = self.dynamics.play(np.array([s]), np.array([a]), np.array([begins]), chance)
        if self.render_mode == "human":
            self._show()
        return at

    def render(self) -> Any:
        """The map as text, a picture (H, W, 3), or None, as `render_mode` says.

        Raises:
            ResetNeeded: there is no episode yet.
        """
        if self.render_mode is None:
            gym.logger.warn('render_mode is None: make the environment with "ansi", say, to render')
            return None
        if self._at is None:
            raise ResetNeeded("there is no episode yet: call env.reset() before env.render()")
        if self.render_mode == "human":
            return self._show()
        if self.render_mode == "ansi":
            return text(self.dynamics, self._at, 0)
        return frame(self.dynamics, int(self._at.s[0]))

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._screen is not None:
            self._screen.close()
            self._screen = None

    def _show(self) -> None:
        from gridrl.plot.frames import Screen  # matplotlib, for those who look

        if self._at is None:
            return
        if self._screen is None:
            self._screen = Screen(seconds=1 / self.metadata["render_fps"])
        self._screen.show(frame(self.dynamics, int(self._at.s[0])))


def make_env(
    process_or_world: GridWorld | Process,
    *,
    world: GridWorld | None = None,
    steps: int | None = None,
    render_mode: str | None = None,
) -> GridRLEnv:
    """Make an environment of a process or a world; see `GridRLEnv`.

    >>> from gridrl.worlds import lost_penguin_world
    >>> lost = lost_penguin_world()
    >>> env = make_env(lost.pomdp(gamma=1), world=lost, render_mode="ansi")
    >>> o, info = env.reset(seed=0)
    >>> env.observation_labels[o]
    '..'
    >>> print(env.render())
    [S] .  .  H
     .  .  .  .
     .  F  .  .
     .  .  .  .
    """
    return GridRLEnv(process_or_world, world=world, steps=steps, render_mode=render_mode)


def _info(at: Events) -> dict[str, Any]:
    return {"state": int(at.s[0]), "meant": at.meant[0], "happened": at.happened[0]}


def _action(value: Any, n_actions: int) -> int:
    try:
        return index(value, "action", n_actions)
    except TypeError as error:  # to a space, 1.5 is one more value outside
        raise ValueError(str(error)) from error
