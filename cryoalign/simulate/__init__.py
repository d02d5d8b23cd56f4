"""Images of particles as a simulator makes them: too clean, but at the right pose and CTF."""
