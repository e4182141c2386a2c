"""Checks of what the paper says of its fitted laws (Sections 1, 6.2 and 7, Tables 4 and 6)."""

from __future__ import annotations

import math

from recscale.paper.published import Erratum, Published, check, listed


@check
def two_fits(paper: Published) -> Erratum:
    """The run on the full mixture at 4B in Tables 4 and 6."""
    table4, table6 = paper.laws.loc["4B"], paper.repetition.loc[11.0]
    uih = (table4.loc["uih"], table6.loc["uih"])
    shift = uih[1]["l_inf"] - uih[0]["l_inf"]
    gain = 1 - table6.loc["uih", "l_inf"] / 0.95
    item = (table4.loc["item_text"], table6.loc["item_text"])
    return Erratum(
        title="Two fits of one run differ by as much as the effects",
        where="Tables 4 and 6, section 7.1",
        printed=f"the 4B run on the full mixture has L_inf and alpha of UIH {uih[0]['l_inf']} and "
        f"{uih[0]['alpha']} in Table 4, {uih[1]['l_inf']} and {uih[1]['alpha']} in row 1 of Table "
        f"6; of item text {item[0]['l_inf']} and {item[0]['alpha']}, {item[1]['l_inf']} and "
        f"{item[1]['alpha']}",
        computed=f"UIH's L_inf moves by {shift:.2f}, as much as item text is said to cost (0.76 "
        f"against 0.66); the gain of 31 % from 0.95 would be {gain:.0%} against 0.76",
        assumed="each fit has intervals and a status, and a parameter that the curve does not "
        "identify decides nothing",
    )


@check
def alpha_ranges(paper: Published) -> Erratum:
    """The ranges printed for UIH's alpha."""
    alphas = paper.laws.xs("uih", level="domain")["alpha"]
    at_ratios = paper.repetition.xs("uih", level="domain")["alpha"]
    return Erratum(
        title="Three ranges for alpha of UIH",
        where="sections 1 and 6.2, captions of Table 4 and Figure 2",
        printed="0.45–0.59 (1), 0.453–0.689 (caption of Table 4), 0.63–0.99 (caption of Figure 2)",
        computed=f"the rows of Table 4 are {listed(alphas, '.3f')}; none of Table 6 is above "
        f"{at_ratios.max():.3f}",
        assumed="the rows of Table 4",
    )


@check
def slope(paper: Published) -> Erratum:
    """The slope in Figure 2's axes of a law with a floor."""
    law = paper.laws.loc[("4B", "cf")]
    loss = math.log(1.47)
    of_perplexity = -law["alpha"] * (loss - law["l_inf"])
    return Erratum(
        title="-alpha is not the slope in Figure 2",
        where="section 6.2",
        printed='"In the log-log plot, -α represents the slope of the line"',
        computed="with a floor and perplexity on the axis the slope is -alpha (L - L_inf): for CF "
        f"at 4B, where perplexity 1.47 is L = {loss:.3f} and L_inf = {law['l_inf']}, it is "
        f"{of_perplexity:.3f}, not {-law['alpha']}",
        assumed="alpha is read from the fit alone",
    )


@check
def higher_alpha_is_better(paper: Published) -> Erratum:
    """Which row of Table 6 has the largest alpha."""
    uih = paper.repetition.xs("uih", level="domain")
    ratio = uih["alpha"].idxmax()
    return Erratum(
        title="The largest alpha is printed for the run that overfits most",
        where="Table 6, section 7.2",
        printed='"α should be the higher the better"; at 15 % the loss rises from 20B tokens on',
        computed=f"of Table 6's UIH laws the one at {ratio:g} % has the largest alpha, "
        f"{uih['alpha'].max()}, and the largest L_inf, {uih['l_inf'].max():.2f}",
        assumed="a curve that rises again gets no law",
    )


@check
def enough_for_cf(paper: Published) -> Erratum:
    """Which size CF needs."""
    l_inf = paper.laws.xs("cf", level="domain")["l_inf"]
    return Erratum(
        title="Which size suffices for CF",
        where="sections 6.2 and 7.3",
        printed='"even 0.6B parameters sufficient" (6.2); CF saturates at 4B (7.3)',
        computed=f"CF's L_inf is {listed(l_inf, '.2f')} from 0.6B to 8B: lowest at "
        f"{l_inf.idxmin()}",
        assumed="saturation is judged by final losses of neighbouring sizes",
    )


@check
def table_one(paper: Published) -> Erratum:
    """Which table section 6.2 means."""
    domains = ", ".join(dict.fromkeys(paper.laws.index.get_level_values("domain")))
    return Erratum(
        title='"Table 1" stands for Table 4',
        where="section 6.2",
        printed='"The results in Table 1 show a clear hierarchy of pedagogical efficiency"',
        computed=f"Table 1 is the taxonomy of biases; exponents of {domains} are in Table 4",
        assumed="Table 4",
    )
