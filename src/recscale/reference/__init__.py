"""The committed reference results: collected from a finished rung, restored, and compared with.

A reference is a folder of the tidy files that measurements wrote and fits, verdicts, tables and
figures read, and of the numbers that tables and figures show, with a manifest of their hashes.
"""
