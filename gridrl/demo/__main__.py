"""`python -m gridrl.demo`: run the parts, print the story, write pictures and the report.

Exit codes: 0 all told, 1 something failed (said on stderr), 2 wrong options.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gridrl.demo import PARTS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit code."""
    options = _parser().parse_args(arguments)
    if options.list:
        for name in PARTS:
            print(f"{name:12} {_part(name).TITLE}")
        return 0
    if hasattr(sys.stdout, "reconfigure"):  # a terminal without γ shows a question mark
        sys.stdout.reconfigure(errors="replace")
    started = time.perf_counter()
    try:
        _tell(options)
    except OSError as error:
        print(f"gridrl.demo: cannot write: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("gridrl.demo: stopped; what was written so far is whole", file=sys.stderr)
        return 1
    print(f"\nTold in {time.perf_counter() - started:.1f} s.")
    return 0


def _tell(options: argparse.Namespace) -> None:
    import matplotlib as mpl

    mpl.use("agg")  # no display needed
    from gridrl.demo.story import Story

    options.out.mkdir(parents=True, exist_ok=True)
    story = Story(options.out, quick=options.quick, seed=options.seed)
    for name in [*options.parts, *(options.part or [])] or PARTS:
        part = _part(name)
        story.heading(part.TITLE)
        part.tell(story)
    path = story.report.save(options.out / "report.html")
    print(f"\nThe whole story, with its pictures: {path}")


def _part(name: str) -> Any:
    return importlib.import_module(f"gridrl.demo.{name}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gridrl.demo",
        description="The penguin's story, from Markov process to RLHF.",
    )
    add = parser.add_argument
    add("parts", nargs="*", type=_name, metavar="part", help="only these parts")
    add("--part", action="append", choices=PARTS, help="the same; may be given again")
    add("--out", type=Path, default=Path("gridrl-demo"), help="folder for pictures and report")
    add("--seed", type=_seed, default=0, help="seed of everything drawn by chance")
    add("--quick", action="store_true", help="less of everything that takes time")
    add("--list", action="store_true", help="list the parts and stop")
    return parser


def _name(text: str) -> str:
    if text not in PARTS:
        raise argparse.ArgumentTypeError(f"one of {', '.join(PARTS)}, not {text!r}")
    return text


def _seed(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"a whole number from 0, not {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
