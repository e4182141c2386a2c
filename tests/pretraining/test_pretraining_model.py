"""New rows, parameter counts, reading and saving a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

from recscale.errors import UserError
from recscale.files import sha256
from recscale.pretraining.model import (
    NEW_ROW_SPREAD,
    ModelSettings,
    add_rows,
    count_parameters,
    load_model,
    new_model,
    padded_rows,
    save_model,
)

from .tiny_curriculum import TINY, Curriculum

TRAINED, VOCABULARY = 40, 70


def model_with(rows: int, tied: bool = True) -> Qwen3ForCausalLM:
    """A tiny model whose trained rows have a spread of their own in each dimension."""
    torch.manual_seed(0)
    model = new_model(ModelSettings(**TINY), rows, 16, 0)
    if not tied:
        model.config.tie_word_embeddings = False
        model = Qwen3ForCausalLM(model.config)
    with torch.no_grad():
        for layer in {model.get_input_embeddings(), model.get_output_embeddings()}:
            layer.weight.mul_(torch.linspace(0.5, 2, layer.weight.shape[1])).add_(0.01)
    return model


@pytest.mark.parametrize("tied", [True, False])
def test_new_rows_are_distinct_and_the_old_ones_untouched(tied: bool) -> None:
    model = model_with(TRAINED, tied)
    before = [
        m.weight.clone() for m in (model.get_input_embeddings(), model.get_output_embeddings())
    ]
    add_rows(model, TRAINED, VOCABULARY, seed=1)
    assert model.config.vocab_size == padded_rows(VOCABULARY) == 128
    embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert (embedding is head) == tied
    for weight, old in zip((embedding, head), before, strict=True):
        assert weight.shape[0] == 128
        assert torch.equal(weight[:TRAINED], old)
        new = weight[TRAINED:].detach()
        apart = torch.pdist(new)
        # Two independent rows differ by sqrt(2) times their spread, summed over dimensions.
        typical = NEW_ROW_SPREAD * (2 * old.var(0).sum()).sqrt()
        assert apart.min() > 0.3 * typical
        assert apart.mean() == pytest.approx(typical.item(), rel=0.1)
        standard_error = NEW_ROW_SPREAD * old.std(0) / len(new) ** 0.5
        assert ((new.mean(0) - old.mean(0)).abs() < 5 * standard_error).all()
        assert len(new.bfloat16().unique(dim=0)) == len(new)


def test_transformers_own_resizing_makes_rows_almost_equal() -> None:
    """The reason for `add_rows`; if this fails, transformers has changed."""
    model = model_with(TRAINED)
    spread = model.get_input_embeddings().weight.std(0).mean()
    model.resize_token_embeddings(VOCABULARY)
    assert model.get_input_embeddings().weight[TRAINED:].std(0).mean() < 1e-3 * spread


def test_rows_a_checkpoint_has_in_reserve_are_set_and_never_cut() -> None:
    model = model_with(128)  # more rows than the tokenizer has tokens, as Qwen3's
    with torch.no_grad():
        model.get_input_embeddings().weight[TRAINED:] = 0
    add_rows(model, TRAINED, VOCABULARY, seed=1)
    weight = model.get_input_embeddings().weight
    assert weight.shape[0] == 128
    assert len(weight[TRAINED:].unique(dim=0)) == 128 - TRAINED


def test_new_rows_depend_on_the_seed_alone() -> None:
    weights = []
    for seed, noise in ((1, 0), (1, 5), (2, 0)):
        model = model_with(TRAINED)
        torch.manual_seed(noise)
        add_rows(model, TRAINED, VOCABULARY, seed)
        weights.append(model.get_input_embeddings().weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_model_with_fewer_rows_than_text_tokens_is_refused() -> None:
    with pytest.raises(UserError, match="32 rows, the tokenizer's text tokens need 40"):
        add_rows(model_with(32), TRAINED, VOCABULARY, seed=1)


@pytest.mark.parametrize(
    ("shape", "tied", "total", "outside"),
    [  # as published on the model cards: Qwen3-0.6B and Qwen3-8B
        ((1024, 28, 16, 8, 128, 3072), True, 596_049_920, 440_467_456),
        ((4096, 36, 32, 8, 128, 12288), False, 8_190_735_360, 6_946_075_648),
    ],
)
def test_parameters_of_qwen3(shape: tuple[int, ...], tied: bool, total: int, outside: int) -> None:
    hidden, layers, heads, key_value_heads, head_dimension, feed_forward = shape
    config = Qwen3Config(
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_value_heads,
        head_dim=head_dimension,
        intermediate_size=feed_forward,
        tie_word_embeddings=tied,
    )
    with torch.device("meta"):
        model = Qwen3ForCausalLM(config)
    assert count_parameters(model) == (total, outside)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": None, "layers": None}, "settings.model has no hidden, layers"),
        ({"heads": 3, "key_value_heads": 2}, "heads is 3, key_value_heads 2"),
    ],
)
def test_a_shape_that_is_none_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        new_model(ModelSettings(**(TINY | change)), 40, 16, 0)


def test_a_saved_model_loads_anywhere(tmp_path: Path, shared_curriculum: Curriculum) -> None:
    model = model_with(128)
    folder = tmp_path / "model"
    hashes = save_model(model, shared_curriculum.tokenizer, 0, folder)
    assert hashes == {p.name: sha256(p) for p in folder.iterdir()}
    loaded = AutoModelForCausalLM.from_pretrained(folder)
    assert type(loaded) is Qwen3ForCausalLM
    assert loaded.generation_config.eos_token_id == 0
    for name, weight in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    manifest = shared_curriculum.manifest
    ids = tokenizer("w3 <RECTOKEN> REC7 </RECTOKEN>")["input_ids"]
    first = manifest["first_rec"]
    assert ids[1:] == [manifest["rec_open"], first + 7, manifest["rec_close"]]
    assert not list(tmp_path.glob(".*"))
    assert save_model(model, shared_curriculum.tokenizer, 0, folder) == hashes


def test_a_truncated_checkpoint_is_named(tmp_path: Path, shared_curriculum: Curriculum) -> None:
    save_model(model_with(128), shared_curriculum.tokenizer, 0, tmp_path / "model")
    path = tmp_path / "model/model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"model.safetensors is truncated"):
        load_model(path.parent)
    path.unlink()
    (path.parent / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(UserError, match=r"has no .*safetensors file"):
        load_model(path.parent)
