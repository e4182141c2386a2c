"""Audits of the curriculum: biases (Table 1), fidelity (section 5.1) and privacy (section 5.3).

Each audit writes a CSV with the columns of `recscale.audits.table`: audit, measure, group, value,
low, high, n. Its module says which measures there are and which groups they are taken on.
"""
