"""A Slurm cluster of this machine alone: nodes on loopback, with GPUs that are none.

Everything it writes lies in one folder, and it listens on ports of its own. Its nodes are called
127.0.0.1, 127.0.0.2 and so on, so that their names resolve everywhere, and claim more than the
machine has, so that the requests of a real profile fit.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import time
from pathlib import Path

import psutil

# What one test does to a node must not reach the jobs of another.
PARTITIONS = {
    "gpu": ("127.0.0.1", "127.0.0.2"),
    "unsafe": ("127.0.0.3", "127.0.0.4"),
    "paper_gpu": ("127.0.0.5",),
    "paper_cpu": ("127.0.0.5",),
}
NODES = tuple(sorted({node for nodes in PARTITIONS.values() for node in nodes}))
CPUS, MEMORY_MB, GPUS = 1024, 20_000_000, 32  # of a node
DAEMONS = ("munged", "slurmctld", "slurmd")
CLIENTS = ("sbatch", "srun", "squeue", "scontrol", "scancel", "sinfo", "sacct")
MINOR_OF_NULL = os.makedev(1, 3)

CONFIGURATION = """
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
KillWait={kill_wait}
MinJobAge=3600
SlurmdTimeout=30
SlurmdParameters=config_overrides
GresTypes=gpu
{nodes}
{partitions}
"""


def is_installed() -> bool:
    return all(map(shutil.which, [*DAEMONS, *CLIENTS]))


def why_not(folder: Path) -> str | None:
    """Why no Slurm can be started here.

    Debian's packages are installed where INSTALL_SLURM is set, as `make cluster-test` does.

    Args:
        folder: a place for a try.
    """
    if os.geteuid() != 0:
        return "a Slurm of one's own needs root"
    try:
        os.mknod(folder / "null", stat.S_IFCHR | 0o600, MINOR_OF_NULL)
    except OSError as error:
        return f"devices that stand for GPUs cannot be made: {error}"
    if is_installed():
        return None
    if not os.environ.get("INSTALL_SLURM"):
        return "slurm-wlm and munge are not installed; make cluster-test installs them on a Debian"
    if shutil.which("apt-get") is None:
        return "slurm-wlm and munge are not installed, and there is no apt-get"
    packages = ["--no-install-recommends", "slurm-wlm", "munge"]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", *packages]):
        done = subprocess.run(
            ["apt-get", "-qq", *command], env=environment, capture_output=True, text=True
        )
    if done.returncode or not is_installed():
        return f"apt-get cannot install slurm-wlm and munge: {done.stderr.strip()[-200:]}"
    return None


def free_ports(number: int) -> list[int]:
    """Ports that nothing listens on."""
    sockets = [socket.socket() for _ in range(number)]
    try:
        for found in sockets:
            found.bind(("127.0.0.1", 0))
        return [found.getsockname()[1] for found in sockets]
    finally:
        for found in sockets:
            found.close()


class LocalSlurm:
    """The cluster.

    Args:
        folder: for its configuration, keys, state and logs; new.
        kill_wait: seconds between SIGTERM and SIGKILL of a job that is ended.
    """

    def __init__(self, folder: Path, kill_wait: int = 60) -> None:
        self.folder = folder
        self._folders_made(kill_wait)
        self.environment = {"PATH": f"{folder}/bin{os.pathsep}{os.environ['PATH']}"}

    def _folders_made(self, kill_wait: int) -> None:
        for name in ("state", "bin", "dev", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True)
        host, ports = socket.gethostname().split(".")[0], free_ports(1 + len(NODES))
        nodes = "\n".join(
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={CPUS} "
            f"RealMemory={MEMORY_MB} Gres=gpu:{GPUS} State=UNKNOWN"
            for node, port in zip(NODES, ports[1:], strict=True)
        )
        partitions = "\n".join(
            f"PartitionName={name} Nodes={','.join(members)} MaxTime=INFINITE State=UP"
            for name, members in PARTITIONS.items()
        )
        self.name = f"loopback{ports[0]}"
        values = {"name": self.name, "host": host, "port": ports[0], "kill_wait": kill_wait}
        text = CONFIGURATION.format(
            folder=self.folder, nodes=nodes, partitions=partitions, **values
        )
        (self.folder / "slurm.conf").write_text(text)
        devices = [self.folder / f"dev/gpu{number}" for number in range(GPUS)]
        for device in devices:
            os.mknod(device, stat.S_IFCHR | 0o600, MINOR_OF_NULL)
        lines = [f"NodeName={node} Name=gpu File={d}\n" for node in NODES for d in devices]
        (self.folder / "gres.conf").write_text("".join(lines))
        (self.folder / "munge.key").write_bytes(os.urandom(1024))
        (self.folder / "munge.key").chmod(0o400)
        # A client finds the configuration wherever it is started from: Snakemake's executor drops
        # SLURM_CONF from the environment of its jobs.
        for name in CLIENTS:
            client = self.folder / "bin" / name
            config = self.folder / "slurm.conf"
            client.write_text(f'#!/bin/sh\nSLURM_CONF={config} exec {shutil.which(name)} "$@"\n')
            client.chmod(0o755)

    def _daemon(self, *command: str) -> None:
        log = self.folder / "daemons.log"
        with log.open("a") as output:
            subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=True
            )

    def _pid(self, name: str) -> int | None:
        try:
            found = int((self.folder / f"{name}.pid").read_text())
            os.kill(found, 0)
        except (OSError, ValueError):
            return None
        return found

    def start(self) -> None:
        """Start all daemons, and wait until the nodes are idle."""
        at = self.folder
        self._daemon(
            *("munged", "--force", f"--key-file={at}/munge.key", f"--socket={at}/munge.sock"),
            *(f"--pid-file={at}/munged.pid", f"--log-file={at}/munged.log"),
            f"--seed-file={at}/munge.seed",
        )
        self.start_controller()
        for node in NODES:
            self._daemon("slurmd", "-N", node, "-f", f"{at}/slurm.conf")
        self._wait_until_idle()

    def start_controller(self) -> None:
        """Start slurmctld, with the state it left if it ran before."""
        self._daemon("slurmctld", "-f", f"{self.folder}/slurm.conf")

    def stop_controller(self) -> None:
        """Stop slurmctld alone; jobs go on."""
        self._stop("slurmctld")

    def stop(self) -> None:
        """End all jobs and daemons."""
        if self._pid("slurmctld"):
            subprocess.run(["scancel", "--user=root"], env=os.environ | self.environment)
            end = time.monotonic() + 15
            while self.jobs() and time.monotonic() < end:
                time.sleep(0.2)
        for name in ("slurmctld", *(f"slurmd-{node}" for node in NODES), "munged"):
            self._stop(name)
        self._kill_what_is_left()

    def _kill_what_is_left(self) -> None:
        """End what jobs left: without control groups Slurm loses processes of dead parents."""
        for process in psutil.process_iter():
            try:
                if process.environ().get("SLURM_CLUSTER_NAME") == self.name:
                    process.kill()
            except psutil.Error:  # it has ended, or is of somebody else
                continue

    def _stop(self, name: str) -> None:
        pid = self._pid(name)
        end = time.monotonic() + 20
        while pid and self._pid(name) == pid:
            os.kill(pid, 15 if time.monotonic() < end else 9)
            time.sleep(0.2)

    def run(self, *command: str) -> str:
        """Run one of Slurm's clients; returns what it prints."""
        done = subprocess.run(
            command, env=os.environ | self.environment, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def jobs(self, folder: Path | None = None) -> list[tuple[str, str]]:
        """Number and nodes of the jobs in the queue: of all, or of those of one folder."""
        lines = self.run("squeue", "-h", "-o", "%i|%N|%Z").splitlines()
        found = [line.split("|", 2) for line in lines]
        return [(job, nodes) for job, nodes, of in found if folder is None or of == str(folder)]

    def _wait_until_idle(self) -> None:
        end, states = time.monotonic() + 30, ""
        while time.monotonic() < end:
            try:
                states = self.run("sinfo", "-h", "-N", "-o", "%T")
            except RuntimeError as error:
                states = str(error)
            if set(states.split()) == {"idle"}:
                return
            time.sleep(0.2)
        logs = "".join(path.read_text()[-500:] for path in sorted(self.folder.glob("*.log")))
        raise RuntimeError(f"Slurm did not come up: {states}\n{logs}")
