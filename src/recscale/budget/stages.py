"""How long a job of a rule takes, beyond trainings: its start, and its work at a measured rate.

A rate stands in config/hardware.yaml with the benchmark it is from; none is from the rung that is
planned. What has no rate takes the time of its start on every rung: tables, figures and fits read
small files. That is an extrapolation of up to four orders of magnitude, and the plan says for each
rule by what it is scaled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from recscale.budget.request import Node, Request
from recscale.budget.training import of_base, of_run, share_of_peak

WALK_ITEMS = 8.0  # Table 8: mean items of a walk
WALK_TOKENS = 98.0  # of a walk's sentence, at ten tokens an item (Table 3)
CF_TOKENS = 62.0  # of a CF sentence
ITEM_TOKENS = 37.0  # of an item's sentence
WALK_SETTINGS = 14  # of Table 8
EMBEDDED = 0.44e9  # parameters outside the embedding of the 0.6B model that embeds texts


@dataclass(frozen=True)
class Work:
    """One job: seconds beyond its start, GPUs, and what its time is scaled by."""

    seconds: float
    gpus: int
    per: str


def start_of(request: Request, rule: str) -> float:
    """Seconds of a job's start."""
    known = request.hardware.start_seconds
    return known.get(rule, known["other"])


def walks_of(request: Request, stream: str) -> float:
    """How many walks a set has."""
    walks = request.config["curriculum"]["walks"]
    if stream == "uih_rewired":
        return 1.1 * float(walks["train"])
    return float(walks["ranking" if stream == "rewired" else stream])


def tokens_of(request: Request, domain: str) -> float:
    """Tokens of a training domain."""
    block = request.config["curriculum"]
    if domain in ("general", "base"):
        general = block["general"]
        shares = general["subsets"] if general["source"] == "parquet" else {"packages": 1.0}
        known = request.hardware.general
        total = sum(share * known[name].tokens for name, share in (shares or {}).items())
        rest = 1 - general["base_share"] - general["held_out_share"]
        return total * (general["base_share"] if domain == "base" else rest)
    if domain == "cf":
        return CF_TOKENS * float(block["text"]["cf_statements"] or request.log.rules)
    if domain == "item_text":
        return ITEM_TOKENS * float(block["text"]["item_texts"] or request.log.items)
    if domain == "uih_real":
        return 1.1 * WALK_TOKENS * walks_of(request, "train")
    return WALK_TOKENS * walks_of(request, "train" if domain == "uih" else domain)


def log_rows(request: Request) -> float:
    """Rows of the log that are used."""
    users = request.config["data"]["users"]
    return request.log.rows * (min(1.0, users / request.log.users) if users else 1.0)


def _data(r: Request, n: Node) -> Work:
    return Work(r.log.rows / r.hardware.rates["rows"], 0, "rows of the log")


def _rows(r: Request, n: Node) -> Work:
    return Work(log_rows(r) / r.hardware.rates["rows"], 0, "rows of the log")


def _pairs(r: Request, n: Node) -> Work:
    return Work(log_rows(r) / n.jobs / r.hardware.rates["events"], 0, "events")


def _walks(r: Request, n: Node) -> Work:
    walks = r.config["curriculum"]["walks"]
    rate = r.hardware.rates["steps_first" if walks["order"] == 1 else "steps_second"]
    steps = WALK_ITEMS * walks_of(r, n.wildcards["stream"]) / n.jobs
    return Work(steps / rate, 0, "steps of walks")


def _sweep(r: Request, n: Node) -> Work:
    walks = r.config["curriculum"]["walks"]["sweep"]
    seconds = WALK_SETTINGS * WALK_ITEMS * walks / r.hardware.rates["steps_second"]
    return Work(seconds, 0, "steps of walks")


def _windows(r: Request, n: Node) -> Work:
    domain = n.wildcards["domain"]
    tokens = tokens_of(r, domain)
    new = domain in ("general", "base", "item_text")
    if domain in ("general", "base") and r.config["curriculum"]["general"]["shards"] > 1:
        new = False  # tokenised by token_shard
    rate = r.hardware.rates["new_tokens" if new else "known_tokens"]
    return Work(tokens / rate, 0, "tokens")


def _token_shard(r: Request, n: Node) -> Work:
    part = "base" if n.wildcards["part"] == "base" else "general"
    tokens = tokens_of(r, part) / n.jobs
    return Work(tokens / r.hardware.rates["new_tokens"], 0, "tokens")


def _held_out(r: Request, n: Node) -> Work:
    tokens = r.config["curriculum"]["windows"]["held_out_tokens"]
    return Work(tokens / r.hardware.rates["new_tokens"], 0, "tokens")


def _general(r: Request, n: Node) -> Work:
    tokens = tokens_of(r, "general") + tokens_of(r, "base")
    return Work(4.3 * tokens / r.hardware.bytes_per_second["text"], 0, "bytes of text")


def _dimensions(r: Request) -> int:
    return int(r.config["item_ids"]["embedding"]["dimensions"] or 1024)


def _fitted(r: Request) -> float:
    return float(min(r.config["item_ids"]["fit_items"] or r.log.items, r.log.items))


def _fit_seconds(r: Request, method: str) -> float:
    block = r.config["item_ids"]
    if method.startswith("sae"):
        items = block["general_passages"] if method == "sae_general" else _fitted(r)
        work = items * block["sae"]["epochs"] * _dimensions(r) * block["sae"]["latents"]
        return float(work / r.hardware.rates["sae_fit"])
    work = _fitted(r) * _dimensions(r) * r.rec_tokens("rq_kmeans")
    return float(work / r.hardware.rates["rq_fit"])


def _encode_seconds(r: Request, method: str) -> float:
    kind = "sae_encode" if method.startswith("sae") else "rq_encode"
    return r.log.items * _dimensions(r) * r.rec_tokens(method) / r.hardware.rates[kind]


def _fit_ids(r: Request, n: Node) -> Work:
    return Work(_fit_seconds(r, n.wildcards["method"]), 0, "items x latents")


def _encode(r: Request, n: Node) -> Work:
    return Work(_encode_seconds(r, n.wildcards["method"]), 0, "items x latents")


def _quality(r: Request, n: Node) -> Work:
    method = n.wildcards["setting"].split("-")[0]
    once = _fit_seconds(r, method) + _encode_seconds(r, method)
    return Work(r.config["item_ids"]["comparison"]["trainings"] * once, 0, "items x latents")


def _embedded(r: Request, texts: float, tokens: float) -> Work:
    if r.config["item_ids"]["embedding"]["method"] != "hugging_face" or r.machine.gpu is None:
        return Work(0.0, 0, "start only")
    rate = r.hardware.gpus[r.machine.gpu].flops * share_of_peak(r, 1024)
    return Work(texts * tokens * 2 * EMBEDDED / rate, 1, "tokens embedded")


def _ranking(r: Request, n: Node) -> Work:
    block, model = r.config["ranking"], n.wildcards.get("model", "")
    rate = r.hardware.rates.get(model)
    if rate is None:
        return Work(0.0, 0, "start only")
    # One seed tries each learning rate for a third of the epochs; the rest is an upper bound, as
    # trainings stop early.
    own = n.wildcards.get("budget") == "own"
    epochs = block["epochs"] * (block["seeds"] + len(block["learning_rates"]) / 3)
    examples = block["own_examples" if own else "examples"]
    seconds = epochs * examples / rate * block["hidden"] / 64
    if r.card is None:
        return Work(seconds, 0, "examples x epochs")
    return Work(seconds / r.hardware.cpu["gpu_over_core"], 1, "examples x epochs")


def _world(r: Request, n: Node) -> Work:
    block = r.config["ranking"]
    trial = block["world_trials"]
    epochs = block["epochs"] * (trial["seeds"] + len(block["learning_rates"]) / 3)
    seconds = 2 * epochs * trial["examples"] / r.hardware.rates["GRU4Rec"] * block["hidden"] / 64
    return Work(seconds, 0, "examples x epochs")


def _download(r: Request, n: Node) -> Work:
    gigabytes = downloads(r).get(n.rule, 0.0)
    return Work(1e9 * gigabytes / r.hardware.bytes_per_second["download"], 0, "bytes")


def _archive(r: Request, n: Node) -> Work:
    files = r.hardware.general["python-edu-text"].documents
    return Work(files / r.hardware.rates["files"], 0, "files")


def _trained(r: Request, n: Node) -> Work:
    if n.rule == "cpt":
        training = of_run(r, n.wildcards["run"])
    else:
        training = of_base(r, n.wildcards["size"])
        if not training.tokens:
            gigabytes = 1e-9 * training.model_bytes
            return Work(1e9 * gigabytes / r.hardware.bytes_per_second["download"], 0, "bytes")
    return Work(training.seconds, training.gpus, "FLOPs")


def downloads(request: Request) -> dict[str, float]:
    """GB that each rule fetches, at most."""
    found: dict[str, float] = {}
    if request.config["data"]["download"]:
        found["download"] = request.log.download_gb
    general = request.config["curriculum"]["general"]
    known = request.hardware.general
    if general["download"]:
        folders = [f for f in general["download"]["folders"] if f in known]
        found["download_general_text"] = sum(known[f].download_gb for f in folders)
        if general["software_heritage"]:
            found["software_heritage"] = known["python-edu-text"].download_gb
    names = [size["checkpoint"] for size in request.config["pretraining"]["sizes"].values()]
    models = {
        n: request.hardware.checkpoints[n] for n in names if n in request.hardware.checkpoints
    }
    if models:
        found["base_model"] = sum(one.download_gb for one in models.values())
    embedding = request.hardware.checkpoints.get(request.config["item_ids"]["embedding"]["model"])
    if embedding:
        found["embeddings"] = embedding.download_gb
    return found


_WORK: dict[str, Callable[[Request, Node], Work]] = {
    "association_rules": _rows,
    "base_model": _trained,
    "cpt": _trained,
    "data": _data,
    "download": _download,
    "download_general_text": _download,
    "embedding_shard": lambda r, n: _embedded(r, r.log.items / n.jobs, ITEM_TOKENS),
    "encode_item_ids": _encode,
    "fit_item_ids": _fit_ids,
    "general_text": _general,
    "held_out_windows": _held_out,
    "item_id_quality": _quality,
    "pair_counts": _pairs,
    "session_items": _rows,
    "software_heritage": _archive,
    "text_embeddings": lambda r, n: _embedded(r, r.config["item_ids"]["general_passages"], 128),
    "token_shard": _token_shard,
    "train_ranking": _ranking,
    "training_windows": _windows,
    "walk_sweep": _sweep,
    "walks": _walks,
    "world_trial": _world,
}
# Rules whose work is shared by the threads of a job.
_THREADED = {"pair_counts", "token_shard", "training_windows", "walk_sweep", "walks"}


def work_of(request: Request, node: Node) -> Work:
    """One job of a node, start included."""
    work = _WORK.get(node.rule, lambda r, n: Work(0.0, 0, "start only"))(request, node)
    threads = resources_of(request, node)["threads"] if node.rule in _THREADED else 1
    return Work(start_of(request, node.rule) + work.seconds / threads, work.gpus, work.per)


def resources_of(request: Request, node: Node) -> dict[str, Any]:
    """Threads and minutes that a job of a node asks for; one thread and no limit if nothing is."""
    asked = request.resources.get(node.rule)
    if asked is None:
        return {"threads": 1, "minutes": None}
    return {"threads": max(1, min(asked.threads, request.machine.cores)), "minutes": asked.minutes}
