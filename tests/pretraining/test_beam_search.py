"""Beam search against scoring every item, against a plain search, and against transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from recscale.item_ids.trie import Trie
from recscale.pretraining.beam_search import BeamSearch
from recscale.pretraining.data import Vocabulary
from recscale.pretraining.model import ModelSettings, new_model

WIDTH, RECS, ROWS = 3, 8, 32
VOCABULARY = Vocabulary(
    vocabulary=30,
    base_vocabulary=20,
    rec_open=20,
    rec_close=21,
    first_rec=22,
    rec_count=RECS,
    end_of_text=0,
    number_ids=(1,),
    sha256="",
)


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    torch.manual_seed(4)
    shape = ModelSettings(16, 2, 4, 2, 8, 24, None)
    made = new_model(shape, ROWS, 32, VOCABULARY.end_of_text).eval()
    with torch.no_grad():  # larger weights: probabilities that differ clearly
        for parameter in made.parameters():
            parameter.mul_(1.0 if parameter.dim() == 1 else 2.5)
    return made


@pytest.fixture(scope="module")
def trie() -> Trie:
    codes = np.random.default_rng(3).integers(0, RECS, (60, WIDTH))
    codes[:4] = codes[4:8]
    return Trie.build(codes, np.arange(60))


@pytest.fixture(scope="module")
def prompts() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(8).integers(0, 30, (5, 7)))


def after(model: PreTrainedModel, sequences: list[list[int]]) -> torch.Tensor:
    """Log probabilities of the next token after every token, without a cache."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor(sequences), use_cache=False).logits
    return logits.double().log_softmax(-1)


def plain_search(model, prompt, beams, length, allowed, ending=()):
    """Beam search over lists, one beam at a time; answers that ended stay as they are."""
    found = [([], 0.0)]
    for _ in range(length):
        longer = []
        for answer, score in found:
            if answer and answer[-1] in ending:
                longer.append((answer, score))
                continue
            gain = after(model, [prompt + answer])[0, -1]
            longer += [([*answer, token], score + float(gain[token])) for token in allowed(answer)]
        found = sorted(longer, key=lambda one: -one[1])[:beams]
    return found


def test_a_beam_as_wide_as_the_catalogue_scores_every_item(model, trie, prompts) -> None:
    leaves, scores = BeamSearch(model, VOCABULARY).items(prompts, trie, trie.leaves)
    for prompt, found, score in zip(prompts.tolist(), leaves, scores, strict=True):
        tokens = trie.codes_of_leaves(np.arange(trie.leaves)) + VOCABULARY.first_rec
        gains = after(model, [prompt + answer for answer in tokens.tolist()])
        gains = gains[:, len(prompt) - 1 : -1].gather(2, torch.from_numpy(tokens)[..., None])
        every = gains[..., 0].sum(1).numpy()
        order = np.argsort(-every)
        assert found[: trie.leaves].tolist() == order.tolist()
        np.testing.assert_allclose(score[: trie.leaves], every[order], atol=1e-4)
        assert torch.isneginf(score[trie.leaves :]).all()


@pytest.mark.parametrize("beams", [1, 2, 5])
def test_a_narrow_beam_is_the_plain_search_among_items(model, trie, prompts, beams) -> None:
    known = {tuple(row) for row in trie.codes.tolist()}

    def allowed(answer):
        prefix = tuple(token - VOCABULARY.first_rec for token in answer)
        nexts = {row[len(prefix)] for row in known if row[: len(prefix)] == prefix}
        return [VOCABULARY.first_rec + code for code in nexts]

    leaves, scores = BeamSearch(model, VOCABULARY).items(prompts, trie, beams)
    assert leaves.shape == (len(prompts), beams)
    for prompt, found, score in zip(prompts.tolist(), leaves.numpy(), scores, strict=True):
        expected = plain_search(model, prompt, beams, WIDTH, allowed)
        codes = trie.codes_of_leaves(found) + VOCABULARY.first_rec
        assert codes.tolist() == [answer for answer, _ in expected]
        np.testing.assert_allclose(score, [one for _, one in expected], atol=1e-4)


@pytest.mark.parametrize("beams", [1, 4])
def test_a_search_among_all_tokens_keeps_answers_that_ended(model, prompts, beams) -> None:
    ending = (VOCABULARY.rec_close, VOCABULARY.end_of_text)
    tokens, scores = BeamSearch(model, VOCABULARY).tokens(prompts, 4, beams)
    assert tokens.shape == (len(prompts), beams, 4)
    ended = False
    for prompt, found, score in zip(prompts.tolist(), tokens.tolist(), scores, strict=True):
        expected = plain_search(model, prompt, beams, 4, lambda _: range(30), ending)
        filled = [a + [VOCABULARY.end_of_text] * (4 - len(a)) for a, _ in expected]
        ended |= any(len(answer) < 4 for answer, _ in expected)
        assert found == filled
        np.testing.assert_allclose(score, [one for _, one in expected], atol=1e-4)
    assert ended or beams == 1  # otherwise this test shows nothing of answers that end


def test_transformers_finds_the_same_items(model, trie, prompts) -> None:
    known = trie.codes.astype(int) + VOCABULARY.first_rec

    def allowed(_, sequence):
        written = sequence[prompts.shape[1] :].tolist()
        rows = known[(known[:, : len(written)] == written).all(1)]
        return sorted(set(rows[:, len(written)].tolist()))

    found = model.generate(
        prompts,
        attention_mask=torch.ones_like(prompts),
        num_beams=6,
        num_return_sequences=6,
        max_new_tokens=WIDTH,
        do_sample=False,
        length_penalty=0.0,
        prefix_allowed_tokens_fn=allowed,
        return_dict_in_generate=True,
        output_scores=True,
    )
    leaves, scores = BeamSearch(model, VOCABULARY).items(prompts, trie, 6)
    codes = trie.codes_of_leaves(leaves.numpy()) + VOCABULARY.first_rec
    theirs = found.sequences[:, prompts.shape[1] :].reshape(codes.shape)
    assert theirs.tolist() == codes.tolist()
    np.testing.assert_allclose(found.sequences_scores.reshape(scores.shape), scores, atol=1e-4)


def test_prompts_of_a_batch_do_not_see_each_other(model, trie, prompts) -> None:
    search = BeamSearch(model, VOCABULARY)
    together = search.items(prompts, trie, 4)
    for row in range(len(prompts)):
        alone = search.items(prompts[row : row + 1], trie, 4)
        assert alone[0][0].tolist() == together[0][row].tolist()
        torch.testing.assert_close(alone[1][0], together[1][row])


def test_another_trie_takes_the_place_of_the_last(model, trie, prompts) -> None:
    search = BeamSearch(model, VOCABULARY)
    search.items(prompts, trie, 3)
    part = trie.restricted_to(np.array([2, 17, 40]))
    leaves, scores = search.items(prompts, part, 9)
    is_real = torch.isfinite(scores)
    assert is_real.sum(1).tolist() == [part.leaves] * len(prompts)
    assert all(sorted(row.tolist()) == [0, 1, 2] for row in leaves[:, : part.leaves])


def test_bf16_finds_scores_near_those_of_fp32(model, trie, prompts) -> None:
    exact = BeamSearch(model, VOCABULARY).items(prompts, trie, trie.leaves)
    rounded = BeamSearch(model, VOCABULARY, bf16=True).items(prompts, trie, trie.leaves)
    for row in range(len(prompts)):
        order = [torch.argsort(found[0][row, : trie.leaves]) for found in (exact, rounded)]
        scores = [f[1][row][o] for f, o in zip((exact, rounded), order, strict=True)]
        torch.testing.assert_close(*scores, atol=0.3, rtol=0.02)
    assert rounded[1].dtype == torch.float32
