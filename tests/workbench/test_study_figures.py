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
        {"Figure": "variance explained, centred", "Value": "50.0%",
         "95 % interval": "40.0% to 60.0%", "Control": "25.0%"},
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
        "start": "1", "share": "0.300", "share, 95 %": "0.200 to 0.400", "share, control": "0.00",
    }  # fmt: skip
    assert len(numbers({"between_seeds": [row, row]})) == 0


def test_what_is_nested_deeper_is_left_to_the_file() -> None:
    deep = {"saebench": {"eval_config": {"k": 4}}, "flat": {"576": 1.5, "1152": 2.0}, "none": []}
    assert numbers(deep).to_dict("records") == [
        {"Figure": "flat: 576", "Value": "1.50"},
        {"Figure": "flat: 1,152", "Value": "2.00"},
    ]


def test_values_as_they_are_read() -> None:
    told = [said(one) for one in (True, 1234, 0.12345, 12345.6, None, "x", -0.5)]
    assert told == ["yes", "1,234", "0.123", "12,346", "", "x", "-0.500"]
    assert between(None) == "" and between((0.1, None)) == "0.100 to "
    assert readable("l0_phi") == "L0 φ"
    assert readable("meta-latents-by-width") == "meta-latents by width"


def test_a_study_says_what_its_figures_are_called_and_which_are_shares() -> None:
    words = {
        "control": "random rows", "novel": "novel %", "kept": "kept by children %",
        "often.latents": "latents that fire often", "way": "step by step",
        "way.tokens": "tokens changed %",
    }  # fmt: skip
    row = {
        "meta": 2088,
        "nats": 3.0,
        "nats_low": 2.5,
        "nats_high": 3.5,
        "novel": 0.004,
        "tokens": 0.5,
    }
    figures = {
        "novel": {"value": 0.25, "low": 0.125, "high": 0.5}, "novel_random": 0.0,
        "often": {"latents": 1545, "novel": 0.5},
        "kept": {"a random remainder": 1}, "way": [row, row],
    }  # fmt: skip
    table = numbers(figures, words)
    assert list(table) == ["Figure", "Value", "95 % interval", "Control: random rows"]
    assert table.to_numpy().tolist() == [
        ["novel", "25.0%", "12.5% to 50.0%", "0.0%"],
        ["latents that fire often", "1,545", "", ""],
        ["often: novel", "50.0%", "", ""],
        ["kept by children: a random remainder", "100.0%", "", ""],
    ]
    assert lists(figures, words)["step by step"].to_dict("records")[0] == {
        "meta-latent": "2088", "cross-entropy, nats a token": "3.00",
        "cross-entropy, nats a token, 95 %": "2.50 to 3.50", "novel": "0.40%",
        "tokens changed": "50.0%",
    }  # fmt: skip


def test_what_is_not_known_is_left_empty() -> None:
    nothing = float("nan")
    table = numbers({"fve": 0.5, "low": nothing, "high": nothing, "fve_centred": nothing})
    assert table.to_dict("records") == [
        {"Figure": "variance explained", "Value": "50.0%"},
        {"Figure": "variance explained, centred", "Value": ""},
    ]


def test_small_figures_are_read_without_powers_of_ten() -> None:
    told = [said(one) for one in (0.00123456, -0.0000123, 0.0)]
    assert told == ["0.00123", "-0.000012", "0.00"]
