#!/usr/bin/env bash
# Regenerates generated/ from openapi.yaml and overrides/. ./generate.sh --help tells all of it.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH="$root/overrides"
for argument; do
    case $argument in
        # Needs no toolchain; where the first Python is too old for it, the .venv below is not.
        -h | --help) python3 -P -m generator --help 2>/dev/null && exit ;;
        --quiet) export QUIET=1 ;;
    esac
done
"$root/scripts/venv" generate
exec "$root/.venv/bin/python" -P -m generator "$@"  # -P: not what lies in the current folder
