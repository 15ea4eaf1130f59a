"""`python -m gridrl.demo`: the lecture's story in numbers and pictures, one file a part.

A part is a module with a `TITLE` and a function `tell(story)`; to add one, write it and name it in
`PARTS`, in the order of the course.
"""

PARTS = (
    "markov", "rewards", "decisions", "control", "experience", "uphill", "lost", "preferences",
    "language",
)  # fmt: skip
