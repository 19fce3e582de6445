"""Members work on a shared blackboard until enough of them have given a final answer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import Field

from moco import prompts
from moco.access import Access, ModelFacts, Problem, Requires
from moco.errors import PromptTooLongError
from moco.methods import votes
from moco.methods.base import Level, Method
from moco.methods.discussion import Standing, ask_members, standing, unknown
from moco.pool import Dev, Pool
from moco.types import Generation, Json, Prediction, Prompt, Query, Sampling

FINISH = "finish"
ACTIONS: Mapping[str, str] = {
    "plan": "Propose how to go about the question. Do not solve it.",
    "solve": "Work out the next step that is missing on the board.",
    "verify": "Check the latest step on the board: compute it again, and say whether it holds.",
    "criticise": "Name what is wrong or missing on the board, and put it right.",
    FINISH: "Write the final answer, using what is right on the board.",
}
"""What an agent may do, and what it is then told to write."""
CHOICES: Mapping[str, str] = {
    "plan": "propose a plan",
    "solve": "work out the next step",
    "verify": "check the latest step",
    "criticise": "correct a mistake",
    FINISH: "give the final answer",
}
"""How the actions are offered."""


@dataclass(slots=True)
class _Entry:
    agent: int
    action: str
    text: str


@dataclass(slots=True)
class _Board:
    """One question's blackboard."""

    query: Query
    entries: list[_Entry] = field(default_factory=list)
    finals: dict[int, Generation] = field(default_factory=dict)
    """Each agent's latest final answer."""
    idle: dict[int, int] = field(default_factory=dict)
    """Agent → iterations since it last acted."""
    unread: int = 0
    """Choices of an action that could not be read; nothing was written for them."""
    iterations: int = 0

    def shown(self, build: Callable[..., Prompt]) -> Prompt:
        """The prompt that `build` makes of the board; where even shortened entries do not fit the
        context the oldest are left out, and the board says how many.
        """
        for left_out in range(len(self.entries)):
            try:
                return build(self._material(left_out), strict=True)
            except PromptTooLongError:
                continue
        return build([], strict=False)

    def _material(self, left_out: int) -> list[prompts.Material]:
        """The entries, oldest first, by number and action."""
        kept = list(enumerate(self.entries, start=1))[left_out:]
        header = prompts.BOARD_HEADER + (prompts.LEFT_OUT.format(n=left_out) if left_out else "")
        names = [f"{i}_{entry.action}" for i, entry in kept]
        texts = [entry.text for _, entry in kept]
        return [prompts.Material(header, texts, tag="entry", names=names)]


class Bbmas(Method[Standing]):
    """A blackboard: in each iteration some agents, drawn at random, each choose an action (plan,
    solve, verify, criticise, finish) by what stands on the board, and write their entry.

    Agent i is member i. A question ends when enough different agents have given a final answer, or
    after the last iteration, when those that have not are asked for one; the finals are voted on.
    All questions advance in step. An agent whose choice cannot be read writes nothing.
    """

    level: ClassVar[Level] = "text"
    paper: ClassVar[str] = "Han, Zhang 2025, arXiv 2507.01701 (blackboard multi-agent systems)"
    requires: ClassVar[Requires] = Requires(optional=Access.LOGPROBS, min_models=2)
    paper_preset: ClassVar[Mapping[str, Json]] = {"max_iterations": 10}

    max_num_agents_to_act: int = Field(default=1, ge=1, le=1000)
    """Agents that act in one iteration, on the same board."""
    min_num_agents_to_stop: int = Field(default=1, ge=1, le=1000)
    """Different agents that have to give a final answer."""
    agent_idle_threshold: int = Field(default=6, ge=1, le=1000)
    """Iterations after which an agent that did not act comes first."""
    max_iterations: int = Field(default=6, ge=1, le=1000)
    """Iterations at most."""

    def problems(self, facts: Mapping[str, ModelFacts | None], sampling: Sampling) -> list[Problem]:
        """The quota can be reached."""
        if self.min_num_agents_to_stop <= len(facts):
            return []
        what = f"{self.min_num_agents_to_stop} different agents of {len(facts)} can never finish"
        fix = f"set it to at most {len(facts)}"
        return [Problem("method.min_num_agents_to_stop", what, fix)]

    def fit(self, pool: Pool, dev: Dev) -> Standing:
        """Who wins ties."""
        return standing(pool, dev)

    def predict(
        self, pool: Pool, queries: Sequence[Query], state: Standing | None
    ) -> list[Prediction]:
        """Iterations on all boards that are still open, then the votes."""
        known = state or unknown(pool)
        agents = range(len(pool))
        boards = [_Board(q, idle=dict.fromkeys(agents, 0)) for q in queries]
        open_ = list(boards)
        for number in range(self.max_iterations):
            if not open_:
                break
            self._iterate(pool, open_, number)
            open_ = [b for b in open_ if len(b.finals) < self.min_num_agents_to_stop]
        missing = [(b, i) for b in open_ for i in agents if i not in b.finals]
        self._write(pool, [(b, i, FINISH) for b, i in missing], "last word")
        return [_decided(pool, board, known) for board in boards]

    def _iterate(self, pool: Pool, boards: Sequence[_Board], number: int) -> None:
        acting = [(b, i) for b in boards for i in self._drawn(pool, b, number)]
        chosen = self._choose(pool, acting)
        for board in boards:
            board.iterations = number + 1
            for agent in board.idle:
                board.idle[agent] += 1
        turns = []
        for (board, agent), action in zip(acting, chosen, strict=True):
            board.idle[agent] = 0
            if action is None:
                board.unread += 1
            else:
                turns.append((board, agent, action))
        self._write(pool, turns, f"act {number + 1}")

    def _drawn(self, pool: Pool, board: _Board, number: int) -> list[int]:
        """Agents that act: those idle for too long, then by chance; who has finished rests."""
        order = pool.shuffled(board.query, len(pool), f"agents {number}")
        order.sort(key=lambda i: board.idle[i] < self.agent_idle_threshold)
        return [i for i in order if i not in board.finals][: self.max_num_agents_to_act]

    def _choose(self, pool: Pool, acting: Sequence[tuple[_Board, int]]) -> list[str | None]:
        """Each agent's action by its label; None where none could be read."""
        actions = list(CHOICES)
        labels = prompts.LETTERS[: len(actions)]
        found: list[str | None] = [None] * len(acting)
        for agent in range(len(pool)):
            places = [k for k, (_, own) in enumerate(acting) if own == agent]
            spare = pool.spare([pool[agent]])
            asked = []
            for k in places:
                board = acting[k][0]
                build = functools.partial(
                    prompts.next_action, board.query, actions=CHOICES, spare=spare
                )
                asked.append(board.shown(build))
            ids = [acting[k][0].query.id for k in places]
            picks = pool[agent].choose(asked, list(labels), stage="choose action", query_ids=ids)
            for k, pick in zip(places, picks, strict=True):
                found[k] = None if pick.index is None else actions[pick.index]
        return found

    def _write(self, pool: Pool, turns: Sequence[tuple[_Board, int, str]], stage: str) -> None:
        """The entries of one iteration, all written on the board as it was before it."""
        asked: list[tuple[int, str, Prompt]] = []
        for board, agent, action in turns:
            line = None if action == FINISH else ""
            build = functools.partial(
                prompts.with_material, board.query, instruction=ACTIONS[action],
                spare=pool.spare([pool[agent]]), line=line,
            )  # fmt: skip
            asked.append((agent, board.query.id, board.shown(build)))
        given = ask_members(pool, asked, stage)
        for (board, agent, action), text in zip(turns, given, strict=True):
            board.entries.append(_Entry(agent, action, text.text))
            if action == FINISH:
                board.finals[agent] = text


def _decided(pool: Pool, board: _Board, state: Standing) -> Prediction:
    """The vote over the final answers; ties go to the better member on dev."""
    agents = sorted(board.finals)
    finals = [board.finals[i] for i in agents]
    scores = [state["scores"].get(pool.names[i], 0.0) for i in agents]
    group, chosen = votes.elect(board.query, finals, scores)
    notes: dict[str, Json] = {
        "iterations": board.iterations,
        "actions": [[pool.names[e.agent], e.action] for e in board.entries],
        "votes": len(group),
        "unread": board.unread,
    }
    by = tuple(dict.fromkeys(pool.names[e.agent] for e in board.entries))
    taken = finals[chosen]
    return Prediction(board.query.id, taken.text, by, taken.stop, notes)
