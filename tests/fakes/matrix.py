"""Which question each saboteur has to fail, and which it has to pass; a dot leaves it open."""
# ruff: noqa: E501  a table is read as one

from __future__ import annotations

QUESTIONS = (
    "spectrum", "peaks", "content", "truth", "ctf", "pose", "noise", "grey", "shared", "copied", "repeated",
    "skewness", "power_spread", "modulation", "in_ring", "noise_ctf", "edges", "two_sample", "invented_empty", "invented_domain", "memorized",
)  # fmt: skip

_ROWS = """
                  spectrum peaks content truth ctf  pose noise grey shared copied repeated skewness spread modulation in_ring ctf_noise edges two_sample empty domain memorized
oracle            pass     pass  pass    pass  pass pass pass  pass pass   pass   pass     pass     pass   pass       pass    pass      pass  pass       pass  pass   pass
random_phases     pass     pass  fail    fail  .    .    .     .    pass   pass   pass     pass     .      .          .       .         .     .          .     .      pass
another_particle  pass     pass  fail    fail  pass fail .     pass pass   pass   pass     pass     .      .          pass    .         .     pass       pass  .      pass
defocus_off       .        pass  .       .     fail .    .     pass pass   pass   pass     pass     .      .          pass    .         .     .          pass  .      pass
pose_off          pass     pass  .       .     pass fail .     pass pass   pass   pass     pass     .      .          pass    .         .     pass       pass  .      pass
no_noise          fail     .     pass    pass  pass pass fail  .    .      pass   fail     .        .      .          .       .         .     fail       .     pass   pass
white_noise       fail     pass  pass    pass  pass pass fail  pass pass   pass   pass     pass     pass   pass       pass    pass      fail  fail       pass  pass   pass
same_noise        .        pass  pass    pass  .    pass .     pass fail   pass   fail     .        .      .          .       .         .     .          .     .      .
noise_of_sim      pass     pass  pass    pass  pass pass pass  pass pass   pass   fail     pass     pass   pass       pass    pass      pass  pass       pass  pass   pass
copy_of_raw       .        pass  pass    pass  pass pass pass  pass pass   fail   .        pass     pass   pass       pass    pass      pass  .          pass  pass   .
memorizer         pass     pass  pass    pass  pass pass pass  pass pass   pass   pass     pass     pass   pass       pass    pass      pass  pass       pass  pass   fail
transplant        pass     pass  pass    pass  pass pass pass  pass pass   pass   pass     pass     pass   pass       pass    pass      pass  pass       .     pass   fail
inventor          .        pass  pass    pass  pass pass .     .    .      pass   pass     .        .      .          .       pass      pass  .          fail  fail   pass
checkerboard      pass     fail  pass    pass  pass pass pass  pass pass   pass   pass     pass     pass   pass       pass    pass      pass  .          .     pass   pass
grey_scale_off    .        pass  pass    pass  pass pass .     fail pass   pass   pass     pass     pass   pass       pass    pass      pass  .          pass  pass   pass
patchy_noise      .        pass  pass    pass  pass pass pass  .    pass   pass   pass     pass     .      fail       pass    pass      pass  .          .     .      pass
even_rings        .        pass  pass    pass  pass pass pass  pass pass   pass   pass     pass     .      pass       fail    pass      pass  .          .     .      pass
measured_oracle   pass     pass  pass    pass  pass pass pass  pass pass   pass   pass     pass     pass   pass       pass    pass      pass  pass       pass  pass   pass
gaussian_noise    pass     pass  pass    pass  pass pass pass  fail pass   pass   pass     fail     pass   pass       pass    pass      pass  .          pass  pass   pass
one_spectrum      pass     pass  pass    pass  pass pass pass  pass pass   pass   pass     pass     fail   pass       pass    pass      pass  .          pass  pass   pass
noise_without_ctf .        pass  pass    pass  .    pass pass  pass pass   pass   pass     pass     pass   pass       pass    fail      pass  .          pass  pass   pass
periodic_noise    pass     pass  pass    pass  pass pass pass  pass pass   pass   pass     pass     .      pass       pass    .         fail  fail       pass  pass   pass
"""


def matrix() -> dict[str, dict[str, str]]:
    """Saboteur to question to verdict."""
    _, *rows = _ROWS.strip("\n").splitlines()
    parts = [row.split() for row in rows]
    return {name: dict(zip(QUESTIONS, wanted, strict=True)) for name, *wanted in parts}
