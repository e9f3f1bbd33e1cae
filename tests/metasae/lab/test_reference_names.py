"""Reference names: by hand, and by brute force over a dense table."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metasae.lab.reference_names import FLOOR, ReferenceNames
from metasae.text.names import same_name

NAMES = ["Tokyo", "Albert Einstein", "mouse", "nothing"]
TABLE = torch.tensor(
    [
        [8.0, 0.0, 2.0],
        [0.0, 4.0, 1.0],
        [0.0, 0.0, 1.0],
        [0.0, 0.0, 0.0],
    ]
)
REFERENCE = ReferenceNames.of(NAMES, TABLE)


def test_only_what_is_active_is_kept() -> None:
    assert REFERENCE.table.to_dict("list") == {
        "name": ["Tokyo", "Tokyo", "Albert Einstein", "Albert Einstein", "mouse"],
        "latent": [0, 2, 1, 2, 2],
        "activation": [8.0, 2.0, 4.0, 1.0, 1.0],
    }
    for row, name in enumerate(NAMES):
        assert torch.equal(REFERENCE.activations(name), TABLE[row])


def test_a_share_is_over_the_name_and_all_that_are_others() -> None:
    typed = torch.tensor([0.0, 4.0, 4.0])
    torch.testing.assert_close(REFERENCE.share("hamster", typed), torch.tensor([0.0, 0.5, 0.5]))
    # Einstein is Albert Einstein, and no rival of his.
    torch.testing.assert_close(REFERENCE.share("einstein", typed), torch.tensor([0.0, 1.0, 4 / 7]))
    # A reference name's own row is counted once.
    torch.testing.assert_close(REFERENCE.share("Tokyo", TABLE[0]), torch.tensor([1.0, 0.0, 0.5]))


def test_the_floor_is_a_share_of_the_usual_strongest() -> None:
    # Strongest: 8, 4 and 1; on "nothing" none is.
    assert REFERENCE.floor == FLOOR * 4.0
    assert ReferenceNames.of(["a"], torch.zeros(1, 3)).floor == 0.0


def test_the_largest_activation_of_a_latent() -> None:
    assert REFERENCE.largest == {0: 8.0, 1: 4.0, 2: 2.0}


def test_the_names_a_latent_is_most_active_on() -> None:
    assert REFERENCE.most_active(2, "hamster") == [
        ("Tokyo", 2.0), ("Albert Einstein", 1.0), ("mouse", 1.0),
    ]  # fmt: skip
    assert REFERENCE.most_active(2, "Einstein") == [("Tokyo", 2.0), ("mouse", 1.0)]
    assert REFERENCE.most_active(0, "Tokyo") == []


def test_a_table_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "names.parquet"
    path.parent.mkdir()
    REFERENCE.save(path)
    read = ReferenceNames.load(path, 3)
    assert read.table.equals(REFERENCE.table) and read.width == 3
    with pytest.raises(ValueError, match="another SAE"):
        ReferenceNames.load(path, 2)
    REFERENCE.table.drop(columns="latent").to_parquet(path)
    with pytest.raises(KeyError):
        ReferenceNames.load(path, 3)


ROWS = st.lists(st.lists(st.floats(0, 100, width=16), min_size=3, max_size=3), min_size=4,
                max_size=4)  # fmt: skip


@given(ROWS, st.lists(st.floats(0, 100, width=16), min_size=3, max_size=3),
       st.sampled_from([*NAMES, "hamster", "Einstein", "mouse!"]))  # fmt: skip
def test_shares_are_what_a_dense_table_says(
    rows: list[list[float]], typed: list[float], name: str
) -> None:
    table, mine = torch.tensor(rows), torch.tensor(typed)
    others = sum(
        (row for one, row in zip(NAMES, table, strict=True) if not same_name(one, name)),
        torch.zeros(3),
    )
    share = ReferenceNames.of(NAMES, table).share(name, mine)
    for found, own, other in zip(share.tolist(), typed, others.tolist(), strict=True):
        assert found == pytest.approx(own / (own + other) if own else 0.0, rel=1e-4)
