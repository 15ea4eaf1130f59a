"""People vote: clips, a panel in a notebook, a terminal, a page, and how far they agree.

`ask_human` asks about pairs of clips and writes the votes to a dataset; a `Voter` stands in the
place of an oracle; a `SimulatedHuman` stands in the place of a person.
"""

from gridrl.humans.agreement import Agreement, agreement
from gridrl.humans.asking import Poll, ask_human
from gridrl.humans.clips import clip_frames, clip_gif
from gridrl.humans.pages import vote_page
from gridrl.humans.panel import Panel, in_notebook
from gridrl.humans.questions import with_checks
from gridrl.humans.terminal import clip_text, in_terminal
from gridrl.humans.voters import SimulatedHuman, Voter

__all__ = [
    "Agreement",
    "Panel",
    "Poll",
    "SimulatedHuman",
    "Voter",
    "agreement",
    "ask_human",
    "clip_frames",
    "clip_gif",
    "clip_text",
    "in_notebook",
    "in_terminal",
    "vote_page",
    "with_checks",
]
