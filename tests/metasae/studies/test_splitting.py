"""Splits that are known, from their children to the verdict."""

from dataclasses import replace

import pandas as pd
import pytest

from metasae.errors import UserError
from metasae.progress import silent
from metasae.studies.splitting import Configuration, families, grouped, run, summary
from metasae.studies.study import Finding
from tests.builders import one_sentence
from tests.metasae.studies.planted import material_of

SMALL = ((0,), (1,), (2, 3))
LARGE = ((0, 4), (0, 5), (1,), (2, 3, 6), (2, 3, 7), (6, 7))
"""The first and third latent split in two, with cosines √½ and √⅔; the second stays."""


@pytest.fixture(scope="module")
def finding() -> Finding:
    return run(material_of(LARGE, SMALL, seeds=1), Configuration(), silent)


def test_what_children_keep_and_add_is_told(finding: Finding) -> None:
    table = finding.tables["children"].set_index("child")
    assert table["shared"].to_dict() == {0: [0], 1: [0], 3: [2, 3], 4: [2, 3]}
    assert table["added"].to_dict() == {0: [4], 1: [5], 3: [6], 4: [7]}
    assert finding.figures["added"] == 1.0


def test_a_split_into_parent_and_something_is_recovered_wholly(finding: Finding) -> None:
    explained, whole = finding.figures["explained"], finding.figures["whole"]
    assert explained["children"]["value"] == pytest.approx(1.0, abs=1e-5)
    assert whole["children"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    # The parents' activations are 1 and √½ twice, their children's √½ and √⅓ of each.
    kept = [0.5**0.5, (2 / 3) ** 0.5]
    assert finding.figures["kept"]["children"]["value"] == pytest.approx(sum(kept) / 2)
    assert explained["a random remainder"]["value"] < 0.999
    assert explained["more than a random remainder"]["value"] == pytest.approx(
        explained["children"]["value"] - explained["a random remainder"]["value"]
    )
    assert "100%" in finding.verdict and "4 children" in finding.verdict


def test_every_meta_sae_has_its_figures(finding: Finding) -> None:
    first, second = finding.figures["seeds"]
    assert first == second  # one and the same, and the controls are drawn alike
    assert first["whole"] == 1.0 and set(first) == {
        one + kind for one in ("kept", "whole", "explained") for kind in ("", "_random", "_other")
    }


def test_families_come_by_size_and_are_ranked_by_what_is_kept() -> None:
    made = families(
        pd.DataFrame(
            {
                "width": 2, "parent": [0, 0, 1, 1, 1], "child_width": 4, "child": range(5),
                "kept": [0.9, 0.7, 0.5, 0.5, 0.2], "whole": [1, 0, 0, 0, 0.0],
                "explained": [0.5, 0.3, 0.0, 0.0, -0.3],
            }
        )
    )  # fmt: skip
    assert made["parent"].tolist() == [1, 0] and made["children"].tolist() == [3, 2]
    assert made["kept"].tolist() == pytest.approx([0.4, 0.8])
    assert made["rank_by_kept"].tolist() == [2, 1]


def measured(**values: list[float]) -> pd.DataFrame:
    count = len(next(iter(values.values())))
    names = [one + kind for one in ("kept", "whole", "explained")
             for kind in ("", "_random", "_other")]  # fmt: skip
    table = pd.DataFrame({name: [0.5] * count for name in names})
    return table.assign(width=2, parent=[0, 0, 1, 1], cosine=[0.6, 0.6, 0.8, 0.8]).assign(**values)


def test_what_is_explained_counts_by_the_remainders_length() -> None:
    found = summary(measured(explained=[1.0, 1.0, 0.0, 0.0]), 0)
    # Remainders of 0.64 and 0.36, so 0.64 of all is explained; families are drawn whole.
    assert found["explained"]["children"]["value"] == pytest.approx(0.64)
    assert (found["explained"]["children"]["low"], found["explained"]["children"]["high"]) == (0, 1)
    assert found["explained"]["more than a random remainder"]["value"] == pytest.approx(0.14)


def test_what_is_not_known_does_not_count() -> None:
    nan = float("nan")
    table = measured(whole=[1.0, nan, nan, nan], whole_other=[nan] * 4)
    found = summary(table, 0)
    assert found["whole"]["children"]["value"] == 1.0
    assert found["whole"]["another family's remainder"] is None
    by = grouped(table, "parent")
    assert by["families"].tolist() == [1, 1] and by["children"].tolist() == [2, 2]
    assert by["whole"].tolist()[0] == 1.0 and pd.isna(by["whole"].tolist()[1])


def test_tables_by_parent_tell_by_its_number_of_meta_latents(finding: Finding) -> None:
    by = finding.tables["by_parent"].set_index("meta_latents")
    assert by["children"].to_dict() == {1: 2, 2: 2}
    assert finding.tables["by_width"]["children"].tolist() == [4]


def test_lineages_have_the_latents_that_do_not_split_too(finding: Finding) -> None:
    assert finding.tables["lineages"].groupby("root")["size"].first().to_dict() == {
        0: 3,
        1: 2,
        2: 3,
    }


def test_meta_latents_a_latent_are_counted_by_width(finding: Finding) -> None:
    assert finding.figures["meta_latents_a_latent"] == {
        "3": pytest.approx(4 / 3), "6": pytest.approx(13 / 6)
    }  # fmt: skip
    shares = finding.tables["shares"]
    assert shares.groupby("meta")["share"].sum().to_numpy() == pytest.approx(1.0)
    # Meta-latent 0 is all of one of three latents, and √½ of two of six.
    of_first = shares[(shares["meta"] == 0) & (shares["width"] == 3)]["share"].item()
    assert of_first == pytest.approx((1 / 3) / (1 / 3 + 2 * 0.5**0.5 / 6))
    # Meta-latent 4 is in latents of the larger SAE alone.
    assert shares[(shares["meta"] == 4) & (shares["width"] == 3)]["share"].item() == 0.0


def test_one_family_alone_has_no_other_to_compare_with() -> None:
    finding = run(material_of(LARGE[:3], SMALL[:2]), Configuration(), silent)
    assert finding.figures["explained"]["another family's remainder"] is None
    assert "unknown" in finding.verdict


def test_no_split_is_said() -> None:
    with pytest.raises(UserError) as raised:
        run(material_of(((4,), (5,), (6,)), ((0,), (1,))), Configuration(), silent)
    one_sentence(raised)


def test_one_width_alone_is_refused() -> None:
    with pytest.raises(UserError) as raised:
        run(material_of(LARGE), Configuration(), silent)
    one_sentence(raised)


def test_without_a_way_to_train_it_is_refused() -> None:
    with pytest.raises(UserError) as raised:
        run(replace(material_of(LARGE, SMALL), train_on_all=None), Configuration(), silent)
    one_sentence(raised)
