#!/usr/bin/env bash
# Judge the baselines and the GANs of experiments/0001_first_real_run on what they were not trained on.
#   experiments/0003_referee/run.sh krios|ribosome|ribosome_tilts|embedded      from the project's root, in its environment, after 0001's run.sh
# DATA is the folder of the real data, OUT where the runs of 0001 are and where the baselines go.
set -euo pipefail
DATA=${DATA:-../shared/data}
OUT=${OUT:-outputs/0001}
case $1 in
embedded) data=() ;;
ribosome) data=(data=stars data.split.pattern="'^(.*)_tilt'" data.sim="$OUT/ribosome_sim/sim.star" data.raw="$DATA/ribosome_10499/particles.star") ;;
ribosome_tilts)  # split by tilt image: the tilts of one tomogram in all parts, so that there are groups enough for a two-sample test
    data=(data=stars data.sim="$OUT/ribosome_sim/sim.star" data.raw="$DATA/ribosome_10499/particles.star") ;;
krios) data=(data=stars data.box=64 data.sim="$OUT/krios_sim/sim.star" data.raw="$DATA/krios_bgal/particles.star") ;;
esac
for generator in identity white_noise spectral; do
    run="$OUT/$1_baselines/$generator"
    [ -d "$run" ] || python -m cryoalign.train generator=$generator "${data[@]}" threads=1 trainer.enable_progress_bar=false \
        hydra.run.dir="$run"
done
for run in "$OUT/$1_baselines"/* "$OUT/$1"/[0-9]* "$OUT/$1_noise"/[0-9]*; do
    [ -f "$run/config.yaml" ] || continue
    python -m cryoalign.evaluate run="$run" part=held_out baselines=[] threads=1 progress=false overwrite=true
done
