"""Whether the CTF is kept: defocus and astigmatism by Thon rings."""
