"""What the plan is made of: the workflow's jobs, its config, and what is assumed of hardware."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recscale.errors import UserError
from recscale.files import read_json
from recscale.scaling.compute import Shape
from recscale.settings import build


@dataclass(frozen=True)
class Card:
    """A GPU: dense bf16 FLOP/s, memory in GB (1e9 bytes), US dollars an hour."""

    flops: float
    memory_gb: float
    price: float


@dataclass(frozen=True)
class Machine:
    """What a rung runs on: a card or none, how many in all, and CPU cores in all."""

    gpu: str | None
    gpus: int
    cores: int


@dataclass(frozen=True)
class Log:
    """Rows of a public log, its users and items, directed rules of it, and its size."""

    rows: int
    users: int
    items: int
    rules: int
    download_gb: float


@dataclass(frozen=True)
class Text:
    """A subset of general text."""

    tokens: int
    documents: int
    download_gb: float


@dataclass(frozen=True)
class Checkpoint:
    """A published model; tied: its head is its embedding."""

    download_gb: float
    tied: bool


@dataclass(frozen=True)
class Hardware:
    """config/hardware.yaml."""

    gpus: dict[str, Card]
    machines: dict[str, Machine]
    gpu_counts: tuple[int, ...]
    share_of_peak: dict[str, float]
    cpu: dict[str, float]
    bytes_per_second: dict[str, float]
    rates: dict[str, float]
    logs: dict[str, Log]
    general: dict[str, Text]
    checkpoints: dict[str, Checkpoint]
    text_tokens: int
    start_seconds: dict[str, float]


@dataclass(frozen=True)
class Node:
    """Jobs of a rule that differ in a shard's number alone, and the nodes they wait for."""

    rule: str
    wildcards: dict[str, str]
    jobs: int
    needs: tuple[str, ...]


@dataclass(frozen=True)
class Resources:
    """What a job of a rule asks for: cards, threads, and minutes after which it is stopped."""

    gpus: int
    threads: int
    minutes: float | None


@dataclass(frozen=True)
class Request:
    """Settings of the plan.

    config: blocks of the rung's config. runs: those of config/experiments.yaml, with their
    defaults. nodes: all jobs behind the targets, by name. artefacts: nodes of tables and figures.
    targets: nodes that a target builds. resources: by rule.
    """

    name: str
    rung: str
    config: dict[str, Any]
    runs: dict[str, dict[str, Any]]
    nodes: dict[str, Node]
    artefacts: tuple[str, ...]
    targets: dict[str, tuple[str, ...]]
    resources: dict[str, Resources]
    hardware: Hardware

    def __post_init__(self) -> None:
        if self.rung not in self.hardware.machines:
            raise UserError(
                f"config/hardware.yaml: machines has no {self.rung}", "say what the rung runs on"
            )
        card = self.machine.gpu
        if card is not None and card not in self.hardware.gpus:
            raise UserError(
                f"config/hardware.yaml: machines.{self.rung}.gpu is {card}, which gpus lacks",
                f"known: {', '.join(self.hardware.gpus)}",
            )

    @property
    def machine(self) -> Machine:
        """What the rung runs on."""
        return self.hardware.machines[self.rung]

    @property
    def card(self) -> Card | None:
        """The card of trainings, or None where they run on the CPU."""
        if self.config["pretraining"]["device"] != "cuda" or self.machine.gpu is None:
            return None
        return self.hardware.gpus[self.machine.gpu]

    @property
    def log(self) -> Log:
        """The log; raises UserError if its size is not known."""
        data = self.config["data"]
        if data["source"] == "world":
            world = data["world"]
            items = world["items"]
            return Log(world["events"], world["users"], items, 20 * items, 0.0)
        if data["source"] not in self.hardware.logs:
            raise UserError(
                f"config/hardware.yaml: logs has no {data['source']}",
                "add the rows, users, items and rules of your log",
            )
        return self.hardware.logs[data["source"]]

    def shape(self, size: str) -> Shape:
        """The shape of a size."""
        return build(Shape, self.config["pretraining"]["sizes"][size], f"sizes.{size}")

    def tied(self, size: str) -> bool:
        """Whether the head of a size is its embedding; it is in models that are trained here."""
        name = self.shape(size).checkpoint
        return name is None or (
            self.hardware.checkpoints[name].tied if name in self.hardware.checkpoints else True
        )

    def rec_tokens(self, method: str) -> int:
        """REC tokens of a method of semantic ids."""
        block = self.config["item_ids"]
        if method in ("sae", "sae_general"):
            return int(block["sae"]["latents"])
        return int(block["rq"]["layers"] * block["rq"]["codes"])

    def method(self, run: str) -> str:
        """The method of the ids that a run is written in."""
        method = self.runs[run]["item_ids"]
        return str(self.config["item_ids"]["method"] if method == "configured" else method)

    def rows(self, method: str) -> int:
        """Rows of an embedding: text tokens, two that enclose an item, REC tokens, to a 64th."""
        text = self.config["curriculum"]["tokenizer"]["vocabulary"] or self.hardware.text_tokens
        return -(-(text + 2 + self.rec_tokens(method)) // 64) * 64


def read_request(path: Path) -> Request:
    """Read the settings of a plan; raises UserError if a key is missing, unknown or wrong."""
    return build(Request, read_json(path), str(path))
