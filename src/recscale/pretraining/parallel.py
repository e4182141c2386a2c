"""Devices and processes: precision, and how a model is shared among processes (section 6.1).

Small models are replicated (DDP). Large ones are sharded with torch's own `fully_shard` (FSDP2):
accelerate's plugin for it falls back to DDP without a word where there is no GPU, and refuses tied
embeddings, so sharding is done here and checked.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar, cast

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import broadcast_object_list
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

from recscale.errors import UserError
from recscale.logs import logger
from recscale.pretraining.loss import NextTokenLoss

if TYPE_CHECKING:
    from recscale.pretraining.trainer import TrainingSettings

SHARDINGS = ("none", "full", "node")
DEVICES = ("cpu", "cuda", "any")

# The main process reads and hashes checkpoints of a hundred gigabytes while the others wait.
PATIENCE = timedelta(hours=2)

Answer = TypeVar("Answer")

log = logger(__name__)


def has_fast_bf16(device: torch.device) -> bool:
    """Whether a device multiplies bf16 matrices in hardware.

    Without such instructions torch's bf16 products on a CPU are some twenty times slower than fp32.
    """
    if device.type != "cpu":
        return True
    return any(has for name, has in torch.cpu.get_capabilities().items() if "bf16" in name)


def without_gpu() -> UserError:
    """What is wrong where a GPU is asked for and torch has none: torch's build, or the machine."""
    if torch.version.cuda is None:
        return UserError(
            f"settings.device is cuda, and torch {torch.__version__} is a build without CUDA",
            f"remove its environment {sys.prefix} and make it anew where the package index has the "
            "build for CUDA (PIP_EXTRA_INDEX_URL names another index), or set pretraining.device "
            "to cpu",
        )
    return UserError(
        f"settings.device is cuda, and torch {torch.__version__}, built for CUDA "
        f"{torch.version.cuda}, finds no GPU",
        "run on a machine with a GPU and a driver for that CUDA (nvidia-smi shows both), or set "
        "pretraining.device to cpu",
    )


def start(settings: TrainingSettings) -> Accelerator:
    """Set the threads and make the accelerator: device, autocast and processes.

    Where the device has no bf16 instructions, a precision of bf16 becomes fp32, with a line in the
    log; `precision_in_use` says which it is.

    Raises:
        UserError: a setting is unknown, there is no GPU where one is asked for, the processes
            cannot share the batch evenly.
    """
    for name, known in (("precision", ("bf16", "fp32")), ("sharding", SHARDINGS)):
        value = getattr(settings, name)
        if value not in known:
            raise UserError(f"settings.{name} is {value!r}", f"it must be {' or '.join(known)}")
    if settings.device not in DEVICES:
        raise UserError(f"settings.device is {settings.device!r}", "it must be cpu, cuda or any")
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise without_gpu()
    torch.set_num_threads(settings.threads)
    on_cpu = settings.device == "cpu"
    bf16 = settings.precision == "bf16"
    # The first state that is made begins the communication of processes.
    device = PartialState(cpu=on_cpu, timeout=PATIENCE).device
    if bf16 and not has_fast_bf16(device):
        bf16 = False
        log.info("this CPU has no bf16 instructions: computing in fp32")
    accelerator = Accelerator(cpu=on_cpu, mixed_precision="bf16" if bf16 else "no")
    processes = accelerator.num_processes
    # A process has no more than its part of a batch, however many it could take.
    part = settings.batch_windows // processes or 1
    at_once = min(settings.windows_at_once or part, part)
    if settings.batch_windows % (processes * at_once):
        raise UserError(
            f"settings.batch_windows is {settings.batch_windows}, there are {processes} processes "
            f"that take {at_once} windows at once",
            "make batch_windows a multiple of processes times windows_at_once",
        )
    return accelerator


def from_main(accelerator: Accelerator, ask: Callable[[], Answer]) -> Answer:
    """What the main process answers, in all of them: what is slow to find out is found out once."""
    found = [ask() if accelerator.is_main_process else None]
    broadcast_object_list(found)
    return cast(Answer, found[0])


def precision_in_use(accelerator: Accelerator) -> str:
    """What the accelerator computes in: bf16 or fp32."""
    return "bf16" if accelerator.mixed_precision == "bf16" else "fp32"


def place(accelerator: Accelerator, loss: NextTokenLoss, settings: TrainingSettings) -> nn.Module:
    """Move the loss to the accelerator's device, in place, and share it among the processes.

    Returns:
        The module to call in training: `loss` itself where it is sharded or alone, and a wrapper
        that averages gradients where it is replicated.

    Raises:
        UserError: the settings ask for sharding, and there is one process or a parameter was not
            sharded.
    """
    if settings.sharding != "none" and accelerator.num_processes == 1:
        raise UserError(
            f"settings.sharding is {settings.sharding!r}, and there is one process",
            "start several, e.g. with torchrun (pretraining.processes), or set sharding to none",
        )
    layers = cast(nn.ModuleList, loss.model.base_model.layers)
    if settings.compile_layers:
        for layer in layers:
            layer.compile()
    if settings.sharding == "none":
        return cast(nn.Module, accelerator.prepare_model(loss))
    loss.to(accelerator.device)
    mesh = _mesh(accelerator, settings.sharding)
    policy = MixedPrecisionPolicy()
    if precision_in_use(accelerator) == "bf16":
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    for layer in layers:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(loss, mesh=mesh, mp_policy=policy)
    whole = [name for name, p in loss.named_parameters() if not isinstance(p, DTensor)]
    if whole:
        raise UserError(
            f"settings.sharding is {settings.sharding!r}, and {whole[0]} was not sharded",
            "use the pinned version of torch, or set sharding to none",
        )
    return loss


def _mesh(accelerator: Accelerator, sharding: str) -> DeviceMesh:
    """Processes to shard over: all of them, or those of a node, replicated across nodes."""
    device, processes = accelerator.device.type, accelerator.num_processes
    if sharding == "full":
        return init_device_mesh(device, (processes,))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
    return init_device_mesh(
        device, (processes // local, local), mesh_dim_names=("replicate", "shard")
    )


def gathered(accelerator: Accelerator, loss: NextTokenLoss) -> PreTrainedModel:
    """The whole model, to be saved: `loss.model`, or a copy on the CPU of one that is sharded.

    All processes must call this; the copy is whole in the main process only.
    """
    if not any(isinstance(p, DTensor) for p in loss.parameters()):
        return loss.model
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    values = get_model_state_dict(loss.model, options=options)
    copy = type(loss.model)(loss.model.config)
    if accelerator.is_main_process:
        copy.load_state_dict(values)
    return copy
