"""The conditional GAN as one LightningModule: the discriminator's turn, then the generator's, batch after
batch.

A *step* is one update of the generator, wherever steps are counted: limits, logs, file names.
"""

from __future__ import annotations

from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MeanMetric

from cryoalign.errors import within
from cryoalign.losses.penalty import r1_penalty
from cryoalign.metrics.suite import PairedSuite
from cryoalign.train.average import MovingAverage
from cryoalign.train.carried import Carried, Validation
from cryoalign.train.finite import Finite, checked_fakes
from cryoalign.train.module import QuickModule
from cryoalign.train.speed import AS_THEY_ARE, Speed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lightning.pytorch.core.optimizer import LightningOptimizer
    from torch.optim import Optimizer

    from cryoalign.data.dataset import Pair
    from cryoalign.losses.objective import Objective
    from cryoalign.models.discriminator import Discriminator
    from cryoalign.models.generator import Generator, Metadata

    OptimizerFactory = Callable[[Iterator[nn.Parameter]], Optimizer]

#: Added to a draw's number for the second fake of the same sim: no epoch comes so far.
SECOND = 2**31


class PairedGAN(QuickModule):
    """Paired conditional GAN with a spectral loss.

    Parameters
    ----------
    generator : Generator
    discriminator : Discriminator, optional
        Not used, and not trained, where the objective's weight ``gan`` is 0.
    objective : Objective
    optimizer : callable, optional
        ``parameters -> Optimizer``, called once for each network; nothing can be trained without it.
    box : int
        Box size in px.
    seed : int
        Of the noise maps.
    decay_start, decay_end : int, optional
        The learning rates fall linearly to zero between these steps; constant without them.
    accumulate : int
        Batches whose gradients are added up for one step.
    clip : float, optional
        Largest norm of a network's gradient.
    ema_decay : float, optional
        Keep an exponential moving average of the generator, and use it wherever nothing is trained.
    log_every : int
        Training values are logged every so many steps.
    configuration : str
        The run's configuration as text; a checkpoint carries it, and one of another configuration is refused.
    speed : Speed
        How the networks are run in training.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator | None,
        objective: Objective,
        optimizer: OptimizerFactory | None,
        *,
        box: int,
        seed: int = 1,
        decay_start: int | None = None,
        decay_end: int | None = None,
        accumulate: int = 1,
        clip: float | None = None,
        ema_decay: float | None = None,
        log_every: int = 10,
        configuration: str = "",
        speed: Speed = AS_THEY_ARE,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.objective = generator, objective
        self.discriminator = discriminator if objective.uses_discriminator else None
        self.optimizer_factory, self.box, self.seed = optimizer, box, seed
        self.decay_start, self.decay_end = decay_start, decay_end
        self.accumulate, self.clip, self.log_every = accumulate, clip, log_every
        self.carried, self._finite, self.speed = Carried(configuration), Finite(), speed
        self._check_numbers(ema_decay)
        self.average = None if ema_decay is None else MovingAverage(generator, ema_decay)
        speed.prepare(generator, self.discriminator)
        adversarial = self.discriminator is not None
        suite = partial(PairedSuite, box, floor=True, discriminator=adversarial, norm=objective.norm)
        self.validation_suite, self.test_suite = suite(), suite()
        terms = [name for name in objective.titles if adversarial or name != "gan"]
        self.validation_terms = nn.ModuleDict({name: MeanMetric().set_dtype(torch.float64) for name in terms})

    def _check_numbers(self, ema_decay: float | None) -> None:
        within("optimizer.accumulate", self.accumulate, 1)
        if self.clip is not None:
            within("optimizer.clip", self.clip, above=0)
        if ema_decay is not None:
            within("optimizer.ema_decay", ema_decay, 0, below=1)
        if self.decay_start is not None:
            remedy = "let it begin before optimizer.decay_end"
            within("optimizer.decay_start", self.decay_start, below=self.decay_end or 0, remedy=remedy)

    # networks

    def forward(self, sim: Tensor, draw: Tensor, metadata: Metadata) -> Tensor:
        """Make (B, 1, N, N) fakes with the generator in training; identity and `draw` say which noise."""
        who = metadata["identity"]
        return self.generator.generate(sim, seed=self.seed, identity=who, draw=draw, metadata=metadata)

    @torch.no_grad()
    def refine(self, sim: Tensor, draw: Tensor, metadata: Metadata) -> Tensor:
        """Make fakes for use: float32, in evaluation mode, with the generator's average where one is kept."""
        model = self.generator if self.average is None else cast("Generator", self.average.module)
        training = model.training
        model.eval()
        who = metadata["identity"]
        with self.speed.plainly():
            fake = model.generate(sim, seed=self.seed, identity=who, draw=draw, metadata=metadata)
        model.train(training)
        return fake.float()

    def other_fakes(self, make: Callable[..., Tensor], batch: Pair, *, every: bool = False) -> Tensor | None:
        """Make second fakes of the same sims where a score compares two, by `forward` or `refine`."""
        if not self.objective.needs_second(every=every):
            return None
        return make(batch["sim"], batch["draw"] + SECOND, batch["metadata"])

    # training

    def configure_optimizers(self) -> Any:
        """Return one optimizer for each network, each with the same linear decay if there is one."""
        factory = cast("OptimizerFactory", self.optimizer_factory)
        optimizers = [factory(network.parameters()) for network in self._networks()]
        falling = [] if self.decay_start is None else optimizers
        return optimizers, [LambdaLR(optimizer, self._decay) for optimizer in falling]

    def _networks(self) -> list[nn.Module]:
        return [self.generator] if self.discriminator is None else [self.generator, self.discriminator]

    def _decay(self, step: int) -> float:
        if self.decay_start is None or self.decay_end is None:
            return 1.0
        return min(1.0, max(0.0, (self.decay_end - step) / (self.decay_end - self.decay_start)))

    def training_step(self, batch: Pair, batch_idx: int) -> None:
        """Update the discriminator, then the generator."""
        found = self.optimizers()
        optimizers = cast("list[LightningOptimizer]", found if isinstance(found, list) else [found])
        update = (batch_idx + 1) % self.accumulate == 0
        fake = self(batch["sim"], batch["draw"], batch["metadata"])
        values: dict[str, Tensor] = {}
        if self.discriminator is not None:
            values |= self._discriminator_turn(batch, fake.detach(), optimizers[1], update=update)
        values |= self._generator_turn(batch, fake, optimizers[0], update=update)
        if not update:
            return
        self._update_average()
        self._check_finite(values)
        for config in self.trainer.lr_scheduler_configs:
            cast("LambdaLR", config.scheduler).step()
        self._log_training(values)

    def _check_finite(self, values: Mapping[str, Tensor]) -> None:
        self._finite.note(self.global_step, values, chain(*self._weights))
        if self.device.type == "cpu" or self.global_step % self.log_every == 0:
            self._finite.check(Path(self.trainer.default_root_dir))

    @torch.no_grad()
    def _update_average(self) -> None:
        """Move the average towards the generator."""
        if self.average is not None:
            self.average.update_parameters(self.generator)

    def _discriminator_turn(
        self, batch: Pair, fake: Tensor, optimizer: LightningOptimizer, *, update: bool
    ) -> dict[str, Tensor]:
        discriminator = cast("Discriminator", self.discriminator)
        sim, raw = batch["sim"], batch["raw"]
        if discriminator.r1 > 0:
            raw = raw.clone().requires_grad_()
        on_raw, on_fake = self.speed.judge(discriminator, sim, raw, fake)
        loss = self.objective.adversarial.discriminator(on_raw, on_fake)
        values = {"loss_D": loss.detach(), "D_raw": on_raw.detach().mean(), "D_fake": on_fake.detach().mean()}
        if discriminator.r1 > 0:
            penalty = r1_penalty(on_raw, raw)
            values["R1"] = penalty.detach()
            loss = loss + discriminator.r1 * penalty
        self.manual_backward(loss / self.accumulate)
        if update:
            if (self.global_step + 1) % self.log_every == 0:
                slopes = [p.grad for p in discriminator.parameters() if p.grad is not None]
                values["D_gradient"] = get_total_norm(slopes)
            # Lightning counts the steps of all optimizers; these two hooks are what it counts by, set anew
            # for every batch.
            optimizer._on_before_step = optimizer._on_after_step = lambda: None
            self._step(optimizer)
        return values

    def _generator_turn(
        self, batch: Pair, fake: Tensor, optimizer: LightningOptimizer, *, update: bool
    ) -> dict[str, Tensor]:
        logits = None
        if self.discriminator is not None:
            self._let_discriminator_learn(False)
            logits = self.discriminator(batch["sim"], fake)
        second = self.other_fakes(self, batch)
        terms = self.objective.terms(fake, batch["raw"], logits, second=second)
        loss = self.objective.total(terms)
        self.manual_backward(loss / self.accumulate)
        if self.discriminator is not None:
            self._let_discriminator_learn(True)
        if update:
            self._step(optimizer)
        return {"loss_G": loss.detach()} | self._named(terms)

    @cached_property
    def _weights(self) -> list[list[nn.Parameter]]:
        """Of each network; to look for them takes longer than an operation on all of them."""
        return [list(network.parameters()) for network in self._networks()]

    def _let_discriminator_learn(self, learns: bool) -> None:
        for weight in self._weights[1]:
            weight.requires_grad_(learns)

    def _named(self, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
        titles = self.objective.titles
        return {titles[name]: term.detach() for name, term in terms.items()}

    def _step(self, optimizer: LightningOptimizer) -> None:
        if self.clip is not None:
            self.clip_gradients(cast("Any", optimizer), self.clip, "norm")
        optimizer.step()
        optimizer.zero_grad()

    def _log_training(self, values: dict[str, Tensor]) -> None:
        if self.global_step % self.log_every == 0:
            # of a batch without a size Lightning would go through all values for one
            self.log("loss_G", values["loss_G"], prog_bar=True, logger=False, batch_size=1)
            reduce = self.trainer.strategy.reduce
            mean = {name: reduce(value, reduce_op="mean") for name, value in values.items()}
            self.publish({f"train/{name}": cast("Tensor", value) for name, value in mean.items()})

    def publish(self, values: Mapping[str, Tensor]) -> None:
        """Hand values to the loggers, at the current step.

        Lightning's own way would count batches, and repeat what was logged earlier in the same epoch.
        """
        # one wait for the device, not one a value
        numbers = torch.stack([torch.as_tensor(value).double() for value in values.values()]).tolist()
        plain = dict(zip(values, numbers, strict=True))
        for logger in self.loggers:
            logger.log_metrics(plain, step=self.global_step)

    def on_train_batch_end(self, *_: Any) -> None:
        """Stop at the last step by way of a validation, so that the last checkpoint is of the last step."""
        if 0 < self.trainer.max_steps <= self.global_step:
            self.trainer.should_stop = True

    # validation; the test is cryoalign.train.test

    def validation_step(self, batch: Pair, batch_idx: int) -> None:  # noqa: ARG002  Lightning's signature
        """Accumulate the metrics and every term of the objective, also those of weight 0."""
        fake = self.refine(batch["sim"], batch["draw"], batch["metadata"])
        fake = checked_fakes(fake, Path(self.trainer.default_root_dir))
        judged = self.add_pairs(self.validation_suite, batch, fake)
        second = self.other_fakes(self.refine, batch, every=True)
        terms = self.objective.terms(fake, batch["raw"], judged, second=second, every=True)
        for name, metric in self.validation_terms.items():
            cast("MeanMetric", metric).update(terms[name], weight=len(fake))

    def on_validation_epoch_end(self) -> None:
        """Log the validation set's values."""
        values = self.validation_suite.compute() | self._named(
            {name: cast("MeanMetric", metric).compute() for name, metric in self.validation_terms.items()}
        )
        named = {f"val/{name}": value for name, value in values.items()}
        self.log_dict(named, logger=False, sync_dist=True)  # for the checkpoints
        self.publish(named)
        self.carried.validation = Validation(self.global_step, {k: float(v) for k, v in named.items()})
        self.validation_suite.reset()
        for metric in self.validation_terms.values():
            cast("MeanMetric", metric).reset()

    def add_pairs(self, suite: PairedSuite, batch: Pair, fake: Tensor) -> Tensor | None:
        """Update a suite of metrics; return the discriminator's view of the fakes."""
        seen: dict[str, Tensor] = {}
        if self.discriminator is not None:
            with self.speed.plainly():
                seen = {
                    "d_raw": self.discriminator(batch["sim"], batch["raw"]),
                    "d_fake": self.discriminator(batch["sim"], fake),
                }
        suite.update(batch["sim"], fake, batch["raw"], other=batch["other"], **seen)
        return seen.get("d_fake")

    # checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what Lightning leaves out."""
        self._finite.check(Path(self.trainer.default_root_dir))
        ended_early = self.trainer.should_stop and self.global_step < self.trainer.max_steps
        checkpoint["cryoalign"] = self.carried.state(ended_early=ended_early)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Read what Lightning leaves out."""
        self.carried.load(checkpoint["cryoalign"])

    def on_train_start(self) -> None:
        """Continue the random streams of the interrupted run."""
        self.carried.continue_random_streams()
