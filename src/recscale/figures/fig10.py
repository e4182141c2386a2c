"""Figure 10: the first answers of a beam search after a long walk (section 8)."""

from __future__ import annotations

from recscale.errors import run_command
from recscale.figures.case_study import command

LEAD = "The first answers of a beam search after a held-out walk as long as a window holds."

main = command("fig10", __doc__, LEAD)

if __name__ == "__main__":
    run_command(main)
