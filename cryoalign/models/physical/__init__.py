"""The noise of an electron microscope in closed form: what `cryoalign.models.physical` models are made of."""
