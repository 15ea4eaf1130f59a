"""Asking on a page: one HTML file with its clips, that needs neither server nor network.

The votes are kept by the browser until they are downloaded, as lines that `PreferenceDataset.load`
reads and that may be appended to another file of votes. The name is kept beside them; whoever votes
next on the same machine presses "begin anew".
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from gridrl.files import write_whole
from gridrl.humans.clips import SECONDS, clip_gif
from gridrl.humans.questions import Pair, checked, with_checks
from gridrl.preferences import Comparison
from gridrl.preferences.records import to_record
from gridrl.worlds import GridWorld


def vote_page(
    world: GridWorld,
    pairs: Iterable[Pair],
    path: str | Path | None = None,
    *,
    title: str = "Which clip is better?",
    checks: float = 0.1,
    seconds: float = SECONDS,
    rng: int | np.random.Generator | None = None,
) -> str:
    """Make a page that asks which of two clips is preferred; return its HTML.

    Args:
        world: the map.
        pairs: of clips.
        path: where to save it, .html; None does not.
        title: stands above.
        checks: repeated questions, left and right exchanged, as a share of the pairs.
        seconds: how long a step of a clip stands.
        rng: chooses the repeated pairs: a seed, a Generator, or None for fresh chance.

    >>> from gridrl.preferences import Segment
    >>> from gridrl.worlds import penguin_world
    >>> pair = Segment([0, 1], [1, 1], final=2), Segment([2, 3], [1, 2], final=7)
    >>> page = vote_page(penguin_world(), [pair])
    >>> page[:15], page.count("data:image/gif")
    ('<!doctype html>', 2)

    Raises:
        TypeError, ValueError: no pairs, or something else than pairs of clips of this world;
            another ending than .html.
        OSError: it cannot be written; what was there before is still there.
    """
    target = None if path is None else Path(path)
    if target is not None and target.suffix != ".html":
        raise ValueError(f"path must end in .html; it is {str(path)!r}")
    questions = with_checks(checked(world, pairs), checks, rng=rng)
    if not questions:
        raise ValueError("pairs must hold at least one pair of clips; it is empty")
    clips = {clip.key: clip for pair in questions for clip in pair}
    content = {
        "clips": {
            key: _data(clip_gif(world, clip, seconds=seconds)) for key, clip in clips.items()
        },
        "questions": [to_record(Comparison(*pair, "skip")) for pair in questions],
        "keys": [[first.key, second.key] for first, second in questions],
    }
    page = _filled(title, json.dumps(content))
    if target is not None:
        write_whole(target, page.encode())
    return page


def _filled(title: str, content: str) -> str:
    """The page; nothing in the content can end the script it stands in."""
    parts = {
        "TITLE": html.escape(title),
        "NAME": hashlib.sha256(content.encode()).hexdigest()[:16],
        "CONTENT": content.replace("<", "\\u003c"),
    }
    return re.sub("|".join(parts), lambda found: parts[found.group()], PAGE)


def _data(content: bytes) -> str:
    return f"data:image/gif;base64,{base64.b64encode(content).decode()}"


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>TITLE</title>
<meta name="viewport" content="width=device-width">
<style>body{font:18px sans-serif;text-align:center;margin:1em}
img{width:46%;max-width:340px;margin:1%}input{font-size:18px}
button{font-size:18px;margin:.2em;min-width:6em;padding:.4em}</style></head><body>
<h1>TITLE</h1>
<p id="status"></p>
<p><img id="first" alt="left clip"><img id="second" alt="right clip"></p>
<p><button id="left">&#9664; left</button><button id="tie">&#9650; tie</button>
<button id="skip">&#9660; can't tell</button><button id="right">right &#9654;</button></p>
<p><button id="replay">replay (R)</button><button id="undo">undo (U)</button></p>
<p><label>name <input id="voter" autocomplete="off"></label>
<button id="save">download the votes</button>
<button id="anew">begin anew</button></p>
<script id="content" type="application/json">CONTENT</script>
<script>
const {clips, questions, keys} = JSON.parse(document.getElementById("content").textContent);
const get = id => document.getElementById(id);
const labels = ["left", "tie", "skip", "right"];
const [said, name] = location.hash.slice(1).split("/");
let votes = [...said].map(c => labels.find(l => l[0] === c)).filter(Boolean);
try {
  const kept = JSON.parse(localStorage.getItem("gridrl NAME") || "{}");
  get("voter").value = name === undefined ? kept.voter || "" : decodeURIComponent(name);
  if (!votes.length) votes = kept.votes || [];
} catch (error) {}
function keep() {  // in the address for a reload at once, in the storage for another day
  const voter = get("voter").value;
  try {
    const said = votes.map(label => label[0]).join("");
    history.replaceState(null, "", "#" + said + "/" + encodeURIComponent(voter));
    localStorage.setItem("gridrl NAME", JSON.stringify({votes, voter}));
  } catch (error) {}
}
function show() {
  const at = votes.length, done = at >= questions.length;
  for (const label of labels) get(label).disabled = done;
  get("undo").disabled = at === 0;
  get("save").disabled = at === 0;
  get("status").textContent = done ? "All " + at + " questions answered: download the votes."
    : "Question " + (at + 1) + " of " + questions.length
      + ": in which clip do better things happen?";
  if (!done) ["first", "second"].forEach((id, side) => {
    get(id).src = "";
    get(id).src = clips[keys[at][side]];
  });
}
function vote(label) { if (votes.length < questions.length) { votes.push(label); keep(); show(); } }
function undo() { votes.pop(); keep(); show(); }
function lines() {
  const voter = get("voter").value;
  return votes.map((label, k) => JSON.stringify({...questions[k], label, voter}) + "\\n").join("");
}
labels.forEach(label => { get(label).onclick = e => { if (e.detail < 2) vote(label); }; });
get("undo").onclick = undo;
get("voter").oninput = keep;
get("anew").onclick = () => {
  if (!confirm("Take all votes and the name away, for somebody else to vote?")) return;
  votes = [];
  get("voter").value = "";
  keep();
  show();
};
get("replay").onclick = show;
get("save").onclick = () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([lines()], {type: "application/x-ndjson"}));
  link.download = "votes.jsonl";
  link.click();
};
document.onkeydown = e => {
  if (e.target.tagName === "INPUT" || e.repeat || e.ctrlKey || e.metaKey || e.altKey) return;
  const name = {ArrowLeft: "left", ArrowRight: "right", ArrowUp: "tie", ArrowDown: "skip",
    r: "replay", u: "undo"}[e.key];
  if (name) { e.preventDefault(); get(name).click(); }
};
show();
</script></body></html>
"""
