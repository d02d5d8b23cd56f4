r"""Images differ in power beyond chance: by a few spectral shapes, each image's amounts of them normal.

The log power of an image's rings is ``u = m + M_w z + M_b y + e``, with z drawn for each image, y for each
micrograph, and e the sampling error of a ring mean: the logarithm of chi-square over its n degrees of
freedom, of variance trigamma(n / 2), with n the pixels of the ring in the whole plane. Columns of M are
*modes*.

Their number is that of the eigenvalues that independent rings would not give (parallel analysis; Horn 1965,
doi:10.1007/BF02289447). An eigenvalue found in few images is too large; what it stands for is that of the
spiked model (Baik and Silverstein 2006, doi:10.1016/j.jmva.2005.08.003).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from cryoalign.models.physical.choice import FEWEST_GROUPS
from cryoalign.physics.half_plane import half_plane

#: Pixels below which a ring has no part in the modes: its log power is far from normal.
FEWEST_PIXELS = 8
#: Most modes of either kind.
MOST_MODES = 16

_PERMUTATIONS = 100
_PERMUTED = 200_000  # values beyond which the edge is that of theory
_TRACY_WIDOM = 2.0234  # 99 % point of the Tracy-Widom distribution of real matrices
_TINY = 1e-30
_ROUNDS = 12
_SIGMA = 3.0  # standard errors by which the variance of a ring has to exceed that of chance


class Micrographs(NamedTuple):
    """Micrographs that were seen in the fit.

    Attributes
    ----------
    name : (G,) int64 tensor
        Ascending, as in the metadata of a batch.
    number : (G, L) tensor
        Expected amount of each of the micrograph's modes.
    """

    name: Tensor
    number: Tensor

    def look_up(self, micrograph: Tensor) -> tuple[Tensor, Tensor]:
        """Find the amounts of some micrographs.

        Parameters
        ----------
        micrograph : (B,) int64 tensor

        Returns
        -------
        known : (B,) boolean tensor
        number : (B, L) tensor
            0 where it is not known.
        """
        if len(self.name) == 0:
            known = torch.zeros(len(micrograph), dtype=torch.bool, device=micrograph.device)
            return known, self.number.new_zeros(len(micrograph), self.number.shape[1])
        place = torch.searchsorted(self.name, micrograph.contiguous()).clamp(max=len(self.name) - 1)
        known = self.name[place] == micrograph
        return known, torch.where(known[:, None], self.number[place], 0)


class Modes(NamedTuple):
    """How the log power of the rings varies; rings that have no part hold zeros.

    Attributes
    ----------
    mean : (R,) tensor
    within : (R, K) tensor
        Modes drawn anew for each image.
    between : (R, L) tensor
        Modes that the images of a micrograph share.
    separate : (R,) tensor
        Standard deviation of what is drawn for each image and ring, independently of other rings.
    """

    mean: Tensor
    within: Tensor
    between: Tensor
    separate: Tensor

    @property
    def counts(self) -> tuple[int, int]:
        """Number of modes of images and of micrographs."""
        return self.within.shape[1], self.between.shape[1]

    @property
    def varies(self) -> bool:
        """Whether images differ beyond chance."""
        return sum(self.counts) > 0 or bool((self.separate > 0).any())

    def log_power(self, image: Tensor, micrograph: Tensor, ring: Tensor) -> Tensor:
        """Draw the log power of images.

        Parameters
        ----------
        image : (B, K) tensor
            Standard normal.
        micrograph : (B, L) tensor
            The same for all images of a micrograph: standard normal, or those of `Micrographs`.
        ring : (B, R) tensor
            Standard normal.

        Returns
        -------
        (B, R) tensor
        """
        modes = image @ self.within.t() + micrograph @ self.between.t()
        return self.mean + modes + ring * self.separate

    def expected(self, u: Tensor, pixels: Tensor) -> Tensor:
        """Compute what the log power of images is, given what was measured.

        Parameters
        ----------
        u : (n, R) tensor
            Of `log_ring_power`.
        pixels : (R,) tensor
            Of the whole plane in each ring.

        Returns
        -------
        (n, R) tensor
        """
        used, scale = _used(pixels), _scale(pixels)
        modes = torch.cat([self._of_images, self.between], 1).double()[used] / scale[:, None]
        gram = torch.eye(modes.shape[1], dtype=torch.float64, device=modes.device) + modes.t() @ modes
        centred = (u - self.mean).double()[:, used] / scale
        amounts = torch.linalg.solve(gram, (centred @ modes).t()).t()
        found = self.mean.double().expand(len(u), -1).clone()
        found[:, used] += amounts @ modes.t() * scale
        return found.to(u.dtype)

    def micrographs(self, u: Tensor, pixels: Tensor, micrograph: Tensor) -> Micrographs:
        """Compute what is expected of micrographs whose images were measured.

        Parameters
        ----------
        u : (n, R) tensor
        pixels : (R,) tensor
        micrograph : (n,) int64 tensor
            Which micrograph each image is of.

        Returns
        -------
        Micrographs
        """
        name, place = torch.unique(micrograph, return_inverse=True)
        white, between, _ = self._whitened(u, pixels)
        count = torch.bincount(place).double()
        sums = white.new_zeros(len(name), white.shape[1]).index_add_(0, place, white)
        gram = torch.eye(between.shape[1], dtype=torch.float64) + count[:, None, None] * (
            between.t() @ between
        )
        return Micrographs(name, torch.linalg.solve(gram, sums @ between).to(self.between))

    def log_likelihood(self, u: Tensor, pixels: Tensor, micrograph: Tensor) -> Tensor:
        """Compute the Gaussian log-likelihood of measured log power.

        Parameters
        ----------
        u : (n, R) tensor
        pixels : (R,) tensor
        micrograph : (n,) int64 tensor
            The images of one are taken together, as a micrograph that was not seen.

        Returns
        -------
        (n,) float64 tensor
            Each image's part; those of a micrograph share what only all of them have.
        """
        place = torch.unique(micrograph, return_inverse=True)[1]
        white, between, log_det = self._whitened(u, pixels)
        count = torch.bincount(place).double()
        value = -0.5 * (white.square().sum(1) + 2 * log_det + white.shape[1] * math.log(2 * math.pi))
        power, turn = torch.linalg.eigh(between.t() @ between)
        axes = between @ turn / power.clamp(min=_TINY).sqrt()
        sums = white.new_zeros(len(count), len(power)).index_add_(0, place, white @ axes)
        together = 1 + count[:, None] * power
        shared = 0.5 * (power / together * sums.square() - together.log()).sum(1)
        value += (shared / count)[place]
        return value

    @property
    def _of_images(self) -> Tensor:
        """Whatever is drawn for each image, (R, K + R)."""
        return torch.cat([self.within, self.separate.diag()], 1)

    def _whitened(self, u: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Whiten for the variation inside micrographs: images, shared modes, half the log-determinant."""
        used, scale = _used(pixels), _scale(pixels)
        factor = _factor(self._of_images.double()[used] / scale[:, None])
        white = torch.linalg.solve_triangular(
            factor, ((u - self.mean).double()[:, used] / scale).t(), upper=False
        )
        between = torch.linalg.solve_triangular(
            factor, self.between.double()[used] / scale[:, None], upper=False
        )
        return white.t(), between, factor.diagonal().log().sum() + scale.log().sum()


def log_ring_power(relative: Tensor, box: int, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Compute the log power of the rings of images, without the bias of a logarithm of few pixels.

    ``u = log(ring mean) - digamma(n / 2) + log(n / 2)``, with n the pixels of the ring in the whole plane, or
    the sum of their weights.

    Parameters
    ----------
    relative : (B, N, N // 2 + 1) tensor
        |F|^2 over its expected value.
    box : int
        N in px.
    weight : (B, N, N // 2 + 1) tensor, optional
        Of each frequency, 0 to 1: one over the variance of its relative power.

    Returns
    -------
    u : (B, R) tensor
        Of the type of `relative`; 0 is the expected value.
    pixels : (B, R) tensor
        n.
    """
    rings = half_plane(box, relative.device)
    ring, count = rings.ring.flatten(), len(rings.pixels)

    def summed(values: Tensor) -> Tensor:
        weighted = (values.double() * rings.weight).flatten(1)
        return weighted.new_zeros(len(values), count).index_add_(1, ring, weighted)

    if weight is None:
        pixels = rings.pixels.expand(len(relative), -1)
        sums = summed(relative)
    else:
        pixels, sums = summed(weight), summed(relative * weight)
    half = pixels / 2
    u = (sums / pixels).clamp(min=_TINY).log() - torch.digamma(half) + half.log()
    return u.to(relative.dtype), pixels


def no_modes(pixels: Tensor) -> Modes:
    """Return the description of images that differ by chance alone.

    Parameters
    ----------
    pixels : (R,) tensor

    Returns
    -------
    Modes
    """
    nothing = torch.zeros(len(pixels), 0)
    return Modes(torch.zeros(len(pixels)), nothing, nothing, torch.zeros(len(pixels)))


def fit_modes(
    u: Tensor,
    pixels: Tensor,
    micrograph: Tensor,
    *,
    seed: int = 0,
    counts: tuple[int, int] | None = None,
) -> Modes:
    """Find the modes in measured log power.

    The variation inside micrographs is that of differences between images of one micrograph; what the means
    of micrographs vary by beyond it is shared by their images. With fewer than four micrographs, or hardly
    two images in each, the two cannot be told apart, and all is the image's.

    Parameters
    ----------
    u : (n, R) tensor
        Of `log_ring_power`.
    pixels : (R,) tensor
        Of the whole plane in each ring; rings of fewer than 8 have no part.
    micrograph : (n,) int64 tensor
        Which micrograph each image is of.
    seed : int
        Of the permutations.
    counts : (int, int), optional
        Modes of images and of micrographs, where they are known already.

    Returns
    -------
    Modes
        float32; none of fewer than two images.
    """
    if len(u) < 2:
        return no_modes(pixels)
    used, scale = _used(pixels), _scale(pixels)
    values = u.double()[:, used] / scale
    generator = torch.Generator().manual_seed(seed)
    inside, means, sizes = _contrasts(values, micrograph)
    apart = len(means) >= FEWEST_GROUPS - 1 and 2 * len(inside) >= len(values)
    if not apart:
        inside = values - values.mean(0)
    freedom = len(inside) if apart else len(inside) - 1
    within, separate = _factors(inside, freedom, generator, counts and counts[0])
    between = within.new_zeros(len(within), 0)
    if apart:
        factor = _factor(torch.cat([within, separate.diag()], 1))
        white = torch.linalg.solve_triangular(factor, means.t(), upper=False).t()
        found = _factors(white, len(white), generator, counts and counts[1])
        between = largest(factor @ torch.cat([found[0], found[1].diag()], 1)) / sizes.mean().sqrt()
    modes = no_modes(pixels)
    parts = within, between, separate[:, None]
    full = [torch.zeros(len(pixels), part.shape[1]) for part in parts]
    for whole, part in zip(full, parts, strict=True):
        whole[used] = (part * scale[:, None]).float()
    modes = Modes(modes.mean, full[0], full[1], full[2][:, 0])
    if modes.varies:
        modes.mean[used] = u.double().mean(0)[used].float()
    return modes


def _used(pixels: Tensor) -> Tensor:
    return pixels >= FEWEST_PIXELS


def _scale(pixels: Tensor) -> Tensor:
    """Return the standard deviation of the sampling error on each ring that has a part."""
    variance: Tensor = torch.polygamma(1, pixels[_used(pixels)].double() / 2)
    return variance.sqrt()


def _factor(modes: Tensor) -> Tensor:
    """Return the lower Cholesky factor of unit noise and modes."""
    factor: Tensor = torch.linalg.cholesky(torch.eye(len(modes), dtype=modes.dtype) + modes @ modes.t())
    return factor


def _contrasts(values: Tensor, micrograph: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Turn images into independent differences inside micrographs, and differences between their means.

    Each is the difference of the next image (or mean) to the mean of those before it (Helmert's contrasts),
    scaled to the variance of one image. Also returned is how often the variance of a micrograph counts in
    each difference of means.
    """
    order = torch.argsort(micrograph, stable=True)
    place = torch.unique(micrograph[order], return_inverse=True)[1]
    size = torch.bincount(place)
    weight = size.double()
    rows = values[order]
    means = torch.zeros(len(size), rows.shape[1], dtype=rows.dtype).index_add_(0, place, rows)
    means /= weight[:, None]
    first = size.cumsum(0) - size
    count = torch.arange(len(rows)) - first[place]  # images of the same micrograph before this one
    centred = rows - means[place]  # sums of zero over a micrograph: none is carried into the next
    earlier = centred.cumsum(0) - centred
    later = count > 0
    rank = count[later, None].double()
    inside = (centred[later] - earlier[later] / rank) * (rank / (rank + 1)).sqrt()
    before = weight.cumsum(0)[:-1]
    factor = before * weight[1:] / (before + weight[1:])
    mean = (means * weight[:, None]).cumsum(0)[:-1] / before[:, None]
    shared = factor * (1 + weight.square().cumsum(0)[:-1] / before.square())
    return inside, (means[1:] - mean) * factor.sqrt()[:, None], shared


def _factors(
    rows: Tensor, freedom: int, generator: torch.Generator, count: int | None
) -> tuple[Tensor, Tensor]:
    """Return the modes of centred rows, and the standard deviation of what each column varies by beside them.

    A factor analysis by iterated principal axes: columns are brought to unit variance of what is no mode,
    1 at the least. It begins with all of it being no mode, where the edge is that of correlations.
    """
    total = rows.square().sum(0) / freedom
    unit = total.clamp(min=1)
    modes = rows.new_zeros(len(total), 0)
    for _ in range(_ROUNDS):
        modes = _spikes(rows / unit.sqrt(), freedom, generator, count) * unit.sqrt()[:, None]
        count = modes.shape[1]
        unit = (total - modes.square().sum(1)).clamp(min=1)
    excess, error = unit - 1, unit * math.sqrt(2 / freedom)
    return modes, drawn_to_zero(excess, error).sqrt()


def drawn_to_zero(excess: Tensor, error: Tensor) -> Tensor:
    """Return variances beyond chance, drawn towards 0, and 0 below three standard errors.

    Parameters
    ----------
    excess, error : (R,) tensor
        The latter is the standard error.

    Returns
    -------
    (R,) tensor
    """
    kept = (1 - (_SIGMA * error / excess.clamp(min=_TINY)).square()).clamp(min=0)
    return excess.clamp(min=0) * kept


def largest(modes: Tensor) -> Tensor:
    """Return the fewest modes that have the covariance of these, at most as many as are stored.

    Parameters
    ----------
    modes : (R, K) tensor

    Returns
    -------
    (R, L) tensor
        The largest first, L at most 16.
    """
    axes, deviation, _ = torch.linalg.svd(modes, full_matrices=False)
    there = (deviation > _TINY).nonzero()[:MOST_MODES, 0]
    found: Tensor = axes[:, there] * deviation[there]
    return found


def _spikes(rows: Tensor, freedom: int, generator: torch.Generator, count: int | None) -> Tensor:
    """Return the modes of centred rows whose noise is of unit variance, the largest first."""
    size = rows.shape[1]
    power, axes = torch.linalg.eigh(rows.t() @ rows / freedom)
    power, axes = power.flip(0), axes.flip(1)
    ratio = size / freedom
    if count is None:
        count = _count(rows, freedom, power, axes, generator)
    # Below this, a spike leaves no trace in the eigenvalues.
    power = power[:count].clamp(min=(1 + math.sqrt(ratio)) ** 2)
    middle = power + 1 - ratio
    spike = (middle + (middle.square() - 4 * power).clamp(min=0).sqrt()) / 2
    modes: Tensor = axes[:, :count] * (spike - 1).sqrt()
    return modes


def _count(rows: Tensor, freedom: int, power: Tensor, axes: Tensor, generator: torch.Generator) -> int:
    """Count the eigenvalues above the edge.

    A ring that varies much by a mode raises the edge of permuted rings, too: where an eigenvalue lies below,
    the edge is that of what the modes found so far leave.
    """
    count, left, edge = 0, -1, math.inf
    while count < min(MOST_MODES, len(power)):
        if power[count] <= edge:
            if left == count:
                break
            left, known = count, axes[:, :count]
            noise = (1 - known.square().sum(1)).clamp(min=0.1)  # what is left of unit variance
            edge = _edge((rows - rows @ known @ known.t()) / noise.sqrt(), freedom, generator)
            continue
        count += 1
    return count


def _edge(rows: Tensor, freedom: int, generator: torch.Generator) -> float:
    """Return what the largest eigenvalue of independent columns exceeds in one of a hundred cases."""
    size = rows.shape[1]
    if rows.numel() > _PERMUTED:  # Johnstone 2001, doi:10.1214/aos/1009210544
        roots = math.sqrt(freedom - 1), math.sqrt(size)
        width = sum(roots) * math.cbrt(1 / roots[0] + 1 / roots[1])
        return (sum(roots) ** 2 + _TRACY_WIDOM * width) / freedom
    columns, found = rows.t().contiguous(), []
    for _ in range(_PERMUTATIONS):
        mixed = columns.gather(1, torch.rand(columns.shape, generator=generator).argsort(1))
        found.append(torch.linalg.eigvalsh(mixed @ mixed.t() / freedom)[-1])
    return float(torch.stack(found).quantile(0.99))
