"""The paper's claims, the rules that decide them and the verdicts."""
