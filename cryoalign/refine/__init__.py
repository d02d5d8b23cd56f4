"""The one machine from sims to fakes: whoever asks for a fake, it is made here."""
