"""Figure 9: the next item after a walk by greedy search, beside the true one (section 8)."""

from __future__ import annotations

from recscale.errors import run_command
from recscale.figures.case_study import command

LEAD = "The next item after a held-out walk by greedy search, beside the true one."

main = command("fig9", __doc__, LEAD)

if __name__ == "__main__":
    run_command(main)
