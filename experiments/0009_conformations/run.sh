#!/usr/bin/env bash
# 5,000 new particles of two conformations that look like krios_bgal's, with labels: made, judged, reconstructed, classified by RELION.
#   experiments/0009_conformations/run.sh      from the project's root, in its environment, with relion installed
# DATA is the folder of the real data, OUT where everything goes: inside the project, since RELION finds stacks from where it starts.
set -euo pipefail
DATA=${DATA:-../shared/data}
OUT=${OUT:-outputs/0009}
HERE=experiments/0009_conformations
RAW=$DATA/krios_bgal/particles.star
python $HERE/maps.py "$DATA/krios_bgal/reference.mrc" "$DATA/krios_bgal/5a1a.pdb.gz" "$OUT"

# The generators, from pairs of measured particles: at 128 px, and at 64 px for the classification.
python -m cryoalign.simulate particles="$RAW" volume="$DATA/krios_bgal/reference.mrc" out="$OUT/sim"
for box in 128 64; do
    python -m cryoalign.train +experiment=recommended data=stars data.sim="$OUT/sim/sim.star" data.raw="$RAW" data.box=$box hydra.run.dir="$OUT/run_$box"
done

# The three commands.
time python -m cryoalign.simulate like="$RAW" count=5000 "volume=[$OUT/whole.mrc,$OUT/without.mrc]" "shares=[0.6,0.4]" names=project out="$OUT/new"
time python -m cryoalign.export run="$OUT/run_128" particles="$OUT/new/sim.star" names=project seed=1 out="$OUT/realistic"
time python -m cryoalign.evaluate fake="$OUT/realistic/fake.star" raw="$RAW" sim="$OUT/new/sim.star" volume="$DATA/krios_bgal/reference.mrc" out="$OUT/judged"

# Each class reconstructed by RELION, from the true poses and labels.
for class in 1 2; do
    relion_reconstruct --i "$OUT/realistic/fake.star" --ctf --class $class --o "$OUT/class_$class.mrc"
done

# RELION's Class3D of 2,000 of them at 64 px, from both maps, with the true poses.
python -m cryoalign.export run="$OUT/run_64" particles="$OUT/new/sim.star" names=project images_per_file=5000 seed=1 out="$OUT/realistic_64"
python $HERE/judge.py prepare "$OUT"
for map in whole without; do
    relion_image_handler --i "$OUT/$map.mrc" --o "$OUT/${map}_64.mrc" --angpix 1.7076 --rescale_angpix 3.4152 --new_box 64
    python -m cryoalign.simulate particles="$OUT/class3d/particles.star" volume="$OUT/$map.mrc" box=64 images_per_file=100000 out="$OUT/${map}_sim"
done
relion_refine --i "$OUT/class3d/particles.star" --ref "$OUT/class3d/references.star" --K 2 --iter 5 --tau2_fudge 4 --particle_diameter 210 --ctf \
    --skip_align --firstiter_cc --ini_high 15 --zero_mask --flatten_solvent --norm --scale --o "$OUT/class3d/run" > "$OUT/class3d/log.txt"
python $HERE/judge.py print "$OUT"
