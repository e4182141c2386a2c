"""Tokens a second of the training loop, its share of the hardware's limit, and memory of its loss.

    python benchmarks/pretraining.py [--rounds 3] [--rehearse]

On a CPU: one thread, tokens per CPU-second (which other processes disturb little), the best of the
rounds, for our loop and for `transformers.Trainer` with its default settings, on the same random
windows: at a reference shape, and at the sizes of config/mini.yaml in fp32, as mini runs them. Both
have the memory allocator's settings of the workflow; one row shows what Trainer does without.

A token costs 6 FLOPs a weight of a matrix, the head included and the embedding's look-up not, and
6 * layers * query width * length for attention over half the square. The limit is the best rate of
bf16 matrix products on the same thread. The share of evaluation is the time of mini's evaluations
over the time of its runs, evaluations included; imports are left out.

Where there is a CUDA GPU, also Qwen3-0.6B's shape at the full vocabulary, with random weights, in
bf16 autocast with compiled layers; its limit is the card's published dense bf16 peak, or for a card
not known here the best measured product. --rehearse runs that part at a tiny shape on the CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

import numpy as np  # noqa: E402
import yaml  # noqa: E402

REFERENCE = {
    "hidden": 64,
    "layers": 2,
    "heads": 4,
    "key_value_heads": 2,
    "head_dimension": 16,
    "feed_forward": 192,
    "checkpoint": None,
}
QWEN3 = {
    "hidden": 1024,
    "layers": 28,
    "heads": 16,
    "key_value_heads": 8,
    "head_dimension": 128,
    "feed_forward": 3072,
    "checkpoint": None,
}
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(1 << 28),
}
# Dense bf16, in TFLOP/s, by a part of the card's name; the first that fits.
PEAKS = {"H100 PCIe": 756, "H100": 989, "H200": 989, "B200": 2250}
TOKENS = 160_000  # of a measurement, after a warm-up of a tenth
LOSS_TOKENS = 16_384
VOCABULARIES = (1_600, 16_000, 159_872)


def flops(shape: dict[str, Any], rows: int, length: int) -> int:
    """FLOPs a token of training, as the module's docstring states."""
    query = shape["heads"] * shape["head_dimension"]
    both = query + shape["key_value_heads"] * shape["head_dimension"]
    layer = 2 * shape["hidden"] * both + 3 * shape["hidden"] * shape["feed_forward"]
    weights = shape["layers"] * layer + rows * shape["hidden"]
    return 6 * weights + 6 * shape["layers"] * query * length


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of some work in this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def peak_of_products(rounds: int) -> float:
    """The best rate of bf16 matrix products on this thread or GPU, in FLOP/s."""
    import torch

    gpu = torch.cuda.is_available()
    best = 0.0
    for n in (4096, 8192) if gpu else (512, 1024, 2048):
        left, right = (torch.randn(n, n, device="cuda" if gpu else "cpu").bfloat16() for _ in "ab")
        times = max(2, 4_000_000_000 // (2 * n**3))

        def multiply(left=left, right=right, times=times) -> None:
            for _ in range(times):
                left @ right.T
            if gpu:
                torch.cuda.synchronize()

        multiply()
        for _ in range(4 * rounds):
            began = time.perf_counter()
            seconds = cpu_seconds(multiply)
            seconds = time.perf_counter() - began if gpu else seconds
            best = max(best, times * 2 * n**3 / seconds)
    return best


def settings_of(shape: dict[str, Any], **values: Any) -> Any:
    """Settings of a training as mini's, with changes."""
    from recscale.pretraining.model import ModelSettings
    from recscale.pretraining.trainer import TrainingSettings

    known = {
        "seed": 1,
        "model": ModelSettings(**shape),
        "learning_rate": 0.003,
        "warm_up_steps": 1,
        "weight_decay": 0.1,
        "gradient_clip": 1.0,
        "precision": "fp32",
        "log_every": 5,
        "largest_rise": 1e9,
        "device": "cpu",
        "threads": 1,
        "windows_at_once": None,
        "sharding": "none",
        "compile_layers": False,
        "checkpoint_every": 10**9,
    }
    return TrainingSettings(**known | values)


def random_windows(rows: int, length: int, count: int = 512) -> np.ndarray:
    """Windows of random ids; 0, the end of text, is not among them."""
    return np.random.default_rng(0).integers(1, rows, (count, length)).astype(np.uint32)


def ours(shape: dict[str, Any], rows: int, length: int, batch: int, precision: str) -> float:
    """Tokens per CPU-second of our loop."""
    import torch

    from recscale.pretraining.loss import ready
    from recscale.pretraining.model import new_model
    from recscale.pretraining.parallel import start
    from recscale.pretraining.sampler import MixtureSampler
    from recscale.pretraining.trainer import train

    def some(tokens: int) -> Any:
        steps = tokens // (batch * length)
        return settings_of(
            shape, tokens=steps * batch * length, batch_windows=batch, precision=precision
        )

    torch.manual_seed(0)
    warm_up, timed = some(TOKENS // 10), some(TOKENS)
    accelerator = start(timed)
    sampler = MixtureSampler({"general": (1.0, random_windows(rows, length))}, batch, 1, rows)
    loss = ready(accelerator, new_model(timed.model, rows, length, 0), 0)
    train(accelerator, loss, sampler, warm_up, "warm-up")
    return timed.tokens / cpu_seconds(lambda: train(accelerator, loss, sampler, timed, "timed"))


def trainers(shape: dict[str, Any], rows: int, length: int, batch: int, precision: str) -> float:
    """Tokens per CPU-second of `transformers.Trainer` with its default settings."""
    import torch
    from transformers import Trainer, TrainingArguments

    from recscale.pretraining.model import ModelSettings, new_model

    torch.set_num_threads(1)
    torch.manual_seed(0)
    windows = random_windows(rows, length).astype(np.int64)
    examples = [{"input_ids": row, "labels": row} for row in windows]
    model = new_model(ModelSettings(**shape), rows, length, 0)
    with tempfile.TemporaryDirectory() as folder:

        def some(tokens: int) -> Trainer:
            arguments = TrainingArguments(
                folder,
                per_device_train_batch_size=batch,
                max_steps=tokens // (batch * length),
                use_cpu=True,
                bf16=precision == "bf16",
                save_strategy="no",
                report_to=[],
            )
            return Trainer(model, arguments, train_dataset=examples)

        some(TOKENS // 10).train()
        trainer = some(TOKENS)
        return trainer.args.max_steps * batch * length / cpu_seconds(trainer.train)


def evaluation(shape: dict[str, Any], rows: int, length: int, tokens: int) -> float:
    """CPU-seconds of the held-out losses of so many tokens of one domain."""
    from recscale.pretraining.data import Vocabulary
    from recscale.pretraining.evaluation import HeldOut, held_out_losses
    from recscale.pretraining.loss import ready
    from recscale.pretraining.model import new_model
    from recscale.pretraining.parallel import start

    settings = settings_of(shape, tokens=0, batch_windows=1)
    accelerator = start(settings)
    loss = ready(accelerator, new_model(settings.model, rows, length, 0), 0)
    vocabulary = Vocabulary(rows, rows, rows - 2, rows - 1, rows - 3, 1, 0, (1, 2), "")
    domain = HeldOut("general", random_windows(rows, length, tokens // length), vocabulary)
    held_out_losses(accelerator, loss, domain)
    return min(cpu_seconds(lambda: held_out_losses(accelerator, loss, domain)) for _ in range(20))


def highest_memory() -> float:
    """The most memory this process has had, in MB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000


def loss_memory(rows: int, tokens: int) -> float:
    """MB that the loss and its gradients take beyond its inputs, at width 64 in fp32."""
    import torch

    from recscale.pretraining.loss import rows_at_once, summed_loss

    torch.set_num_threads(1)
    hidden, head = (torch.randn(n, 64, requires_grad=True) for n in (tokens, rows))
    targets, counted = torch.randint(0, rows, (tokens,)), torch.ones(tokens, dtype=torch.bool)
    before = highest_memory()
    chunk = rows_at_once(rows, hidden.device)
    summed_loss(hidden, head, targets, counted, chunk).backward()
    return highest_memory() - before


def true_shape(rehearsal: bool) -> dict[str, Any]:
    """Tokens a second, model-FLOPs utilisation and memory of Qwen3-0.6B's shape on a GPU."""
    import torch

    from recscale.pretraining.loss import ready
    from recscale.pretraining.memory import computes_in, training_memory
    from recscale.pretraining.model import new_model
    from recscale.pretraining.parallel import start
    from recscale.pretraining.sampler import MixtureSampler
    from recscale.pretraining.trainer import train

    shape, rows, length, batch, at_once, steps = QWEN3, 159_872, 512, 64, 32, 40
    if rehearsal:
        shape, rows, length, batch, at_once, steps = REFERENCE, 2048, 64, 4, 2, 25
    settings = settings_of(
        shape,
        tokens=steps * batch * length,
        batch_windows=batch,
        windows_at_once=at_once,
        precision="bf16",
        device="cpu" if rehearsal else "cuda",
        compile_layers=not rehearsal,
    )
    accelerator = start(settings)
    model = new_model(settings.model, rows, length, 0)
    estimate = training_memory(
        model,
        at_once * length,
        computes_in("bf16", "none"),
        settings.compile_layers,
        accumulates=True,
        device=accelerator.device,
    )
    sampler = MixtureSampler({"general": (1.0, random_windows(rows, length))}, batch, 1, rows)
    loss = ready(accelerator, model, 0)
    table = train(accelerator, loss, sampler, settings, "true_shape").training
    rate = float(table["tokens_per_second"].iloc[2:].median())  # after compilation
    name = "CPU" if rehearsal else torch.cuda.get_device_name()
    known = [peak * 1e12 for part, peak in PEAKS.items() if part in name]
    peak = known[0] if known else peak_of_products(1)
    return {
        "device": name,
        "tokens_a_second": rate,
        "peak": peak,
        "peak_is": "published" if known else "measured",
        "mfu": rate * flops(shape, rows, length) / peak,
        "estimated_gib": estimate.total / 2**30,
        "gib": 0.0 if rehearsal else torch.cuda.max_memory_allocated() / 2**30,
    }


PARTS: dict[str, Callable[..., Any]] = {
    "peak": peak_of_products,
    "ours": ours,
    "trainers": trainers,
    "evaluation": evaluation,
    "loss_memory": loss_memory,
    "true_shape": true_shape,
}


def child(part: str, *values: Any, allocator: bool = True) -> Any:
    """Run a part of this script in a process of its own, with one thread."""
    environment = {name: value for name, value in os.environ.items() if name not in ALLOCATOR}
    environment |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    if part != "true_shape":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    done = subprocess.run(
        [sys.executable, __file__, "--child", part, json.dumps(values)],
        capture_output=True,
        text=True,
        env=environment | (ALLOCATOR if allocator else {}),
    )
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def at_the_reference(rounds: int, found: dict[str, Any]) -> None:
    """Print the rates at the reference shape, and put their ratios into `found`."""
    rows, length, batch = 2048, 128, 32
    each = flops(REFERENCE, rows, length)
    variants = {
        "ours, bf16": ("ours", "bf16", True),
        "ours, fp32": ("ours", "fp32", True),
        "Trainer, bf16": ("trainers", "bf16", True),
        "Trainer, fp32 (its default)": ("trainers", "fp32", True),
        "Trainer, fp32, allocator's defaults": ("trainers", "fp32", False),
    }
    peak, best = 0.0, dict.fromkeys(variants, 0.0)
    for _ in range(rounds):
        peak = max(peak, child("peak", 1))
        for name, (part, precision, allocator) in variants.items():
            rate = child(part, REFERENCE, rows, length, batch, precision, allocator=allocator)
            best[name] = max(best[name], rate)
    print(f"peak of bf16 products: {peak / 1e9:.0f} GFLOP/s; {each / 1e6:.3f} MFLOP a token")
    print(f"{'reference shape':38}{'tokens/CPU-s':>14}{'share of peak':>15}{'ours/it':>9}")
    top = best["ours, bf16"]
    for name, rate in best.items():
        ratio = "" if name.startswith("ours") else f"{top / rate:9.2f}"
        print(f"{name:38}{rate:14,.0f}{rate * each / peak:15.3f}{ratio}")
    found["bf16_peak_gflops"] = round(peak / 1e9)
    found["loop_vs_trainer"] = round(top / best["Trainer, fp32 (its default)"], 2)
    found["loop_vs_trainer_bf16"] = round(top / best["Trainer, bf16"], 2)
    found["share_of_bf16_peak"] = round(top * each / peak, 3)


def at_minis_sizes(rounds: int, found: dict[str, Any]) -> None:
    """Print rates and the share of evaluation at mini's sizes, and put them into `found`."""
    from recscale.contracts import ALL_HELD_OUT
    from recscale.pretraining.model import padded_rows

    config = yaml.safe_load((ROOT / "config/mini.yaml").read_text())
    mini, windows = config["pretraining"], config["curriculum"]["windows"]
    words, codes = config["curriculum"]["tokenizer"]["vocabulary"], config["item_ids"]["sae"]
    rows = padded_rows(words + 2 + codes["latents"])
    length, batch = windows["length"], mini["batch_windows"]
    points, tokens = mini["evaluations"] + 1, mini["cpt"]["tokens"]
    print(f"mini's sizes, {mini['precision']}, {rows} rows")
    print(f"{'':8}{'ours':>10}{'Trainer':>10}{'ours/it':>9}{'CPU-s a run':>13}{'evaluation':>12}")
    found["mini"], shares = {}, []
    for size, shape in mini["sizes"].items():
        rates = {}
        for part in ("ours", "trainers"):
            runs = [
                child(part, shape, rows, length, batch, mini["precision"]) for _ in range(rounds)
            ]
            rates[part] = max(runs)
        one = child("evaluation", shape, rows, length, windows["held_out_tokens"])
        evaluations = one * points * len(ALL_HELD_OUT)
        run = evaluations + tokens / rates["ours"]
        shares.append(evaluations / run)
        ratio = rates["ours"] / rates["trainers"]
        print(
            f"{size:8}{rates['ours']:10,.0f}{rates['trainers']:10,.0f}{ratio:9.2f}{run:13.1f}"
            f"{shares[-1]:12.3f}"
        )
        found["mini"][size] = [round(rates["ours"]), round(ratio, 2), round(shares[-1], 3)]
    found["evaluation_share"] = round(max(shares), 3)


def memory_of_the_loss(found: dict[str, Any]) -> None:
    """Print the loss's memory by vocabulary and batch, and put it into `found`."""
    print(f"{'loss':18}{'MB':>10}{'of it gradients':>17}{'MB of all logits':>18}")
    found["loss_mb"] = {}
    for rows in VOCABULARIES:
        for tokens in (LOSS_TOKENS, 2 * LOSS_TOKENS):
            if rows == VOCABULARIES[-1] and tokens > LOSS_TOKENS:
                continue
            mb = child("loss_memory", rows, tokens, allocator=False)
            gradients = 4 * 64 * (2 * rows + tokens) / 1e6
            print(
                f"{rows:8} x{tokens:8}{mb:10.0f}{gradients:17.0f}{4 * rows * tokens / 1e6:18,.0f}"
            )
            found["loss_mb"][f"{rows}x{tokens}"] = round(mb)


def on_the_gpu(rehearsal: bool, found: dict[str, Any]) -> None:
    """Print what the true shape reaches, and put it into `found` unless it is a rehearsal."""
    run = child("true_shape", rehearsal)
    print(
        f"{'a rehearsal' if rehearsal else 'Qwen3-0.6B'} on {run['device']}: "
        f"{run['tokens_a_second']:,.0f} tokens/s, {run['mfu']:.3f} of {run['peak'] / 1e12:.1f} "
        f"TFLOP/s ({run['peak_is']}), {run['gib']:.1f} GiB, estimated {run['estimated_gib']:.1f}"
    )
    if not rehearsal:
        found["gpu"] = run["device"]
        found["qwen3_0_6b_tokens_a_second"] = round(run["tokens_a_second"])
        found["mfu_qwen3_0_6b"] = round(run["mfu"], 3)


def main() -> None:
    """Measure everything and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rehearse", action="store_true", help="the GPU's part, tiny, on the CPU")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        part, values = arguments.child
        import torch

        torch.set_num_threads(1)
        print(json.dumps(PARTS[part](*json.loads(values))))
        return
    found: dict[str, Any] = {"cpu": platform.machine(), "threads": 1}
    import torch

    if arguments.rehearse or torch.cuda.is_available():
        on_the_gpu(arguments.rehearse, found)
    if not arguments.rehearse:
        at_the_reference(arguments.rounds, found)
        at_minis_sizes(arguments.rounds, found)
        memory_of_the_loss(found)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
