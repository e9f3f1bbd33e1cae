"""The report's figures on numbers small enough to count by hand."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from metasae.lab.city_records import CityRecord, RankedLatent
from metasae.release.figures import ordered_pairs, sharing, swaps, well_known
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.decomposition import Decomposition
from metasae.saes.neighbours import nearest_cosine
from metasae.steering.edits import Edit, EditOptions, LatentSwap
from metasae.steering.questions import Answer, Question, Questions
from metasae.text.windows import Windows
from metasae.training.held_out import base_quality, held_out_batches
from tests.builders import city_record


def membership(*sets: tuple[int, ...]) -> Decomposition:
    """A decomposition in which latent i has exactly the i-th set of meta-latents."""
    width = 8
    rows = torch.zeros(len(sets), width)
    for latent, metas in enumerate(sets):
        rows[latent, list(metas)] = 1.0
    eye = torch.eye(width)
    nothing = torch.zeros(width)
    sae = SparseAutoencoder(rows.T.contiguous(), torch.zeros(len(sets)), rows, nothing, k=1)
    meta = SparseAutoencoder(eye, nothing, eye, nothing, threshold=torch.full((width,), 0.5))
    return Decomposition(sae, meta)


def test_nearest_cosine_by_hand() -> None:
    # At 0°, 10°, 40° and 180°, of different lengths: the nearest are 10°, 10°, 30° and 140° away.
    angles = torch.tensor([0.0, 10.0, 40.0, 180.0]).deg2rad()
    rows = torch.stack([angles.cos(), angles.sin()], dim=1) * torch.tensor([[1.0], [5], [2], [3]])
    # torch's median is the lower of the two in the middle.
    expected = math.cos(math.radians(30))
    assert nearest_cosine(rows) == pytest.approx(expected, abs=1e-6)
    assert nearest_cosine(rows, chunk=3) == pytest.approx(expected, abs=1e-6)
    assert nearest_cosine(rows[:2]) == pytest.approx(math.cos(math.radians(10)), abs=1e-6)


def test_sharing_counts_pairs_by_hand() -> None:
    decomposition = membership((0, 1), (0, 2), (1, 3), (3,), (4,))
    records = [
        city_record("a", "X", 0),
        city_record("b", "X", 1),
        city_record("c", "X", 2),
        city_record("d", "Y", 3),
        city_record("e", "Y", 4),
        city_record("nowhere", "Y"),  # without a latent: not counted
    ]
    found = sharing(decomposition, records)
    # X: a-b share 0, a-c share 1, b-c nothing; Y: d-e nothing: 2 of 4.
    assert found["same_country_share"] == pytest.approx(2 / 4)
    # Of the six pairs of two countries only c-d share (3).
    assert found["two_countries_share"] == pytest.approx(1 / 6)


def test_only_the_best_latent_of_a_city_counts() -> None:
    decomposition = membership((0,), (1,), (2,))
    records = [city_record("a", "X", 0, 2), city_record("b", "X", 1, 2)]
    assert sharing(decomposition, records)["same_country_share"] == 0.0
    unchosen = RankedLatent(2, 9.0, 0.9, 0.5, False)
    both = [
        CityRecord(**(vars(record) | {"latents": (unchosen, *record.latents)}))
        for record in records
    ]
    assert sharing(decomposition, both)["same_country_share"] == 0.0


def test_a_country_has_a_meta_latent_when_most_of_its_cities_and_few_others_do() -> None:
    # X: meta-latent 0 is on 2 of its 3 cities (0.67) and on no other.
    # Y: 1 is on all 3, but also on one of the 23 others (0.043): it still counts.
    # Z: 2 is on all 3, and on two of the 23 others (0.087): it does not.
    # W: no meta-latent on 60 % of its 3.
    # V: two cities only: not asked. The 12 others are of U, which has 5 on all of them.
    sets = [
        (0,), (0, 2), (7,),
        (1,), (1,), (1, 2),
        (2,), (2,), (2,),
        (3, 1), (3,), (4,),
        (6,), (6,),
        *[(5,)] * 12,
    ]  # fmt: skip
    countries = ["X"] * 3 + ["Y"] * 3 + ["Z"] * 3 + ["W"] * 3 + ["V"] * 2 + ["U"] * 12
    records = [city_record(str(n), country, n) for n, country in enumerate(countries)]
    found = sharing(membership(*sets), records)
    assert found["countries"] == 5
    assert found["countries_with_meta_latent"] == 4
    assert found["countries_without"] == ["Z"]


def test_sharing_of_no_cities_is_zero() -> None:
    found = sharing(membership((0,)), [])
    assert found["same_country_share"] == 0 and found["countries"] == 0


def swapped(source: str, target: str, *rows: tuple[str, str, float]) -> Any:
    """An experiment whose swap gives (attribute, whose, log-probability); nothing at the name."""
    asked = {attribute: [row for row in rows if row[0] == attribute] for attribute, *_ in rows}
    questions = Questions(
        tuple(
            Question(name, "", tuple(Answer(tuple(city.split(", ")), "") for _, city, _ in group))
            for name, group in asked.items()
        )
    )

    def apply(edit: Edit) -> SimpleNamespace:
        assert edit in (LatentSwap(), LatentSwap(options=EditOptions(position="all")))
        scores = torch.tensor([nats for group in asked.values() for *_, nats in group])
        if edit.options.position == "last":
            scores = torch.where(questions.belonging_to(source), 0.0, scores)
        return SimpleNamespace(
            source=SimpleNamespace(label=source),
            target=SimpleNamespace(label=target),
            questions=questions,
            logprobs=scores,
        )

    return SimpleNamespace(apply=apply)


def test_swaps_count_the_attributes_that_differ_and_those_that_moved() -> None:
    experiments = [
        swapped(
            "Rome",
            "Tokyo",
            ("country", "Rome", -3.0),
            ("country", "Tokyo", -1.0),  # moved
            ("language", "Rome", -1.0),
            ("language", "Tokyo", -1.5),  # stayed
            ("language", "Cairo", -9.0),
            ("continent", "Rome", -4.0),
            ("continent", "Tokyo", -3.0),
            ("continent", "Cairo", -2.0),  # moved, though a third city's is first of all
        ),
        swapped(
            "Rome",
            "Paris",
            ("country", "Rome", -3.0),
            ("country", "Paris, Nice", -1.0),  # moved, under a shared label
            ("currency", "Rome, Paris", -1.0),  # the same answer: nothing to move
            ("currency", "Cairo", -0.5),
        ),
    ]
    told: list[float] = []
    found = swaps(iter(experiments), 2, lambda stage, fraction, note: told.append(fraction))
    assert found == {
        "pairs": 2,
        "attributes_that_differ": 4,
        "moved": 3,
        "moved_of_4": pytest.approx(3.0),
        "first_of_all": 2,
        "first_of_all_of_4": pytest.approx(2.0),
        "at_name": {
            "moved": 0, "moved_of_4": 0.0, "first_of_all": 0, "first_of_all_of_4": 0.0,
        },
    }  # fmt: skip
    assert told == [0.5, 1.0]


def test_swaps_take_the_name_whole() -> None:
    # "York" is no part of "New York".
    experiment = swapped("Rome", "York", ("country", "Rome", -3.0), ("country", "New York", -1.0))
    assert swaps([experiment], 1)["moved"] == 0


def windows(lengths: list[int], documents: list[int], held_out: tuple[bool, ...]) -> Windows:
    tokens = torch.zeros(len(lengths), 96, dtype=torch.int32)
    for row, length in enumerate(lengths):
        tokens[row, :length] = row + 1
    return Windows(
        tokens=tokens,
        lengths=torch.tensor(lengths),
        document=torch.tensor(documents),
        city=torch.full((len(lengths),), -1),
        city_at=torch.zeros(len(lengths), dtype=torch.int64),
        sources=("text",) * len(held_out),
        held_out=held_out,
    )


def test_held_out_batches_hold_no_training_text_and_no_scraps() -> None:
    lengths = [30, 9, 8, 50, 20, 96]
    text = windows(lengths, [0, 1, 1, 2, 3, 3], (False, True, False, True))
    batches = held_out_batches(text)
    # Windows 1 (9 tokens), 4 and 5 are of held-out documents and longer than 8, shortest first.
    assert len(batches) == 1
    tokens, kept = batches[0]
    assert kept.tolist() == [9, 20, 96]
    assert tokens.shape == (3, 96) and tokens.dtype == torch.int64
    assert tokens[:, 0].tolist() == [2, 5, 6]
    assert tokens[0].count_nonzero() == 9


def test_held_out_batches_are_spread_over_the_text_and_cut_to_their_longest() -> None:
    lengths = [10 + n % 50 for n in range(200)]
    text = windows(lengths, list(range(200)), (True,) * 200)
    batches = held_out_batches(text, 40)
    rows = torch.cat([tokens[:, 0] for tokens, _ in batches]) - 1
    assert len(rows) == len(set(rows.tolist())) == 40
    assert rows.min() == 0 and rows.max() == 199
    assert rows.sort().values.diff().max() <= 6
    for tokens, kept in batches:
        assert tokens.shape[1] == kept.max()
    together = torch.cat([kept for _, kept in batches])
    assert together.tolist() == sorted(together.tolist())


class TokenModel:
    """A model whose residual stream is a vector of the token and whose logits are linear in it."""

    def __init__(self, width: int, vocabulary: int) -> None:
        self.table = torch.randn(vocabulary, width)
        self.table[10] = 500.0  # a massive activation
        self.out = torch.randn(width, vocabulary)

    def residual(self, tokens: Tensor) -> Tensor:
        return self.table[tokens]

    def logits_above(self, resid: Tensor) -> Tensor:
        return resid @ self.out


def linear_sae(W: Tensor, b_dec: Tensor) -> SparseAutoencoder:
    """An SAE that gives (x − b_dec) W + b_dec: every latent once for either sign."""
    eye = torch.eye(len(W))
    return SparseAutoencoder(
        W_enc=torch.cat([eye, -eye], dim=1),
        b_enc=torch.zeros(2 * len(W)),
        W_dec=torch.cat([W, -W]),
        b_dec=b_dec,
        k=len(W),
    )


def test_base_quality_of_an_exact_an_empty_and_a_halving_sae() -> None:
    model: Any = TokenModel(5, 11)
    draw = torch.Generator().manual_seed(2)
    tokens = torch.randint(1, 10, (6, 12), generator=draw)
    tokens[:, 0] = 0
    tokens[2, 4] = 10
    lengths = torch.tensor([12, 12, 10, 9, 9, 12])
    inside = torch.arange(12)[None] < lengths[:, None]
    scored = inside.clone()
    scored[:, 0] = False
    scored &= tokens != 10
    x = model.table[tokens][scored]
    mean = x.mean(0)
    saes = {
        3: linear_sae(torch.eye(5), mean),
        1: linear_sae(torch.zeros(5, 5) + 1e-30, mean),
        2: linear_sae(0.5 * torch.eye(5), mean),
    }
    empty, half, exact = base_quality(
        model, saes, [(tokens[:3], lengths[:3]), (tokens[3:], lengths[3:])], mean, 2.0
    )
    assert (empty["width"], half["width"], exact["width"]) == (1, 2, 3)
    assert (exact["fve"], exact["ce_recovered"]) == pytest.approx((1.0, 1.0), abs=1e-5)
    assert (empty["fve"], empty["ce_recovered"]) == pytest.approx((0.0, 0.0), abs=1e-5)
    # What is left is half of x − mean, so a quarter of its square.
    assert half["fve"] == pytest.approx(0.75, abs=1e-5)
    assert half["l0"] == pytest.approx(5.0)
    assert exact["tokens"] == int((lengths - 1).sum())

    def nats(replaced: Tensor) -> float:
        """By hand: the mean over every token that has a predecessor in its window."""
        total, count = 0.0, 0
        for row in range(6):
            for at in range(1, int(lengths[row])):
                logits = replaced[row, at - 1] @ model.out
                total -= float(logits.log_softmax(-1)[tokens[row, at]])
                count += 1
        return total / count

    resid = model.table[tokens]
    halved = torch.where(scored[..., None], mean + 0.5 * (resid - mean), resid)
    averaged = torch.where(scored[..., None], mean, resid)
    assert exact["ce_clean"] == pytest.approx(nats(resid), rel=1e-5)
    assert half["ce_spliced"] == pytest.approx(nats(halved), rel=1e-5)
    assert half["ce_ablated"] == pytest.approx(nats(averaged), rel=1e-5)
    share = (nats(averaged) - nats(halved)) / (nats(averaged) - nats(resid))
    assert half["ce_recovered"] == pytest.approx(share, rel=1e-4)


def test_well_known_cities_are_known_in_all_and_have_a_latent() -> None:
    def record(name: str, known: bool, *latents: int) -> CityRecord:
        plain = vars(city_record(name, "X", *latents))
        return CityRecord(**(plain | {"known": {"country": True, "currency": known}}))

    records = [record("a", True, 1), record("b", False, 1), record("c", True), record("d", True, 2)]
    assert [one.name for one in well_known(records)] == ["a", "d"]
    assert [one.name for one in well_known(records, 1)] == ["a"]
    many = [record(f"{n:02}", True, 1) for n in range(41)]
    spread = [int(one.name) for one in well_known(many, 5)]
    assert spread == [0, 10, 20, 30, 40]


def test_ordered_pairs() -> None:
    found = ordered_pairs(["a", "b", "c"])
    assert len(found) == 6 and ("b", "a") in found and ("a", "a") not in found
