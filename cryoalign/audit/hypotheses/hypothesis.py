"""What a hypothesis about pairs is, and what all of them start from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, final

from cryoalign.audit.transfer import Transfer, applied, claimed_power, ctf_of, undone
from cryoalign.physics.fourier import rfft2

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from cryoalign.audit.sample import Sample


class Treatment(Enum):
    """What a hypothesis does to images besides its change, which costs or wins correlation by itself."""

    NONE = "none"
    CTF = "the CTF divided out and applied"
    INTERPOLATED = "magnified there and back"
    INTERPOLATED_MAP = "magnified there and back while the CTF is divided out"


@dataclass(frozen=True)
class Basis:
    """The pairs, and the CTF that the simulated images carry: what every hypothesis changes.

    Attributes
    ----------
    sample : Sample
    carried : Transfer
        What the simulated images really carry.
    """

    sample: Sample
    carried: Transfer

    @cached_property
    def spectra(self) -> torch.Tensor:
        """(n, N, N // 2 + 1) half planes of the simulated images."""
        return rfft2(self.sample.sims)

    @cached_property
    def ctf(self) -> torch.Tensor:
        """(n, N, N // 2 + 1) CTF of the simulated images, once, whatever its power."""
        return ctf_of(self.sample.sim, self.sample.box, self.sample.pixel_size, self.carried)

    @property
    def claimed(self) -> Transfer:
        """The CTF that the raw metadata claim."""
        return Transfer(claimed_power(self.sample.raw))

    @property
    def original_pixel_size(self) -> float:
        """Of the raw images before they were brought to the size of the sample, in A."""
        return float(self.sample.raw.optics_column("pixel_size").mean())

    @property
    def claimed_shift(self) -> NDArray[np.float64]:
        """(n, 2) shifts that the raw metadata claim, in px of the sample."""
        shifts: NDArray[np.float64] = self.sample.raw.shift / self.sample.pixel_size
        return shifts

    @property
    def division(self) -> Treatment:
        """What is done to images whose CTF is replaced: nothing where they carry none."""
        return Treatment.CTF if self.carried.power > 0 else Treatment.NONE

    def with_ctf(self, transfer: Transfer) -> torch.Tensor:
        """(n, N, N // 2 + 1) half planes with a CTF of the raw metadata instead of the carried one."""
        wanted = ctf_of(self.sample.raw, self.sample.box, self.sample.pixel_size, transfer)
        return self.spectra * undone(self.ctf, self.carried) * applied(wanted, transfer)


@dataclass(frozen=True)
class Explanation:
    """What is wrong, for a user.

    Attributes
    ----------
    mistake : str
        Name of what is wrong.
    family : str
        See `Hypothesis`.
    line : str
        What it means.
    remedy : str
        What to do.
    """

    mistake: str
    family: str
    line: str
    remedy: str


@dataclass(frozen=True)
class Hypothesis(ABC):
    """One way in which pairs may be wrong, and the images that the simulated ones would have to be then.

    Attributes
    ----------
    basis : Basis
    family : str
        What it concerns: ``contrast``, ``orientation``, ``rows``, ``shift``, ``pixel size``, ``pose``,
        ``CTF``, ``defocus``, ``phase shift``.
    kind : str
        The same for families that are one thing where images reach low frequencies only.
    scan : str
        What a factor is put on; empty where there is none.
    """

    basis: Basis
    scan: ClassVar[str] = ""

    @property
    @abstractmethod
    def name(self) -> str:
        """Short and unique among all hypotheses."""

    @property
    @abstractmethod
    def family(self) -> str: ...

    @property
    @abstractmethod
    def line(self) -> str:
        """What is wrong, for a user."""

    @property
    @abstractmethod
    def remedy(self) -> str:
        """What to do about it."""

    @abstractmethod
    def images(self) -> torch.Tensor:
        """(n, N, N // 2 + 1) half planes that the simulated images should have been."""

    @property
    def kind(self) -> str:
        return self.family

    @property
    def mistake(self) -> str:
        """Name of what is wrong, where the hypothesis is named after its remedy."""
        return self.name

    @property
    def certain(self) -> bool:
        """Whether nothing else explains it once raw confirms it."""
        return True

    @property
    def value(self) -> float | None:
        """Number that a scan varies."""
        return None

    @property
    def factor(self) -> float | None:
        """The same as a factor, 1 for the pairs as given."""
        return self.value

    @property
    def treatment(self) -> Treatment:
        return Treatment.NONE

    @property
    def explanation(self) -> Explanation:
        return Explanation(self.mistake, self.family, self.line, self.remedy)


@final
@dataclass(frozen=True)
class AsGiven(Hypothesis):
    """Nothing is wrong."""

    name = "pairs as given"
    family = "none"
    line = "nothing is wrong"
    remedy = "none is needed"

    def images(self) -> torch.Tensor:
        return self.basis.spectra
