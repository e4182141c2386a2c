"""Scaling laws for language models in recommendation, from synthetic curricula.

An independent reproduction of "Principled Synthetic Data Enables the First Scaling Laws for LLMs
in Recommendation" (arXiv 2602.07298). Each subpackage is one stage of the paper; a stage imports
only the stages before it: data, item_ids, curriculum, ranking, pretraining, scaling, claims,
tables and figures. Stages exchange files whose columns `recscale.contracts` states.
"""

__version__ = "0.1.0"
