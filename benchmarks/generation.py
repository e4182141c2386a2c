"""Beam search among real items: ours against transformers' `generate`, on one model.

    python benchmarks/generation.py [--items 5000] [--prompts 16] [--beams 1 10 100]

Theirs is `generate(num_beams=..., prefix_allowed_tokens_fn=...)`, which calls a Python function for
every beam at every step; the function looks the next codes up in a dictionary made beforehand.
Prompts are drawn at random, the model has random weights. Both run on one thread in fp32; the table
shows CPU seconds, and whether they find the same items with the same log probabilities.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from transformers import PreTrainedModel  # noqa: E402

from recscale.item_ids.trie import Trie  # noqa: E402
from recscale.pretraining.beam_search import BeamSearch  # noqa: E402
from recscale.pretraining.data import Vocabulary  # noqa: E402
from recscale.pretraining.model import ModelSettings, new_model  # noqa: E402

WIDTH, RECS, TEXT, LENGTH = 8, 512, 1024, 112
SHAPE = ModelSettings(64, 4, 4, 2, 16, 192, None)  # size4 of mini
VOCABULARY = Vocabulary(
    vocabulary=TEXT + 2 + RECS,
    base_vocabulary=TEXT,
    rec_open=TEXT,
    rec_close=TEXT + 1,
    first_rec=TEXT + 2,
    rec_count=RECS,
    end_of_text=0,
    number_ids=(),
    sha256="",
)


def catalogue(items: int) -> Trie:
    """Skewed codes, so that items share prefixes as real ones do."""
    draw = np.random.default_rng(0).random((items, WIDTH))
    codes = (RECS * draw ** np.linspace(3, 1, WIDTH)).astype(int)
    return Trie.build(codes, np.arange(items))


def theirs(
    model: PreTrainedModel,
    prompts: torch.Tensor,
    nexts: dict[tuple[int, ...], list[int]],
    beams: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Codes and log probabilities that `generate` finds."""
    found = model.generate(
        prompts,
        attention_mask=torch.ones_like(prompts),
        num_beams=beams,
        num_return_sequences=beams,
        max_new_tokens=WIDTH,
        do_sample=False,
        length_penalty=0.0,
        prefix_allowed_tokens_fn=lambda _, row: nexts[tuple(row[LENGTH:].tolist())],
        return_dict_in_generate=True,
        output_scores=True,
    )
    codes = found.sequences[:, LENGTH:].reshape(len(prompts), beams, WIDTH)
    if beams == 1:  # greedy search: no scores of sequences, and logits masked by the function
        return codes.numpy(), np.full(codes.shape[:2], np.nan)
    return codes.numpy(), found.sequences_scores.reshape(codes.shape[:2]).numpy()


def main() -> None:
    """Measure every width of beam and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=5000)
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 10, 100])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    trie = catalogue(arguments.items)
    nexts: dict[tuple[int, ...], set[int]] = {}
    for row in (trie.codes.astype(int) + VOCABULARY.first_rec).tolist():
        for depth in range(WIDTH):
            nexts.setdefault(tuple(row[:depth]), set()).add(row[depth])
    lists = {prefix: sorted(codes) for prefix, codes in nexts.items()}
    drawn = np.random.default_rng(1).integers(1, VOCABULARY.vocabulary, (arguments.prompts, LENGTH))
    prompts = torch.from_numpy(drawn)
    torch.manual_seed(0)
    model = new_model(SHAPE, VOCABULARY.vocabulary, LENGTH + WIDTH, 0).eval()
    plain = new_model(SHAPE, VOCABULARY.vocabulary, LENGTH + WIDTH, 0).eval()
    plain.load_state_dict(model.state_dict())
    search = BeamSearch(model, VOCABULARY)
    print(f"{trie.leaves:,} ids of {WIDTH} codes, prompts of {LENGTH} tokens")
    print(
        f"{'beams':>6}{'ours ms/prompt':>16}{'theirs ms/prompt':>18}{'ratio':>8}{'same items':>12}"
    )
    found: dict[str, object] = {"cpu": platform.machine()}
    for beams in arguments.beams:
        search.items(prompts[:2], trie, beams)
        times = []
        for _ in range(3):
            began = time.process_time()
            leaves, scores = search.items(prompts, trie, beams)
            times.append(time.process_time() - began)
        ours = sorted(times)[1]
        began = time.process_time()
        codes, their_scores = theirs(plain, prompts, lists, beams)
        theirs_seconds = time.process_time() - began
        our_codes = trie.codes_of_leaves(leaves.numpy()) + VOCABULARY.first_rec
        same = float((our_codes == codes).all(-1).mean())
        if beams > 1 and not np.allclose(np.sort(scores.numpy()), np.sort(their_scores), atol=1e-3):
            sys.exit(f"{beams} beams: the log probabilities differ")
        ratio = theirs_seconds / ours
        mine, other = (1000 * s / arguments.prompts for s in (ours, theirs_seconds))
        print(f"{beams:6}{mine:16.2f}{other:18.2f}{ratio:8.1f}{same:12.3f}")
        found[f"generate_vs_ours_{beams}_beams"] = round(ratio, 1)
        found[f"same_items_{beams}_beams"] = round(same, 3)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
