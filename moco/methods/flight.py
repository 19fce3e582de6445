"""How particles fly: the hyperparameters that methods with a particle swarm share."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from moco.search.pso import Pso


class Flight(BaseModel):
    """The pulls on a particle and the length of its steps; a part of methods."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    weight_randomness: bool = True
    """Whether the four pulls are multiplied by random numbers."""
    inertia: float = Field(default=0.2, ge=0, le=10)
    """Weight of a particle's own velocity."""
    cognitive_coeff: float = Field(default=0.3, ge=0, le=10)
    """Pull of a particle's own best place."""
    social_coeff: float = Field(default=0.4, ge=0, le=10)
    """Pull of the best place of all."""
    repel_coeff: float = Field(default=0.05, ge=0, le=10)
    """Push away from the worst place of all."""
    repel_term: bool = True
    """Whether there is that push."""
    step_length: float = Field(default=0.5, gt=0, le=10)
    """Share of its velocity that a particle moves by."""
    step_length_factor: float = Field(default=0.95, gt=0, le=1)
    """What the step length is multiplied by after each round."""
    minimum_step_length: float = Field(default=0.1, gt=0, le=10)
    """What it does not fall below."""

    def swarm(
        self,
        max_iterations: int,
        patience: int,
        restart_patience: int,
        start: Literal["random", "rest", "differences"],
    ) -> Pso:
        """A swarm of such particles."""
        return Pso(
            max_iterations=max_iterations,
            inertia=self.inertia,
            cognitive=self.cognitive_coeff,
            social=self.social_coeff,
            repel=self.repel_coeff if self.repel_term else 0.0,
            weight_randomness=self.weight_randomness,
            step_length=self.step_length,
            step_length_factor=self.step_length_factor,
            minimum_step_length=self.minimum_step_length,
            patience=patience,
            restart_patience=restart_patience,
            start=start,
        )
