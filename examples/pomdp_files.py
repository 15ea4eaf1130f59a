"""The field's files: write the tiger in Cassandra's format, look at it, and read it back."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from gridrl.worlds import read_pomdp, tiger, write_pomdp

with TemporaryDirectory() as folder:
    path = Path(folder, "tiger.POMDP")
    write_pomdp(tiger(), path)
    print(*path.read_text().splitlines()[:12], sep="\n")
    again = read_pomdp(path)

print(again, "the same model:", np.array_equal(again.O, tiger().O))
