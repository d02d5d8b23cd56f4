#!/usr/bin/env bash
# The first runs on real particles: with and without the RPSD term, three seeds, three data sets.
#   experiments/0001_first_real_run/run.sh embedded|ribosome|krios [noise]     from the project's root, in its environment
# With `noise` the generator has a noise map as extra input, and the RPSD term. DATA is the folder of the real data, OUT where runs
# go, SEEDS and STEPS what they say.
set -euo pipefail
DATA=${DATA:-../shared/data}
OUT=${OUT:-outputs/0001}
STEPS=${STEPS:-300}
arm=(generator.noise_channels=0 loss.weights.rpsd=0.5,0)
suffix=""
if [ "${2:-}" = noise ]; then arm=(generator.noise_channels=1 loss.weights.rpsd=0.5); suffix="_noise"; fi
common=("${arm[@]}" seed="${SEEDS:-1,2,3}" trainer.max_steps="$STEPS" trainer.enable_progress_bar=false threads=1
    hydra.sweep.dir="$OUT/$1$suffix")

simulate() { [ -d "$3" ] || python -m cryoalign.simulate particles="$1" volume="$2" out="$3"; }

case $1 in
embedded)
    python -m cryoalign.train -m "${common[@]}" ;;
ribosome)  # the tilts of one series stay together: the tomogram is the prefix of the micrograph's name
    simulate "$DATA/ribosome_10499/particles.star" "$DATA/ribosome_10499/reference.mrc" "$OUT/ribosome_sim"
    python -m cryoalign.train -m "${common[@]}" data=stars data.split.pattern="'^(.*)_tilt'" \
        data.sim="$OUT/ribosome_sim/sim.star" data.raw="$DATA/ribosome_10499/particles.star" ;;
krios)  # Fourier-cropped from 128 to 64 px
    simulate "$DATA/krios_bgal/particles.star" "$DATA/krios_bgal/reference.mrc" "$OUT/krios_sim"
    python -m cryoalign.train -m "${common[@]}" data=stars data.box=64 \
        data.sim="$OUT/krios_sim/sim.star" data.raw="$DATA/krios_bgal/particles.star" ;;
esac
