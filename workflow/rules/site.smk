"""What a cluster decides about jobs, from config/site.yaml where it exists: nodes and GPUs of a run.

There are no rules here. All of it ends in resources, which make nothing run again. Partition, account
and time limits are read from the same file by the profile of the cluster.
"""

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
        at_once = PRETRAINING["windows_at_once"][size] or 1
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
    return f"python -m recscale.pretraining.launch --nodes {nodes} --processes {processes} -- "


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
