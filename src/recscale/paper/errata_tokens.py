"""Checks of counts of tokens, repeats and parameters (Sections 6 and 7, Tables 2 to 6)."""

from __future__ import annotations

from recscale.paper.published import (
    BATCH,
    CONTEXT,
    STEPS,
    TOKENS,
    Erratum,
    Published,
    check,
    listed,
)

UIH_SAMPLES = 5.748e6  # section 7.2
REDUCED_TOKENS, REDUCED_SAMPLES = 42e6, 39e3  # section 7.2
WALKS = 30e6  # "30M" in the caption of Figure 6
ITEM_TOKENS = 10  # eight codes between two tags, in the example of section 4.3.1
TEMPLATE_WORDS = 11  # about: "A user interacted with the following sequence of items:"


@check
def repeats(paper: Published) -> Erratum:
    """Repeats of Table 2 from its ratios and tokens."""
    table = paper.training.loc[["item_text", "cf", "uih"]]
    implied = table["ratio_percent"] / 100 * TOKENS / 1e9 / table["tokens_billion"]
    printed = table["repeats"].astype(float)
    return Erratum(
        title="Repeats of item text and CF look swapped",
        where="Table 2",
        printed=f"item text {printed['item_text']}, CF {printed['cf']}, UIH {printed['uih']} "
        "repeats",
        computed="ratio × 163.84B / tokens gives "
        f"item text {implied['item_text']:.1f}, CF {implied['cf']:.1f}, UIH {implied['uih']:.1f}; "
        "swapping the first two printed numbers brings each within 5 %",
        assumed="ratios and token counts as printed; repeats are counted from what a run drew",
    )


@check
def uih_tokens(paper: Published) -> Erratum:
    """The three sizes of the UIH set."""
    windows = UIH_SAMPLES * CONTEXT / 1e9
    full = paper.ratios.loc[11.0]
    by_repeats = full["uih_tokens_billion"] / full["uih_repeats"]
    return Erratum(
        title="The UIH set has three sizes",
        where="Table 2, section 7.2, Table 6",
        printed=f"{paper.training.loc['uih', 'tokens_billion']}B tokens (Table 2); 2.7B tokens, or "
        "5.748M samples (7.2)",
        computed=f"5.748M samples of {CONTEXT} tokens are {windows:.2f}B; "
        f"{full['uih_tokens_billion']}B tokens at {full['uih_repeats']} repeats (Table 6) are "
        f"{by_repeats:.2f}B",
        assumed="2.94B tokens in 5.748M windows: a sample is a packed window",
    )


@check
def reduced_set(paper: Published) -> Erratum:
    """The reduced UIH set from the repeats of Table 6."""
    reduced = paper.ratios.drop(index=11.0)
    sizes = reduced["uih_tokens_billion"] / reduced["uih_repeats"] * 1e3
    with_printed = reduced["uih_tokens_billion"] * 1e9 / REDUCED_TOKENS
    windows = sizes.mean() * 1e6 / CONTEXT
    return Erratum(
        title="The reduced UIH set has about 200M tokens, not 42M",
        where="section 7.2, Table 6",
        printed="42M tokens of 2.7B, or 39K samples of 5.748M; repeats "
        f"{listed(reduced['uih_repeats'])}",
        computed=f"39K samples of {CONTEXT} tokens are {REDUCED_SAMPLES * CONTEXT / 1e6:.0f}M; "
        f"with 42M tokens the repeats would be {listed(with_printed, '.0f')}; tokens over repeats "
        f"give {listed(sizes, '.0f')}M, or {windows / 1e3:.0f}K windows",
        assumed="the set that Table 6's repeats imply: 0.15 D / 122.3 tokens",
    )


@check
def table6_budget(paper: Published) -> Erratum:
    """The token budget that Table 6's rows imply."""
    budgets = paper.ratios["uih_tokens_billion"] / paper.ratios.index.to_numpy() * 100
    whole = STEPS * BATCH * CONTEXT
    return Erratum(
        title="Two token budgets",
        where="sections 1, 6.1 and 7.3, Table 6",
        printed="163B tokens (1, 6.1), 163.84B (7.3)",
        computed=f"{STEPS:,} steps × {BATCH} windows × {CONTEXT} tokens = {whole / 1e9:.2f}B; UIH "
        f"tokens over ratio (Table 6) give {listed(budgets)}B, which points "
        "to 163.0B",
        assumed="163.84B",
    )


@check
def tokens_per_parameter(paper: Published) -> Erratum:
    """Tokens per parameter of the smallest model."""
    implied = TOKENS / 454
    return Erratum(
        title="454 tokens per parameter are not those of 0.6B parameters",
        where="section 7.3, Figure 8",
        printed="0.6B at 454 tokens per parameter, 8B at 20",
        computed=f"163.84B / 0.6B = {TOKENS / 0.6e9:.0f}; 454 implies {implied / 1e9:.2f}B "
        f"parameters; 163.84B / 8B = {TOKENS / 8e9:.1f}",
        assumed="we count parameters, with and without the embeddings, and print both",
    )


@check
def repetition_confounded(paper: Published) -> Erratum:
    """Repeats of UIH in the two runs that the 31 % compare."""
    tokens = UIH_SAMPLES * CONTEXT
    alone, with_cf = (
        paper.mixtures.loc[name, "uih_percent"] / 100 * TOKENS / tokens
        for name in ("uih", "cf+uih")
    )
    gain = 1 - 0.66 / 0.95
    return Erratum(
        title="The gain from CF is confounded with repetition",
        where="sections 1 and 7.1, Table 5",
        printed="CF lowers the asymptotic UIH loss by 31 % (0.95 to 0.66)",
        computed=f"{gain:.0%} it is, but UIH alone, at half of the mixture, repeats its set "
        f"{alone:.1f} times, CF + UIH {with_cf:.1f} times: {alone / with_cf:.1f} times as often",
        assumed="losses are also compared at equal UIH tokens, and with control runs of equal "
        "repeats and of walks that do not repeat",
    )


@check
def ratios_not_proportional(paper: Published) -> Erratum:
    """How Table 6 divides what UIH leaves."""
    row = paper.ratios.loc[15.0]
    full = paper.training["ratio_percent"]
    rest = 50 - 15
    item_text = rest * full["item_text"] / (full["item_text"] + full["cf"])
    return Erratum(
        title="The ratios of Table 6 are not normalised in proportion",
        where="section 7.2, Table 6",
        printed='"normalized accordingly to maintain a sum of 50%"; at 15 % UIH item text '
        f"{row['item_text_percent']:g} %, CF {row['cf_percent']:g} %",
        computed=f"in proportion to {full['item_text']:g} and {full['cf']:g} it were item text "
        f"{item_text:.1f} %, CF {rest - item_text:.1f} %; so that row halves CF as well",
        assumed="the printed ratios, literally",
    )


@check
def held_out_uih(paper: Published) -> Erratum:
    """What Table 3 counts as UIH OOD."""
    ood, full = 48.3e3 * CONTEXT / 1e6, 51.7e3 * CONTEXT / 1e6
    return Erratum(
        title="Table 3 counts two UIH sets as one",
        where="Table 3, section 6.1",
        printed=f"UIH OOD {paper.held_out['uih']:g}M tokens; seven held-out sets in the text",
        computed=f"48.3K and 51.7K samples of {CONTEXT} tokens are {ood:.1f}M (OOD) and "
        f"{full:.1f}M (full graph), together {ood + full:.1f}M",
        assumed="two sets; Table 3 is also given set by set",
    )


@check
def thirty_million(paper: Published) -> Erratum:
    """What 30M in Figure 6 could be."""
    a_walk = UIH_SAMPLES * CONTEXT / WALKS
    length = paper.walks.loc["1st_order_a015_thresh1e-09", "length"]
    tokens = length * ITEM_TOKENS + (length - 1) + TEMPLATE_WORDS
    return Erratum(
        title='"30M" among the UIH ratios',
        where="Figure 6",
        printed="the training loss falls in the order 0.5% > 1% ≈ 30M ≈ 15% > 2% > 5%",
        computed=f"2.94B tokens / 30M = {a_walk:.0f} tokens; a walk of {length:g} items at "
        f"{ITEM_TOKENS} tokens each, with commas and the template, has about {tokens:.0f}",
        assumed="30M is the number of walks of the full UIH set, and names the run on it",
    )
