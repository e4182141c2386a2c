"""The report of a reproduction, compiled with Typst from finished tables and figures."""
