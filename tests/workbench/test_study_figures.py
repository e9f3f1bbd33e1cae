"""Figures as they are read: intervals and controls beside what they belong to."""

from workbench.studies.figures import between, lists, numbers, readable, said


def test_a_figure_has_its_interval_and_control_beside_it() -> None:
    table = numbers(
        {
            "kept": {"value": 0.5, "low": 0.25, "high": 0.75},
            "kept_random": {"value": 0.125, "low": 0.1, "high": 0.2},
            "fve_centred": 0.5,
            "low": 0.4,
            "high": 0.6,
            "control_fve_centred": 0.25,
            "children": 12345,
        }
    )
    assert table.to_dict("records") == [
        {"Figure": "kept", "Value": "0.500", "95 % interval": "0.250 to 0.750", "Control": "0.125"},
        {"Figure": "variance explained centred", "Value": "0.500",
         "95 % interval": "0.400 to 0.600", "Control": "0.250"},
        {"Figure": "children", "Value": "12,345", "95 % interval": "", "Control": ""},
    ]  # fmt: skip


def test_columns_without_anything_are_left_out() -> None:
    assert list(numbers({"threshold": 0.7})) == ["Figure", "Value"]
    assert len(numbers({})) == 0


def test_a_list_of_one_stands_among_the_numbers_and_longer_ones_are_tables() -> None:
    row = {"seed": 0, "share": 0.3, "low": 0.2, "high": 0.4, "random_share": 0.0}
    alone = numbers({"graphs": [row]})
    share = alone[alone["Figure"] == "share"].drop(columns="Figure").to_numpy().tolist()
    assert share == [["0.300", "0.200 to 0.400", "0.00"]]
    assert lists({"graphs": [row]}) == {}
    table = lists({"between_seeds": [row, row | {"seed": 1}]})["between seeds"]
    assert table.to_dict("records")[1] == {
        "seed": "1", "share": "0.300", "share, 95 %": "0.200 to 0.400", "share, control": "0.00",
    }  # fmt: skip
    assert len(numbers({"between_seeds": [row, row]})) == 0


def test_what_is_nested_deeper_is_left_to_the_file() -> None:
    deep = {"saebench": {"eval_config": {"k": 4}}, "flat": {"576": 1.5, "1152": 2.0}, "none": []}
    assert numbers(deep).to_dict("records") == [
        {"Figure": "flat: 576", "Value": "1.50"},
        {"Figure": "flat: 1152", "Value": "2.00"},
    ]


def test_values_as_they_are_read() -> None:
    told = [said(one) for one in (True, 1234, 0.12345, 12345.6, None, "x", -0.5)]
    assert told == ["yes", "1,234", "0.123", "12,346", "", "x", "-0.500"]
    assert between(None) == "" and between((0.1, None)) == "0.100 to "
    assert readable("l0_phi") == "L0 φ"
