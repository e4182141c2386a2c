"""After each job, a line that says what is left.

There are no rules here.
"""

from importlib.util import module_from_spec, spec_from_file_location

# The workflow's own scripts are no package.
PROGRESS = spec_from_file_location("progress", ROOT / "workflow/scripts/progress.py")
progress = module_from_spec(PROGRESS)
PROGRESS.loader.exec_module(progress)
progress.announce(workflow, NAME, ROOT / "results/reference" / RUNG / "minutes.json")
