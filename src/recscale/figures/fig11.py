"""Figure 11: the first answers of a beam search after a history of random items (section 8).

One example shows no diversity: the table `generation` measures it over many histories.
"""

from __future__ import annotations

from recscale.errors import run_command
from recscale.figures.case_study import command

LEAD = (
    "The first answers of a beam search after random items. Whether answers are more diverse after "
    r"random items, one case cannot show; Table~\ref{tab:generation-diversity} measures it."
)

main = command("fig11", __doc__, LEAD)

if __name__ == "__main__":
    run_command(main)
