"""An item's text, in the form of the paper's examples (section 4.2.1 and Figure 9)."""

from __future__ import annotations

import pandas as pd


def item_texts(items: pd.DataFrame) -> list[str]:
    """One text per row of the items table: `title, by brand in c0 > c1 > c2. Size: s. Color: c`.

    Parts that the log does not have are left out; the text has no full stop at its end.
    """
    columns = ["title", "brand", "c0", "c1", "c2", "size", "color"]
    present = {c: items[c].notna().to_numpy() for c in columns}
    values = {c: items[c].astype("object").to_numpy() for c in columns}
    texts = []
    for row in range(len(items)):
        text = str(values["title"][row])
        if present["brand"][row]:
            text += f", by {values['brand'][row]}"
        categories = [str(values[c][row]) for c in ("c0", "c1", "c2") if present[c][row]]
        if categories:
            text += (" in " if present["brand"][row] else ", in ") + " > ".join(categories)
        if present["size"][row]:
            text += f". Size: {values['size'][row]}"
        if present["color"][row]:
            text += f". Color: {values['color'][row]}"
        texts.append(text)
    return texts
