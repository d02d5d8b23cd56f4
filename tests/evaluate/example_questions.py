"""Questions and answers of a made-up evaluation."""

from __future__ import annotations

NASTY = "<script>alert('x')</script> & \"quoted\""

#: Question, verdict, sentences and the quantity to show, by key.
QUESTIONS = {
    "peaks": (
        "Are the images free of a periodic pattern?",
        "fail",
        "There is one, a period of 2 px along x and y: 3.1 times the power around it, 14 sigma.",
        "periodic_peak",
    ),
    "content": (
        "Is the particle still there, in its strength?",
        "pass",
        "Content transfer is 0.97 of raw's over all bands; the weakest, 12 to 8 Å, has 0.88.",
        "content",
    ),
    "truth": ("Does fake show the truth as well as raw does?", "undecided", "No truth is known."),
    "defocus": (
        "Is the CTF that of the metadata?",
        "pass",
        "Thon rings of fake give a defocus 0.2 % off the metadata's; raw's are 0.3 % off.",
        "error",
    ),
    "pose": (
        "Are pose and shift those of the metadata?",
        "pass",
        "Fake's poses are found 3.4° from the metadata's and raw's 3.6°; shifts 1.9 Å and 2.0 Å.",
        "angle",
    ),
    "grey": ("Are the grey values those of the measurement?", "pass", "Mean, spread and tails agree to 1 %."),
    "noise": ("Has the noise the power and the colour of raw's?", "pass", "Its power is 0.99 of raw's."),
    "shared": (
        "Is the noise of every particle its own?",
        "pass",
        "Residuals correlate with 0.0004.",
        "shared",
    ),
    "repeated": (
        "Is the noise new in every draw?",
        "fail",
        "Two draws of one sim correlate with 0.94.",
        "repeated",
    ),
    "empty": (
        "Is nothing there where sim is empty?",
        "pass",
        "400 empty fakes, reconstructed, correlate with the map no more than chance (0.8 sigma).",
        "empty",
    ),
    "domain": ("Does a removed domain stay away?", "undecided", f"The map {NASTY} has none."),
    "memorized": ("Is it as good on held-out pairs as in training?", "pass", "Excess 1.04 and 1.03.", "gap"),
}
