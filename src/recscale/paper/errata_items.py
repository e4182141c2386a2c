"""Checks of walks, semantic ids and ranking (Section 4.3.1, Appendices A and B, Tables 8 and 9)."""

from __future__ import annotations

import math

from recscale.item_ids.quality import uniform_rate, uniform_surplus
from recscale.paper.published import Erratum, Published, check, listed

ITEMS = 64.1e6  # Table 9
MERREC_ITEMS = 65.7e6  # section 6.1
CHOSEN = "1st_order_a015_thresh1e-09"


@check
def ranking_gain(paper: Published) -> Erratum:
    """Where the gain of the abstract could be read off."""
    gain = float(paper.claims.loc["ranking_sasrec_gain", "published"])
    return Erratum(
        title='"+130 %" is in no table',
        where="abstract",
        printed="+130% on recall@100 for SASRec",
        computed=f"a ratio of {gain:.2f}; none of Tables 1 to 9 has a recall, and Figure 1 is a "
        "drawing",
        assumed="the ratio as the claim, and at least half of the gain as its threshold",
    )


@check
def walk_lengths(paper: Published) -> Erratum:
    """Mean lengths of Table 8 without a threshold."""
    free = paper.walks[paper.walks["threshold"].isna()].drop_duplicates("alpha")
    alphas = free["alpha"]
    return Erratum(
        title="Walks are longer than their stop probability gives",
        where="Table 8, Appendix A",
        printed=f"mean lengths {listed(free['length'])} for alpha {listed(alphas, '.2f')} without "
        'a threshold; alpha is "the probability of terminating a walk at any given step"',
        computed=f"a walk that may stop at any step has 1 / alpha = {listed(1 / alphas)} items; "
        f"4 + 1 / alpha = {listed(4 + 1 / alphas)}",
        assumed="no walk has fewer than 5 items",
    )


@check
def configurations(paper: Published) -> Erratum:
    """How many walk configurations there are."""
    second = paper.walks.index.str.startswith("bfs").sum()
    first = len(paper.walks) - second
    return Erratum(
        title="12 variants and a baseline are not 14",
        where="Appendix A, Table 8",
        printed="14 distinct configurations, including a 1st-order baseline and 12 variants",
        computed=f"12 + 1 = 13; Table 8 has {second} second-order and {first} first-order rows",
        assumed="the 14 rows of Table 8",
    )


@check
def order_of_walks(paper: Published) -> Erratum:
    """Of which order the selected walks are."""
    gini = paper.walks["gini"]
    return Erratum(
        title="The method describes second-order walks, and first-order ones were chosen",
        where="section 4.3.1, Appendix A",
        printed="2nd-order biased random walks, following Node2Vec (4.3.1); selected: " + CHOSEN,
        computed=f"the selected row, of first order, has the lowest Gini, {gini[CHOSEN]}; the best "
        f"second-order row has {gini[gini.index.str.startswith('bfs')].min()}",
        assumed="first order, alpha 0.15, threshold 1e-9; second order is swept as well",
    )


@check
def in_out_parameter(paper: Published) -> Erratum:
    """What q = 2 does."""
    q = 2.0
    rows = paper.walks.index.str.contains("q2").sum()
    return Erratum(
        title="q > 1 does not explore",
        where="section 4.3.1, Appendix A",
        printed='"in-out parameter q controls exploration (q > 1) vs exploitation (q < 1)"',
        computed="Node2Vec weighs a step away from the previous node by 1 / q: "
        f"{1 / q} for q = {q}; walks stay near, as the label bfs of the {rows} rows with q2 says",
        assumed="Node2Vec's definition",
    )


@check
def walk_coverage(paper: Published) -> Erratum:
    """How many items walks reach."""
    most = paper.walks["items_thousand"].max() * 1e3
    return Erratum(
        title="Walks reach few of the items",
        where="Table 8, section 6.1",
        printed=f"at most {most / 1e3:.0f}K items in walks; 65.7M items in the log",
        computed=f"{most / MERREC_ITEMS:.2%} of the items: rules were filtered, or Table 8 is of a "
        "sample of walks; the paper says neither",
        assumed="rules need a minimum of sessions and of users, both in the config",
    )


@check
def collisions(paper: Published) -> Erratum:
    """What Table 9's collision rate cannot be."""
    two = paper.collisions.head(2)
    spaces = [float(row.codes_per_layer) ** row.layers for row in two.itertuples()]
    shared = [100 * uniform_rate(ITEMS, space) for space in spaces]
    surplus = [100 * uniform_surplus(ITEMS, space) for space in spaces]
    return Erratum(
        title="Table 9's rate is hardly the share of items that share codes",
        where="Table 9",
        printed=f"collision {listed(two['collision_percent'])} % at 3 × 256 and 3 × 512, of 64.1M "
        "items",
        computed=f"of codes drawn at random {listed(shared)} % of the items share theirs; beyond "
        f"the first of each code {listed(surplus)} % do. The printed rates lie below the former, "
        "as if learnt codes collided less than random ones, and above the latter",
        assumed="both rates are given; claims are about items that share codes",
    )


@check
def chosen_codes(paper: Published) -> Erratum:
    """Whether the sweep of Table 9 leads to the setting that was chosen."""
    rates = paper.collisions.set_index(["layers", "codes_per_layer"])["collision_percent"]
    bits = {setting: setting[0] * math.log2(setting[1]) for setting in [(6, 256), (8, 128)]}
    return Erratum(
        title="6 × 256 codes were chosen, though 8 × 128 collide less",
        where="B.1, B.2, Table 9",
        printed="6 layers and 256 codes, after the sweep of Table 9; collisions 5.33 % (B.1), "
        f"{rates[6, 256]} % (Table 9)",
        computed=f"8 × 128 has {rates[8, 128]} % with more codes (2^{bits[8, 128]:.0f} against "
        f"2^{bits[6, 256]:.0f}) and fewer tokens in the vocabulary ({8 * 128:,} against "
        f"{6 * 256:,}), but two more an item; 5.33 and {rates[6, 256]} are of one setting",
        assumed="6 layers on every rung, and the rung's codes a layer",
    )


@check
def candidates(paper: Published) -> Erratum:
    """Which tokenisation Appendix B picks, of how many."""
    return Erratum(
        title="Two candidates, three approaches, and two choices",
        where="Appendix B, B.1, B.2, caption of Figure 12",
        printed='"two distinct strategies", justified "the selection of the latter" (RQ-VAE); '
        '"two primary approaches"; approaches 1 to 3; "We selected Approach 1 (SAE)"; "SAE clearly '
        'outperformed SAE"',
        computed="three approaches are listed: SAE, RQ-VAE and RQ-kmeans; Figure 12 compares the "
        "first with the third",
        assumed="all three are built; the curriculum is written in SAE ids, Figure 12 in RQ-kmeans",
    )


@check
def embeddings(paper: Published) -> Erratum:
    """Items and embeddings behind the ids."""
    return Erratum(
        title="Which items and embeddings the ids are made of",
        where="B.1, Table 9, section 6.1",
        printed="Qwen2.5-7B (B.1), Qwen-0.6B (Table 9); 64.1M items (Table 9), 65.7M items (6.1)",
        computed=f"64.1M is {ITEMS / MERREC_ITEMS:.1%} of 65.7M: neither all items nor those of "
        "training, if about 7 % are held out",
        assumed="one embedding for all methods, set in the config; ids are fitted on training "
        "items",
    )
