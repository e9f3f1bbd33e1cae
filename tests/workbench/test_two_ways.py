"""The table of answers that two things stand beside each other in."""

import json

import pandas as pd
from streamlit.testing.v1 import AppTest

TABLE = pd.DataFrame(
    {
        "attribute": ["country", "custom"],
        "answer": ["Japan", "France"],
        "city": ["Tokyo", "Paris"],
        "baseline": [-0.5, -4.0],
        "live": [-2.25, -0.004],
        "difference": [0.004, -1.5],
    }
)


def drawn(table: "pd.DataFrame") -> None:
    from workbench.steer.two_ways import two_ways

    headings = {
        "answer": "Answer", "live": "Live", "difference": "More", "attribute": "Attribute",
        "baseline": "Before",
    }  # fmt: skip
    two_ways(table, headings, "some")


def test_named_columns_are_drawn_in_order_as_words_nats_and_changes() -> None:
    app = AppTest.from_function(drawn, args=(TABLE,)).run()
    assert not app.exception
    (shown,) = app.dataframe
    assert {name: list(column) for name, column in shown.value.items()} == {
        "Answer": ["Japan", "France"], "Live": [-2.25, 0.0], "More": [0.0, -1.5],
        "Attribute": ["Country", "Your question"], "Before": [-0.5, -4.0],
    }  # fmt: skip
    assert list(shown.value) == ["Answer", "Live", "More", "Attribute", "Before"]
    config = json.loads(shown.proto.columns)
    formats = {name: one["type_config"]["format"] for name, one in config.items()
               if "type_config" in one}  # fmt: skip
    assert formats == {"Live": "%.2f", "Before": "%.2f", "More": "%+.2f"}
