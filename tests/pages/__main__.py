"""``python -m tests.pages``: write the parts of the pages in docs/ that are made of the code."""

from tests.pages.document import PARTS

for part in PARTS:
    part.write()
