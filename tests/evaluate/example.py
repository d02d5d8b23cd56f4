"""Findings of all measures with plausible numbers, to lay out and to write."""

from __future__ import annotations

import numpy as np

from cryoalign.evaluate.document import Facts
from cryoalign.evaluate.finding import Chart, Finding, Interval, Quantity, by_key
from tests.evaluate.building import answer, interval, known, quantity, series

NAN = float("nan")
RADIUS = np.linspace(0, 1, 33)
FREQUENCY = np.linspace(0.005, 0.14, 28)
EDGES = (9800.0, 13200.0, 16900.0, 20100.0, 24800.0)


def spectrum(worse: float = 1.0) -> Finding:
    excess = 1.04 * worse
    words = f"RPSD L1 is {excess:.2f} times that of two raw images of like defocus (sim 5.71)."
    verdict = "pass" if excess < 1.1 else "fail"
    question = "Is the power spectrum that of the measurement?"
    by_bin = (interval(1.01, 0.04), interval(1.03, 0.05), interval(1.12, 0.06), None)
    return Finding(
        "spectrum",
        answers=by_key([answer("spectrum", question, verdict, words, "rpsd_l1_excess")]) | known("peaks"),
        quantities=by_key(
            [
                quantity(
                    "rpsd_l1",
                    "RPSD L1, image by image",
                    (0.3241 * worse, 0.0093),
                    (0.3112, 0.0088),
                    (1.7771, 0.031),
                    bins=tuple(interval(0.30 + 0.02 * k, 0.02) for k in range(4)),
                ),
                quantity(
                    "rpsd_l1_excess",
                    "excess RPSD L1",
                    (excess, 0.024),
                    (1.002, 0.021),
                    (5.71, 0.14),
                    target=1.0,
                    bins=by_bin,
                ),
                Quantity(
                    "periodic_peak",
                    "strongest periodic peak, power against its surroundings",
                    interval(3.1, 0.3),
                    Interval(1.12, NAN, NAN),
                    target=1.0,
                    note="14.2 sigma, a period of 2 px along x and 2 px along y; interval of ±2 sigma",
                ),
            ]
        ),
        charts=by_key([_curves(worse), _plane()]),
    )


def _curves(worse: float) -> Chart:
    raw = 11.5 - 4 * RADIUS + 0.8 * np.exp(-((RADIUS - 0.2) ** 2) / 0.01)
    return Chart(
        "rpsd",
        "Radial log power spectra, mean and its 95 % interval",
        "normalized radius u (fraction of Nyquist)",
        "s(u) = ring mean of ln(1 + |F|²)",
        {
            "sim": series(RADIUS, raw - 1.5 - 4 * RADIUS, 0.05),
            "fake": series(RADIUS, raw + 0.02 * worse, 0.06),
            "raw": series(RADIUS, raw, 0.06),
        },
    )


def _plane() -> Chart:
    u = RADIUS[1:]
    lines = {
        "along x": np.exp(0.05 * np.sin(9 * u)),
        "along y": np.exp(0.05 * np.sin(9 * u + 1)),
        "diagonal": np.exp(0.05 * np.sin(9 * u + 2)) + 2.1 * np.exp(-((u - 1) ** 2) / 0.001),
    }
    return Chart(
        "plane",
        "Power of fake over power of raw, along the axes and the diagonal of the plane",
        "frequency along the axis (fraction of Nyquist)",
        "power ratio",
        {name: series(u, line) for name, line in lines.items()},
        log_y=True,
    )


def content() -> Finding:
    fall = np.exp(-FREQUENCY / 0.06)
    curves = {"fake": series(FREQUENCY, 0.30 * fall, 0.02), "raw": series(FREQUENCY, 0.31 * fall, 0.02)}
    return Finding(
        "content",
        answers=known("content", "truth"),
        quantities=by_key(
            [
                quantity(
                    "content", "content transfer, fake / raw", (0.97, 0.06), None, (5.9, 0.3), target=1.0
                ),
                quantity("correlation", "ring correlation", (0.112, 0.007), (0.119, 0.008), (0.231, 0.009)),
                quantity("transfer_3", "content transfer, 12 to 8 Å", (0.88, 0.21), target=1.0),
            ]
        ),
        charts=by_key(
            [
                Chart(
                    "coherence", "Correlation with sim", "spatial frequency (1/A)", "ring correlation", curves
                ),
            ]
        ),
        left_out=("The correlation with the truth: no truth was given.",),
    )


def ctf() -> Finding:
    defocus = np.array([10100.0, 12250, 15010, 17800, 19990, 22400])
    away = {"fake": [31.0, -44, 12, NAN, 60, -8], "raw": [71.0, -20, 55, 18, -90, 64]}
    curves = {name: series(defocus, np.array(values), 40.0) for name, values in away.items()}
    return Finding(
        "ctf",
        answers=known("defocus"),
        quantities=by_key(
            [
                quantity("error", "median |defocus error|", (48.0, 31), (71.0, 40), (12.0, 4), unit="A"),
                quantity("azimuth", "error of the azimuth", (2.1, 1.4), (2.9, 1.9), unit="degree"),
            ]
        ),
        charts=by_key(
            [Chart("defocus", "Defocus of groups", "defocus (A)", "fitted less metadata (A)", curves)]
        ),
    )


def pose() -> Finding:
    by_bin = tuple(interval(value, 0.5) for value in (3.1, 3.3, 3.9, 3.5))
    return Finding(
        "pose",
        answers=known("pose"),
        quantities=by_key(
            [
                quantity("angle", "median angular error", (3.4, 0.3), (3.6, 0.3), unit="degree", bins=by_bin),
                quantity("shift", "median shift error", (1.9, 0.2), (2.0, 0.2), (0.2, 0.1), unit="A"),
            ]
        ),
    )


def noise() -> Finding:
    lag, grey = np.arange(0.0, 60.0, 4), np.linspace(-4, 4, 41)
    fall = np.exp(-lag / 6)
    density = {
        name: series(grey, np.exp(-(grey**2) / (2 * width**2)) / width / np.sqrt(2 * np.pi))
        for name, width in (("fake", 1.02), ("raw", 1.03), ("sim", 0.4))
    }
    colour = {"fake": series(lag, fall * 0.98, 0.01), "raw": series(lag, fall, 0.01)}
    return Finding(
        "noise",
        answers=known("grey", "noise", "shared", "repeated"),
        quantities=by_key(
            [
                quantity("kurtosis", "excess kurtosis", (0.021, 0.012), (0.018, 0.011), (4.1, 0.2)),
                quantity(
                    "shared", "correlation between particles", (4e-4, 0.0011), (2e-4, 0.001), target=0.0
                ),
                quantity("repeated", "correlation between two draws", (0.94, 0.004), target=0.0),
                quantity("snr_2", "SNR, 20 to 12 Å", (NAN, NAN), (0.04, 0.01)),
            ]
        ),
        charts=by_key(
            [
                Chart("colour", "Autocorrelation of the residual", "distance (Å)", "correlation", colour),
                Chart(
                    "grey", "Grey values", "grey value (sd of the background)", "density", density, log_y=True
                ),
            ]
        ),
    )


def two_sample(auc: float = 0.56) -> Finding:
    rate = np.linspace(0, 1, 21)
    curves = {"fake": series(rate, rate**0.7), "other raw": series(rate, rate)}
    verdict = "fail" if auc > 0.6 else "undecided"
    words = f"A small CNN reaches an AUC of {auc:.2f} on held-out micrographs; 0.50 is chance."
    return Finding(
        "two_sample",
        answers=by_key([answer("cnn", "Can a classifier tell fake from raw?", verdict, words, "cnn")]),
        quantities=by_key(
            [
                quantity("spectra", "AUC on spectra", (auc - 0.02, 0.05), (0.51, 0.05), (1.0, 0), target=0.5),
                quantity("cnn", "AUC of a small CNN", (auc, 0.07), (0.49, 0.06), (1.0, 0), target=0.5),
            ]
        ),
        charts=by_key([Chart("roc", "ROC of the CNN", "raw taken for fake", "fake told as fake", curves)]),
    )


def invented() -> Finding:
    return Finding(
        "invented",
        answers=known("empty", "domain"),
        quantities=by_key(
            [quantity("empty", "correlation of the map", (0.004, 0.011), (0.0, 0.012), target=0.0)]
        ),
        left_out=("The removed domain: no map without a domain was given.",),
    )


def memorized() -> Finding:
    gap = quantity("gap", "excess held out less in training", (0.01, 0.03), target=0.0)
    return Finding("memorized", answers=known("memorized"), quantities=by_key([gap]))


def findings(worse: float = 1.0, auc: float = 0.56) -> list[Finding]:
    """All eight; `worse` puts a factor on the spectrum's distances."""
    return [spectrum(worse), content(), ctf(), pose(), noise(), two_sample(auc), invented(), memorized()]


def candidates() -> dict[str, list[Finding]]:
    """A fake and three baselines, of which identity has but two measures."""
    return {
        "fake": findings(),
        "identity": [spectrum(5.49), two_sample(1.0)],
        "white_noise": findings(1.2, 0.99),
        "spectral": findings(0.98, 0.6),
    }


def facts() -> Facts:
    run = "outputs/train/2026-11-24_20-45-53-012345"
    data = {"raw": "/data/krios_bgal/particles.star", "sim": "/data/krios_bgal/sim/sim.star"}
    return Facts(
        title="krios_bgal, test set",
        created="2026-11-24T20:45:53+00:00",
        command=("evaluate.py", f"run={run}", "part=test"),
        versions={"cryoalign": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6"},
        git="c7a37d0fdd0dfbe4cc7de197263c3a6863c400bb+",
        files={"fake": f"{run}/test/fake.star", **data},
        run=run,
        checkpoint="last",
        part="test",
        pairs=2000,
        groups=24,
        group_by="rlnMicrographName",
        units=24,
        box=64,
        pixel_size=3.54,
        defocus_bins=EDGES,
        seed=0,
        draws=1000,
        notes=("Only 24 micrographs: intervals are wide.",),
    )
