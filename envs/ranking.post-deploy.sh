#!/usr/bin/env bash
# RecBole 1.2.1 names ray, thop and plotly as dependencies; nothing used here imports them, and the
# only ray it accepts has no wheel for newer Pythons.
set -euo pipefail
pip install --no-deps recbole==1.2.1
