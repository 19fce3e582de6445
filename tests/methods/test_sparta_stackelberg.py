"""The leader's rewards and draws, opponents on a schedule, marks, and both ways to learn."""

from __future__ import annotations

import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from scripted import member

from moco import Pool, comparing
from moco.errors import DataError
from moco.methods.duels import Duel, SpartaRule, agreement, handicaps, opponent
from moco.methods.text.sparta import Sparta
from moco.methods.text.sparta_stackelberg import SpartaStackelberg, _Leader, leader_reward
from moco.model import Model
from moco.pool import Dev
from moco.prompts import plain
from moco.registry import load
from moco.train.rewards import JudgeReward, lesson_of
from moco.types import Choice, Query, Sample, Sampling

MEMBERS = ["zoo://mini/base", "zoo://mini/words", "zoo://mini/facts"]


def query(name: str = "q") -> Query:
    return plain(name, f"Which one is {name}?", "choice", choices=("red", "green", "blue"))


def dev(count: int = 10, right: str = "A") -> Dev:
    samples = [Sample(query(f"d{i}"), (right,)) for i in range(count)]
    return Dev(samples, load("scorer", "choice")())


def opened(members: Any = MEMBERS) -> Pool:
    return Pool.open(
        members, sampling=Sampling(max_tokens=10), engine={"devices": ["cpu"], "dtype": "float32"}
    )


def speaker(name: str, reply: str) -> Any:
    """A member that gives text only."""
    return member(name, reply, access=["text"])


def marked(*marks: tuple[int, float, float], players: tuple[int, int] = (0, 1)) -> Duel:
    own = Duel(query(), players, ("first", "second"))
    for judge, one, other in marks:
        own.mark(judge, (one, other), [1.0] * 4)
    return own


def test_marks_make_verdicts_and_the_papers_move() -> None:
    own = marked((2, 8.0, 5.0), (3, 4.0, 6.0))
    weights = [100.0, 100.0, 100.0, 50.0]
    delta = (100 * 3 + 50 * -2) / 150
    assert own.balance(weights) == pytest.approx(delta / 9)
    assert own.means(weights) == pytest.approx(((800 + 200) / 150, (500 + 300) / 150))
    rule = SpartaRule.of(4)
    rule.ratings[:] = [104.0, 100.0, 100.0, 50.0]
    rule.record(own)
    gap = math.erf(4 / math.hypot(0.5, 0.5) / math.sqrt(2))
    assert rule.ratings[0] == pytest.approx(104 + 10 * delta * math.tanh(0.5) * gap / 20)
    assert Duel(query(), (0, 1)).means(weights) is None


def test_judges_count_by_their_agreement_with_the_others() -> None:
    def voted(**votes: float) -> Duel:
        return Duel(query(), (0, 1), votes={int(j[1:]): share for j, share in votes.items()})

    duels = [voted(j2=1.0, j3=1.0, j4=0.0), voted(j2=0.0, j3=0.0, j4=1.0)]
    found = agreement(5, duels)
    assert found == [1.0, 1.0, 0.05, 0.05, 0.05]  # nobody is with more than half of the others
    duels = [voted(j2=1.0, j3=1.0, j4=1.0)] * 3 + [voted(j2=1.0, j3=1.0, j4=0.0)]
    two, four = agreement(5, duels)[2], agreement(5, duels)[4]
    assert (two, four) == pytest.approx((2 * 3.5 / 4 - 1, 2 * 3 / 4 - 1))
    assert agreement(4, [voted(j2=1.0)]) == [1.0] * 4  # one judge has nobody to agree with


def test_opponents_are_near_far_or_at_a_target_gap() -> None:
    ratings, dice = [100.0, 101.0, 150.0, 200.0], random.Random(0)

    def met(**how: Any) -> Counter[int]:
        found = (opponent(0, ratings, dice, random_share=0, opponents=1, **how) for _ in range(200))
        return Counter(found)

    assert met(selection="lowest_diff") == {1: 200}
    assert met(selection="highest_diff") == {3: 200}
    falling = "schedule_decreasing"
    assert met(selection=falling, progress=0.0).most_common(1)[0][0] == 3
    assert met(selection=falling, progress=0.5).most_common(1)[0][0] == 2
    assert met(selection=falling, progress=1.0).most_common(1)[0][0] == 1
    assert met(selection="schedule_increasing", progress=1.0).most_common(1)[0][0] == 3
    wild = Counter(opponent(0, ratings, dice, random_share=1, opponents=1) for _ in range(300))
    assert set(wild) == {1, 2, 3} and min(wild.values()) > 60


def test_handicaps() -> None:
    history = [[3.0, 1.0, 2.0], [1.0, 3.0, 2.0]]
    assert handicaps("normal", 3, history) == [1.0, 1.0, 1.0]
    assert handicaps("dynamic", 3, []) == [1.0, 1.0, 1.0]
    assert handicaps("dynamic", 3, history[:1]) == [1.0, 0.0, 1.0]
    assert handicaps("dynamic", 3, history) == [0.0, 1.0, 0.1]
    assert handicaps("static", 3, history) == [0.1, 0.0, 1.0]
    late = [*history[:1] * 7, [1.0, 2.0, 3.0]]
    assert handicaps("dynamic", 3, late) == handicaps("dynamic", 3, late[:7])


def test_the_leaders_reward() -> None:
    weighted = SpartaStackelberg()
    # gap 3/9, target 0.6 at the start; marks 7 and 4 of threshold 3
    near = math.exp(-((3 / 9 - 0.6) ** 2) / (2 * 0.15**2))
    first, second = leader_reward(weighted, (7.0, 4.0), 0.0) or (0, 0)
    assert first == pytest.approx(0.3 * 3 / 7 + 0.7 * near)
    assert second == pytest.approx(0.3 * 6 / 7 + 0.7 * near)
    hard = SpartaStackelberg(leader_reward="difficulty")
    assert leader_reward(hard, (2.9, 3.0), 0.0) == (0.0, 1.0)
    gap = SpartaStackelberg(leader_reward="preference")
    at_end = leader_reward(gap, (5.0, 5.0 + 9 * 0.15), 1.0)
    assert at_end == pytest.approx((1.0, 1.0))
    assert leader_reward(gap, None, 0.0) is None


def test_the_leader_moves_to_what_pays(tmp_path: Path) -> None:
    members = [member(n, "Answer: A") for n in "abc"]
    method = SpartaStackelberg(
        num_iterations=30, leader_reward="difficulty", num_instructions=4, num_duels=12,
        leader_rate=0.3,
    )  # fmt: skip
    with Pool.open(members) as pool:
        leader = _Leader(method, pool, dev(4))
        for number in range(1, 31):
            fought = leader.duels(number, [100.0] * 3)
            assert [duel.players[0] for duel in fought] == [0, 1, 2] * 4
            for duel in fought:
                mark = 4.0 if duel.query.id == "d2" else 10.0
                duel.mark(2, (mark, mark), [1.0] * 3)
            told = leader.learn(number, fought, [1.0] * 4)["leader"]
        favourite = int(leader.bandits[0].probabilities.argmax())
        assert leader.queries[favourite].id == "d2"
        assert told["entropy"][0] < 0.8
        each = _Leader(SpartaStackelberg(leader_scope="per_model"), pool, dev(4))
        fought = each.duels(1, [100.0] * 3)
        for duel in fought:  # the first player's mark alone pays
            duel.mark(2, (3.5, 9.0) if duel.players[0] == 1 else (9.0, 3.5), [1.0] * 3)
        each.learn(1, fought, [1.0] * 4)
        logs = [bandit.logs.tolist() for bandit in each.bandits]
        assert len(logs) == 3 and logs[0] != logs[1]


def test_progress_is_the_change_of_the_pass_rate_since_the_last_draw() -> None:
    members = [member(n, "Answer: A") for n in "abc"]
    method = SpartaStackelberg(leader_reward="progress", num_instructions=2, num_duels=8)
    with Pool.open(members) as pool:
        leader = _Leader(method, pool, dev(2))
        fought = leader.duels(1, [100.0] * 3)
        for duel in fought:
            duel.texts = ("Answer: B", "Answer: B")
        assert leader._changes(fought) == [None] * 8
        for duel in fought:
            duel.texts = ("Answer: A", "Answer: B") if duel.query.id == "d0" else duel.texts
        expected = [(0.5, 0.5) if d.query.id == "d0" else (0.0, 0.0) for d in fought]
        assert leader._changes(fought) == expected


def test_marks_are_means_by_likelihood_or_read_from_words(monkeypatch: Any) -> None:
    asked = [(query(), "Answer: A"), (query("p"), "Answer: B")]
    replies = [speaker("digit", "7"), speaker("no", "Fine."), speaker("ten", "9/10, I think")]
    with Pool.open(replies) as pool:
        assert comparing.grade(pool[0], asked) == [8.0, 8.0]
        assert comparing.grade(pool[1], asked) == [None, None]
        assert comparing.grade(pool[2], asked) == [None, None]
    scores = tuple(math.log(p) for p in (0.5, *[1e-9] * 8, 0.5))
    with opened(MEMBERS[:1]) as pool:
        (found,) = comparing.grade(pool[0], asked[:1])
        assert found is not None and 1 <= found <= 10
        monkeypatch.setattr(Model, "choose", lambda *a, **k: [Choice(0, scores)])
        assert comparing.grade(pool[0], asked[:1]) == [5.5]
        huge = "word " * 200_000
        long = plain("long", huge, "choice", choices=("red", "green"))
        assert comparing.grade(pool[0], [(long, "x"), asked[0]]) == [None, 5.5]
        pair = comparing.Pair(long, "one", "two")
        assert comparing.compare(pool[0], [pair])[0].share is None


def test_rewards_by_judges_are_weighted_and_may_be_missing() -> None:
    replies = [speaker("good", "9"), speaker("bad", "0"), speaker("mute", "Hm.")]
    with Pool.open(replies) as pool:
        judges = {m.name: m for m in pool}
        reward = JudgeReward(judges, {"good": 3.0, "bad": 1.0, "mute": 5.0})
        lesson = lesson_of(Sample(query(), ("A",)))
        rows = [{**lesson, "judges": names} for names in (["good", "bad"], ["mute"], ["bad"])]
        assert reward.score(rows, ["x", "y", "z"]) == [0.75, None, 0.0]
        other = JudgeReward(judges, {"good": 1.0, "bad": 1.0, "mute": 1.0})
        assert reward.identity() != other.identity()


def test_what_does_not_go_together_is_said() -> None:
    with pytest.raises(ValidationError, match="needs judging: scores"):
        SpartaStackelberg(judging="pairs")
    SpartaStackelberg(judging="pairs", leader_reward="progress")
    SpartaStackelberg(judging="pairs", judge="gold")
    with pytest.raises(ValidationError, match="both 0"):
        SpartaStackelberg(difficulty_weight=0, preference_weight=0)
    with pytest.raises(ValidationError, match="score_type"):
        Sparta(score_type="dynamic")
    (note,) = SpartaStackelberg(num_iterations=1).problems({}, Sampling())
    assert note.note and "never chooses" in str(note)
    assert not SpartaStackelberg(num_iterations=2).problems({}, Sampling())


@pytest.mark.parametrize(
    ("training", "judge"), [("dpo", "members"), ("grpo", "members"), ("grpo", "gold")]
)
def test_followers_learn_and_a_second_fit_asks_nothing(
    training: Any, judge: Any, tmp_path: Path
) -> None:
    method = SpartaStackelberg(
        training=training, judge=judge, num_iterations=2, num_instructions=6, num_duels=4,
        learning_rate=1e-3, batch_size=4, num_generations=2,
    )  # fmt: skip
    with opened() as pool:
        kept = pool.with_(artifacts=tmp_path)
        state = method.fit(kept, dev())
        names = [(name, number) for name, number, _ in state["candidates"]]
        assert names[:3] == [(n, 0) for n in ("base", "words", "facts")]
        assert {number for _, number in names} == {0, 1, 2}
        assert all(0 < told["leader"]["entropy"][0] <= 1 for told in state["iterations"])
        calls = pool.context.engine.fresh_calls
        assert method.fit(kept, dev()) == state
        assert pool.context.engine.fresh_calls == calls


def test_a_member_whose_rollouts_are_all_alike_stays_and_all_alike_ends_it(tmp_path: Path) -> None:
    method = SpartaStackelberg(
        training="grpo", judge="gold", num_iterations=1, num_instructions=24, batch_size=1,
        num_generations=2, learning_rate=1e-3,
    )  # fmt: skip
    wrong = dev(30, right="Z")  # no answer is right
    with opened() as pool, pytest.raises(DataError, match="no member could be trained; base: in"):
        method.fit(pool.with_(artifacts=tmp_path), wrong)
