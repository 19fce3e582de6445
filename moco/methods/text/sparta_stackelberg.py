"""Sparta with a leader that learns which questions the members should duel on."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from moco.access import ModelFacts, Problem
from moco.comparing import HIGHEST, LOWEST
from moco.errors import DataError
from moco.methods.duels import Duel, Selection, opponent
from moco.methods.text.sparta import Ref, Scout, Sparta
from moco.pool import Dev, Pool
from moco.search.exp3 import Exp3, best_rate
from moco.train.grpo import Grpo
from moco.train.rewards import JudgeReward, Reward, TaskReward, lesson_of
from moco.types import Json, Sample, Sampling

SPAN = HIGHEST - LOWEST


class SpartaStackelberg(Sparta):
    """Sparta in which a leader, a bandit over dev questions (EXP3), chooses what the members duel
    on, and learns from how the duels went: it looks for questions that are hard but not hopeless,
    on which the players differ by a target that shrinks over the iterations, or on which members
    are changing. The members follow: they are trained on the preferences (DPO), or by the judges'
    marks of their own rollouts (GRPO), a member on the questions that it duelled on.

    Opponents may be chosen by a schedule of rating gaps. With GRPO duels are decided before
    training, by one answer of each player, so that a run that goes on decides as before.
    """

    paper: ClassVar[str] = (
        "Jiang et al. 2025, arXiv 2506.04721 (Sparta); Neu 2015, arXiv 1506.03271 (EXP3-IX)"
    )
    paper_preset: ClassVar[Mapping[str, Json]] = {
        "judge_weights": "rating", "rating": "sparta", "leader": "exp3", "num_iterations": 1,
        "learning_rate": 1e-6,
    }  # fmt: skip

    judging: Literal["pairs", "scores"] = "scores"
    """Whether a judge sees both answers, or marks each alone from 1 to 10."""
    training: Literal["dpo", "grpo"] = "dpo"
    """How members learn."""
    num_duels: int | None = Field(default=None, ge=1, le=1_000_000)
    """Duels per iteration; unset = as many as questions."""
    leader: Literal["exp3_ix", "exp3", "uniform"] = "exp3_ix"
    """How the leader learns; `exp3` divides rewards by the bare probability of a question, so that
    one rare draw may move it far; `uniform` draws all questions alike, always.
    """
    leader_scope: Literal["global", "per_model"] = "global"
    """One leader, or one for each member, that chooses where this member plays first."""
    leader_mix: float = Field(default=0.2, ge=0, le=1)
    """Share of the draws that are uniform."""
    leader_rate: float | None = Field(default=None, gt=0, le=100)
    """The leader's step; unset = the one that bounds its regret, √(2 ln K / (K · draws)), and with
    `exp3` 1 / K.
    """
    entropy_floor: float = Field(default=0.0, ge=0, le=1)
    """Least entropy of the draws, as a share of that of uniform ones."""
    leader_reward: Literal["weighted", "difficulty", "preference", "progress"] = "weighted"
    """What the leader looks for: low marks that are no failures; a target gap between the marks;
    both; or questions whose pass rate on dev changed since they were drawn last.
    """
    difficulty_weight: float = Field(default=0.3, ge=0, le=1000)
    """Weight of difficulty in `weighted`."""
    preference_weight: float = Field(default=0.7, ge=0, le=1000)
    """Weight of the gap in `weighted`."""
    score_threshold: float = Field(default=3.0, ge=1, lt=10)
    """Mark below which an answer is a failure, which teaches nothing."""
    ideal_start_gap: float = Field(default=0.6, ge=0, le=1)
    """Target gap of the first iteration, as a share of the widest."""
    ideal_end_gap: float = Field(default=0.15, ge=0, le=1)
    """Target gap of the last."""
    preference_gap_sigma: float = Field(default=0.15, ge=0.01, le=10)
    """How far from the target a gap may be."""
    opponent_selection: Selection = "schedule_decreasing"
    """Who is met: like ratings, unlike ones, or a target gap that falls or rises."""
    reputation_gap_sigma: float = Field(default=0.15, ge=0.05, le=10)
    """How far from a target gap of the ratings an opponent may be."""
    num_generations: int = Field(default=4, ge=2, le=1024)
    """With GRPO, rollouts per question."""
    rollout_temperature: float = Field(default=1.0, gt=0, le=10)
    """Temperature of the rollouts."""
    grpo_beta: float = Field(default=0.0, ge=0, le=10)
    """How strongly GRPO holds a model to itself as it was."""

    @model_validator(mode="after")
    def _marked(self) -> Self:
        marks = self.judging == "scores" or self.judge == "gold"
        if not marks and self.leader != "uniform" and self.leader_reward != "progress":
            raise ValueError(
                f"leader_reward: {self.leader_reward} reads marks: it needs judging: scores"
            )
        if self.difficulty_weight + self.preference_weight <= 0:
            raise ValueError("difficulty_weight and preference_weight are both 0")
        return self

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """One iteration is drawn uniformly."""
        if self.num_iterations > 1 or self.leader == "uniform":
            return []
        what = "with one iteration the leader never chooses: it learns after each"
        fix = "more iterations let it"
        return [Problem("method.num_iterations", what, fix, note=True)]

    def _scout(self, pool: Pool, dev: Dev) -> Scout:
        return _Leader(self, pool, dev)

    def _learn(
        self, pool: Pool, agents: Pool, dev: Dev, fought: Sequence[Duel], weights: Sequence[float]
    ) -> tuple[dict[str, Json], dict[int, Ref]]:
        """GRPO: each member on the questions of its duels; a member whose rollouts are all worth
        the same stays as it is, and an error is raised only if that holds for all.
        """
        if self.training == "dpo":
            return super()._learn(pool, agents, dev, fought, weights)
        samples = {sample.query.id: sample for sample in dev.samples}
        learnt: dict[int, Ref] = {}
        flat: list[str] = []
        for m, member in enumerate(pool):
            rows = [self._row(samples, duel, agents) for duel in fought if m in duel.players]
            if not rows:
                continue
            reward = self._reward(agents, dev, weights)
            name = f"{member.name}+sparta"
            try:
                trained = pool.train(agents[m], rows, self._recipe(pool), name, reward=reward)
            except DataError as error:
                flat.append(f"{member.name}: {error}")
            else:
                learnt[m] = pool.keep_model(trained, member)
        if not learnt:
            raise DataError(f"{self.name()}: no member could be trained; {'; '.join(flat)}")
        return {"untaught": list(flat)}, learnt

    def _row(self, samples: Mapping[str, Sample], duel: Duel, agents: Pool) -> dict[str, Json]:
        judges = [a.name for i, a in enumerate(agents) if i not in duel.players]
        return {**lesson_of(samples[duel.query.id]), "judges": judges}

    def _reward(self, agents: Pool, dev: Dev, weights: Sequence[float]) -> Reward:
        if self.judge == "gold":
            return TaskReward(dev.scorer, dev.roles)
        return JudgeReward(
            {agent.name: agent for agent in agents},
            {a.name: round(w, 6) for a, w in zip(agents, weights, strict=False)},
        )

    def _recipe(self, pool: Pool) -> Grpo:
        return Grpo(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            num_generations=self.num_generations,
            temperature=self.rollout_temperature,
            max_tokens=pool.context.sampling.max_tokens,
            beta=self.grpo_beta,
            seed=pool.context.seed,
        )


class _Leader:
    """Draws questions and learns which are worth a duel."""

    def __init__(self, method: SpartaStackelberg, pool: Pool, dev: Dev) -> None:
        self.method, self.dev = method, dev
        self.dice = random.Random(f"{pool.context.seed}-stackelberg")
        count = min(method.num_instructions, len(dev))
        self.queries = self.dice.sample(dev.queries, count)
        self.count = method.num_duels or count
        leaders = len(pool) if method.leader_scope == "per_model" else 1
        self.bandits = [self._bandit(count, self.count / leaders) for _ in range(leaders)]
        self.drawn: list[int] = []
        """Arm of each duel of this iteration."""
        self.passed: dict[int, float] = {}
        """Arm → pass rate when it was drawn last."""

    def _bandit(self, arms: int, draws: float) -> Exp3:
        method = self.method
        if method.leader == "uniform":
            return Exp3(arms, 0.0, mix=1.0)
        implicit = method.leader == "exp3_ix"
        bound = best_rate(arms, round(draws * method.num_iterations))
        rate = method.leader_rate or (bound if implicit else 1 / arms)
        return Exp3(
            arms,
            rate,
            mix=method.leader_mix,
            implicit=rate / 2 if implicit else 0.0,
            floor=method.entropy_floor,
        )

    def _of(self, player: int) -> Exp3:
        return self.bandits[player % len(self.bandits)]

    def _progress(self, number: int) -> float:
        return (number - 1) / max(self.method.num_iterations - 1, 1)

    def duels(self, number: int, ratings: Sequence[float]) -> list[Duel]:
        """Members take turns, each on a question of its leader's."""
        players = [d % len(ratings) for d in range(self.count)]
        self.drawn = [self._of(player).draw(1, self.dice)[0] for player in players]
        return [
            Duel(self.queries[arm], (player, self._opponent(player, ratings, number)))
            for player, arm in zip(players, self.drawn, strict=True)
        ]

    def _opponent(self, player: int, ratings: Sequence[float], number: int) -> int:
        method = self.method
        return opponent(
            player,
            ratings,
            self.dice,
            random_share=method.random_match_prob,
            opponents=method.num_opponents,
            selection=method.opponent_selection,
            progress=self._progress(number),
            sigma=method.reputation_gap_sigma,
        )

    def learn(
        self, number: int, fought: Sequence[Duel], weights: Sequence[float]
    ) -> dict[str, Json]:
        """Move the leaders; duels without a mark teach them nothing."""
        if self.method.leader_reward == "progress":
            rewards = self._changes(fought)
        else:
            progress = self._progress(number)
            rewards = [leader_reward(self.method, d.means(weights), progress) for d in fought]
        for bandit in self.bandits:
            own = [
                (arm, reward)
                for arm, reward, duel in zip(self.drawn, rewards, fought, strict=True)
                if reward is not None and self._of(duel.players[0]) is bandit
            ]
            bandit.learn([arm for arm, _ in own], [self._worth(reward) for _, reward in own])
        known = [self._worth(reward) for reward in rewards if reward is not None]
        mean = round(sum(known) / len(known), 4) if known else None
        entropies: list[Json] = [round(bandit.entropy, 4) for bandit in self.bandits]
        return {"leader": {"reward": mean, "entropy": entropies}}

    def _worth(self, reward: tuple[float, float]) -> float:
        """One leader hears both players' rewards, a member's own leader that member's."""
        return sum(reward) / 2 if self.method.leader_scope == "global" else reward[0]

    def _changes(self, fought: Sequence[Duel]) -> list[tuple[float, float] | None]:
        """How far pass rates moved since a question was drawn last; None the first time."""
        sums: dict[int, list[float]] = {}
        for arm, duel in zip(self.drawn, fought, strict=True):
            sums.setdefault(arm, []).extend(self.dev.score_alone(duel.query.id, duel.texts))
        now = {arm: sum(scores) / len(scores) for arm, scores in sums.items()}
        found: list[tuple[float, float] | None] = []
        for arm in self.drawn:
            change = abs(now[arm] - self.passed[arm]) if arm in self.passed else None
            found.append(None if change is None else (change, change))
        self.passed |= now
        return found


def leader_reward(
    method: SpartaStackelberg, marks: tuple[float, float] | None, progress: float
) -> tuple[float, float] | None:
    """What a duel is worth to the leader, for each player, from 0 to 1; None without marks.

    Difficulty is (10 − mark) / (10 − threshold), 0 for a failure; preference exp(−(gap − target)² /
    2σ²) of the gap of the marks as a share of 9, whose target goes from the first iteration's to
    the last's with `progress`.
    """
    if marks is None:
        return None
    gap = abs(marks[0] - marks[1]) / SPAN
    target = method.ideal_end_gap + (method.ideal_start_gap - method.ideal_end_gap) * (1 - progress)
    near = math.exp(-((gap - target) ** 2) / (2 * method.preference_gap_sigma**2))
    hard = [
        0.0 if m < method.score_threshold else (HIGHEST - m) / (HIGHEST - method.score_threshold)
        for m in marks
    ]
    if method.leader_reward == "preference":
        return near, near
    if method.leader_reward == "difficulty":
        return hard[0], hard[1]
    one, other = method.difficulty_weight, method.preference_weight
    first, second = ((one * h + other * near) / (one + other) for h in hard)
    return first, second
