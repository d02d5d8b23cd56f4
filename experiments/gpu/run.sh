#!/bin/bash
# Measure cryoalign on one GPU, in at most 8 minutes; made for an H100 or H200, tried on a CPU only (SIZE=tiny).
#
#   OUT=results bash experiments/gpu/run.sh                 on a machine with a GPU
#   SIZE=tiny TOTAL=1200 OUT=/tmp/tiny bash experiments/gpu/run.sh    its parts on a CPU, small
#   ONLY="training paper" ...                               some parts, by the first word of their names
#
# It needs Python >= 3.11 with torch >= 2.6 (CUDA), lightning, torchmetrics, tensorboard, numpy, scipy, pandas, matplotlib, rich,
# jinja2, pyyaml, pytest and pytest-xdist, and 16 GB of memory. Nothing is fetched. What such machines often lack is taken from
# wheels in the folder WHEELS (.whl by default), which a machine with a network fills, for the GPU machine's Python (here 3.12):
#
#   pip download --no-deps --constraint constraints.txt --only-binary=:all: --python-version 3.12 --implementation cp \
#     --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 \
#     -d .whl hydra-core omegaconf gemmi mrcfile starfile pydantic pydantic-core annotated-types typing-inspection typing-extensions
#   pip wheel --no-deps -w .whl 'antlr4-python3-runtime==4.9.3'
#
# In OUT: results.md (tables, with the card's name), results.json, log.txt; results.md and results.json may be committed.
set -u
cd "$(dirname "$0")/../.."
OUT=${OUT:-outputs/gpu} SIZE=${SIZE:-full} TOTAL=${TOTAL:-455} WHEELS=${WHEELS:-.whl}
PYTHON=${PYTHON:-python3}
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
if compgen -G "$WHEELS/*.whl" >/dev/null; then
    "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$site" "$WHEELS"/*.whl || exit 2
fi
# The programs ask for the version of cryoalign, which is not installed here.
number=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
mkdir -p "$site/cryoalign-$number.dist-info"
printf 'Metadata-Version: 2.1\nName: cryoalign\nVersion: %s\n' "$number" >"$site/cryoalign-$number.dist-info/METADATA"
export PYTHONPATH="$PWD:$site${PYTHONPATH:+:$PYTHONPATH}"
"$PYTHON" - <<'CHECK' || exit 2
import importlib.util, sys
names = "torch lightning torchmetrics tensorboard numpy scipy pandas matplotlib rich jinja2 yaml pytest xdist hydra omegaconf gemmi mrcfile starfile pydantic"
missing = [name for name in names.split() if importlib.util.find_spec(name) is None]
if missing:
    sys.exit(f"missing: {', '.join(missing)}; see the head of experiments/gpu/run.sh")
CHECK
export PYTHONUNBUFFERED=1 PYTHONWARNINGS=ignore
"$PYTHON" experiments/gpu/parts.py --out "$OUT" --size "$SIZE" --total "$TOTAL" ${ONLY:+--only $ONLY}
