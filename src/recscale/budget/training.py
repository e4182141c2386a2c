"""FLOPs, GPU-hours, memory and checkpoints of base models and CPT runs (sections 6.1, 7.3).

A run is as long as its tokens and its held-out evaluations, which are forward passes: a third of a
training's FLOPs a token. On a GPU its time is FLOPs over a stated share of the peak; on a CPU it is
a line in FLOPs, measured apart from the workflow (config/hardware.yaml).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from recscale.budget.memory import bytes_per_gpu, parameters
from recscale.budget.request import Request
from recscale.errors import UserError
from recscale.scaling.compute import flops_per_token, six_n_d

HELD_OUT = 8  # domains
DECAY = 0.2  # share of a WSD run's steps that a run with a trunk trains
STATE = 12  # bytes a parameter of a checkpoint: itself and AdamW's two moments, fp32
KEPT = 2  # checkpoints of a run in progress


@dataclass(frozen=True)
class Training:
    """A training.

    tokens: trained on; evaluated: in held-out evaluations; flops: of both; flops_6nd: by C = 6ND
    with all parameters, without evaluations; gpus: 0 on a CPU; seconds: of the job beyond its
    start; gpu_bytes: needed on each GPU, None on a CPU; state_bytes: checkpoints while it runs;
    model_bytes: what it leaves.
    """

    name: str
    size: str
    parameters: int
    tokens: float
    evaluated: float
    flops: float
    flops_6nd: float
    gpus: int
    seconds: float
    gpu_bytes: int | None
    state_bytes: int
    model_bytes: int

    @property
    def gpu_hours(self) -> float:
        """Hours times GPUs."""
        return self.seconds * self.gpus / 3600


def share_of_peak(request: Request, hidden: int) -> float:
    """The assumed share of a GPU's peak for models of this width."""
    known = {int(width): share for width, share in request.hardware.share_of_peak.items()}
    below = [width for width in known if width <= hidden]
    return known[max(below) if below else min(known)]


def held_out_tokens(request: Request) -> float:
    """Tokens of one evaluation, at most: short domains have fewer."""
    return float(HELD_OUT * request.config["curriculum"]["windows"]["held_out_tokens"])


def of_run(request: Request, name: str, size: str | None = None) -> Training:
    """A CPT run; `size` puts another in the place of its own.

    Raises:
        UserError: there is no run of that name.
    """
    if name not in request.runs:
        raise UserError(f"there is no run {name}", "name one of config/experiments.yaml")
    run = request.runs[name]
    block = request.config["pretraining"]
    tokens = block["cpt"]["tokens"] * run["horizon"]
    evaluations = block["evaluations"] + 1.0
    if run["trunk"] is not None:
        # It is evaluated on log-spaced steps of all its horizon, most of them in its trunk.
        tokens, evaluations = DECAY * tokens, 1 + DECAY * evaluations
    evaluated = evaluations * held_out_tokens(request)
    return _training(request, name, size or run["size"], request.method(name), tokens, evaluated)


def of_base(request: Request, size: str) -> Training:
    """A base model: a training from random weights, or nothing where a checkpoint is named."""
    block = request.config["pretraining"]
    trained = 0.0 if request.shape(size).checkpoint else float(block["base"]["tokens"])
    method = str(request.config["item_ids"]["method"])
    return _training(request, f"base {size}", size, method, trained, 0.0)


def _training(
    request: Request, name: str, size: str, method: str, tokens: float, evaluated: float
) -> Training:
    block, shape = request.config["pretraining"], request.shape(size)
    length = request.config["curriculum"]["windows"]["length"]
    rows, tied = request.rows(method), request.tied(size)
    count = parameters(shape, rows, tied)
    each = flops_per_token(shape, rows, length)
    flops = each * (tokens + evaluated / 3)
    card = request.card
    cpu = request.hardware.cpu
    if card is None:
        gpus, needed = 0, None
        # A forward pass costs a third of the time as of the FLOPs.
        seconds = (tokens + evaluated / 3) * (
            cpu["seconds_per_token"] + each * cpu["seconds_per_flop"]
        )
    else:
        gpus = int(block["processes"][size])
        seconds = flops / (card.flops * share_of_peak(request, int(shape.hidden or 0)) * gpus)
        needed = _needed(block, shape, size, rows, tied, length, gpus)
    return Training(
        name=name,
        size=size,
        parameters=count,
        tokens=tokens,
        evaluated=evaluated,
        flops=flops,
        flops_6nd=float(six_n_d(count, tokens)),
        gpus=gpus,
        seconds=seconds,
        gpu_bytes=needed,
        state_bytes=KEPT * STATE * count if tokens else 0,
        model_bytes=4 * count,
    )


def _needed(
    block: dict[str, Any], shape: Any, size: str, rows: int, tied: bool, length: int, gpus: int
) -> int:
    part = block["batch_windows"] // gpus
    windows = min(block["windows_at_once"][size] or part, part)
    shards = 1 if block["sharding"][size] == "none" else gpus
    return bytes_per_gpu(
        shape,
        rows,
        tied,
        windows * length,
        block["precision"],
        block["compile_layers"],
        gpus,
        shards,
        accumulates=windows < part,
    )
