"""Section 4: association rules, item graph, random walks, sentences, tokens and windows."""
