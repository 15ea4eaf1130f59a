"""A language model one can see whole: three steps, a dozen methods, and the exact optimum."""

from __future__ import annotations

from gridrl import plot
from gridrl.demo.story import Story
from gridrl.rlhf import regularised_optimum, word_world
from gridrl.rlhf.pipeline import begin, compare
from gridrl.rlhf.rows import COLUMNS

TITLE = "9. A language model you can see: RLHF, method by method"


def tell(story: Story) -> None:
    """The tree of answers, what alignment does to them, and the table of methods."""
    words = word_world(length=3)
    begun = begin(words)
    world, asked = words.world, words.world.prompts[0]
    story.say(
        f"""The agent writes answers of up to 3 tokens out of {len(world.vocabulary)}: every one of
        the {world.n_completions:,} answers to a prompt can be listed, and every expectation is a
        sum. It has read a small corpus, good and bad, and imitated six demonstrations:"""
    )
    tree = plot.completion_tree(begun.reference, asked, most=10)
    story.picture("completions", tree, f"What it may say after '{asked}', and how likely.")
    best = regularised_optimum(begun.reference, words.reward, begun.beta)
    likely = [
        world.texts[int(p[0].argmax())]
        for p in (begun.pretrained.probs, begun.reference.probs, best.probs)
    ]
    story.say(
        f"""Most likely after '{asked}': pretrained '{likely[0]}', fine-tuned '{likely[1]}', and
        the exact optimum of reward less KL '{likely[2]}'. Besides, the methods hear only 500 votes
        of a human on pairs of answers. J is the human's own reward (gold) less {begun.beta:g} KL to
        the fine-tuned model, in nats; the gap to the optimum is {begun.beta:g} KL(policy ||
        optimum), for every policy, to the last digit. A policy wins if its answer has more gold
        than the fine-tuned model's; a tie is half a win:"""
    )
    rows = compare(words, votes=500, runs=1 if story.quick else 2, rng=story.seed)
    cells = [[row.name, *(row.means[c] for c in COLUMNS), row.labels] for row in rows]
    story.table(["method", *COLUMNS, "labels"], cells)
    made = {row.name: row.probs[0] for row in rows if row.name != "optimum"}
    seen = plot.frontier(begun.reference, words.reward, made, beta=begun.beta)
    story.picture("frontier", seen, "Gold reward against KL; no policy is above the line.")
    story.say(
        """Best-of-N and rejection sampling pay too much KL; DPO of a few votes is sure of what few
        people said; Nash-MD and IPO, which hear probabilities in place of rewards, stay close to
        where they began. Notebooks 15 to 20 say why."""
    )
