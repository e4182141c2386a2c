"""What a cluster decides about jobs, from config/site.yaml where it exists: nodes and GPUs of a run.

There are no rules here. All of it ends in resources, which make nothing run again. Partition, account
and time limits are read from the same file by the profile of the cluster.
"""

import os
import re
import shutil
import subprocess

from snakemake_interface_executor_plugins.settings import DeploymentMethod, ExecMode

SITE_FILE = Path("config/site.yaml")


def site_of_the_cluster():
    """The site file, checked; empty where there is none."""
    if not SITE_FILE.is_file():
        return {}
    try:
        values = yaml.safe_load(SITE_FILE.read_text())
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where else ""
        raise WorkflowError(f"{SITE_FILE}: it is not YAML{line}; see config/site.example.yaml")
    check(values or {}, "workflow/schemas/site.schema.yaml", SITE_FILE)
    return values or {}


SITE = site_of_the_cluster()


def nodes_of(size):
    """Nodes of a CPT run. A size that the rung trains in one process stays on one."""
    if PRETRAINING["processes"][size] == 1:
        return 1
    return SITE.get("nodes", {}).get(size, 1)


def processes_of(size):
    """Processes of a CPT run on all its nodes, one for each GPU where the site has a say."""
    configured = PRETRAINING["processes"][size]
    if configured == 1 or "gpus_per_node" not in SITE:
        return configured * nodes_of(size)
    return SITE["gpus_per_node"] * nodes_of(size)


def check_site():
    """Stop with one line if a run's processes cannot share its batches, or have nothing to share."""
    batch = PRETRAINING["batch_windows"]
    for size in PRETRAINING["sizes"]:
        processes = processes_of(size)
        where = SITE_FILE if SITE else "config: pretraining.processes"
        part = batch // processes or 1
        at_once = min(PRETRAINING["windows_at_once"][size] or 1, part)
        if batch % (processes * at_once):
            raise WorkflowError(
                f"{where}: a run of {size} has {processes} processes of {at_once} windows at once "
                f"(pretraining.windows_at_once), which do not divide its batch of {batch}; change "
                "its nodes, or lower windows_at_once"
            )
        if processes == 1 and PRETRAINING["sharding"][size] != "none":
            raise WorkflowError(
                f"{where}: a run of {size} has one process, and pretraining.sharding.{size} shares "
                "its model among several; set it to none, or give the run more GPUs"
            )


check_site()


def size_of_run(wildcards):
    """The size of a run of config/experiments.yaml."""
    return EXPERIMENTS["runs"][wildcards.run]["size"]


def launcher(wildcards):
    """How a run is started: in one process, or in several on its nodes."""
    size = size_of_run(wildcards)
    nodes, processes = nodes_of(size), processes_of(size)
    if processes == 1:
        return "python"
    return f"python -m recscale.pretraining.launch --nodes {nodes} --processes {processes} --"


def on_several_nodes(key):
    """A resource that only a run on several nodes has: see the Slurm executor's `mpi`.

    With it the job's command runs in the batch script, and starts its own srun on all nodes.
    """

    def value(wildcards):
        nodes = nodes_of(size_of_run(wildcards))
        return {"mpi": "srun", "tasks_per_gpu": 0}.get(key, nodes) if nodes > 1 else None

    return value


# One task a node, whose launcher starts a process for each of the node's GPUs.
HOW_TO_START = {
    "start": launcher,
    **{key: on_several_nodes(key) for key in ["nodes", "tasks", "tasks_per_gpu", "mpi"]},
}


# The executor looks at its jobs every 180 s when they take long, and is a while about it.
SECONDS_BETWEEN_LOOKS = 200

INSTALL_CONDA = (
    "this profile makes each stage's environment with conda, and there is no conda on the PATH; install "
    "Miniforge (https://conda-forge.org/download), which needs no administrator, or run in the "
    "environment of `make environment` with --sdm env-modules"
)


def conda_is_missing():
    """Whether environments are to be made with conda, and there is none."""
    methods = workflow.deployment_settings.deployment_method
    return DeploymentMethod.CONDA in methods and shutil.which("conda") is None


def jobs_in_flight():
    """Slurm's jobs of this folder, with their rules: what a workflow process left that was killed."""
    if shutil.which("squeue") is None:
        raise WorkflowError(
            "this profile submits jobs to Slurm, and there is no squeue on the PATH; run it where jobs "
            "are submitted, or choose another profile: smoke, mini, h200"
        )
    queue = subprocess.run(
        ["squeue", "--me", "--all", "--noheader", "--format", "%i|%k|%Z"],
        capture_output=True,
        text=True,
    )
    if queue.returncode:
        raise WorkflowError(
            f"Slurm does not say what is in its queue ({queue.stderr.strip()}); start again when it does"
        )
    rows = [line.split("|", 2) for line in queue.stdout.splitlines()]
    # The executor's comment tells its jobs from others, e.g. the one that this is started in.
    return [
        (job, comment)
        for job, comment, folder in rows
        if comment.startswith("rule_") and Path(folder).exists() and Path(folder).samefile(".")
    ]


def check_memory_of_slurm():
    """Stop if jobs may leave the queue before anybody has asked how they ended."""
    shown = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True).stdout
    found = re.search(r"^MinJobAge\s*=\s*(\d+)", shown, flags=re.MULTILINE)
    asks_accounts = workflow.executor_settings.status_command == "sacct"
    # Zero is for one that forgets none.
    if found and 0 < int(found[1]) < SECONDS_BETWEEN_LOOKS and not asks_accounts:
        raise WorkflowError(
            f"Slurm forgets jobs {found[1]} s after their end (MinJobAge), and is asked how they ended "
            f"every {SECONDS_BETWEEN_LOOKS} s: if it keeps accounts, write accounting: true in {SITE_FILE}; "
            "if not, its administrator can raise MinJobAge"
        )


# A dry run and the plan need no environments, and go without conda. Jobs that do are stopped below.
NO_CONDA = conda_is_missing()
if NO_CONDA:
    if workflow.exec_mode != ExecMode.DEFAULT:
        raise WorkflowError(INSTALL_CONDA)
    workflow.deployment_settings.deployment_method.discard(DeploymentMethod.CONDA)


onstart:
    submits = any(not job.is_local for job in workflow.dag.needrun_jobs())
    if NO_CONDA and submits:
        raise WorkflowError(INSTALL_CONDA)
    if workflow.executor_plugin.name == "slurm" and submits:
        if found := jobs_in_flight():
            ids = " ".join(job for job, _ in found)
            raise WorkflowError(
                f"the queue still holds what an earlier start submitted from this folder ({found[0][1]}, "
                f"for one), and it would run twice; wait until it has ended, or end it: scancel {ids}"
            )
        check_memory_of_slurm()
