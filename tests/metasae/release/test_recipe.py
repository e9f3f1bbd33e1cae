"""The recipe of what ships is the one its report states."""

import json
from dataclasses import replace

from metasae.release.recipe import SHIPPED
from metasae.sources.presets import EMBEDDED


def test_the_shipped_recipe_is_the_shipped_reports() -> None:
    assert EMBEDDED.weights is not None
    report = json.loads((EMBEDDED.weights / "report.json").read_text())["recipe"]
    recipe = json.loads(json.dumps(SHIPPED.to_dict(EMBEDDED)))
    assert list(recipe) == list(report)
    for name, told in report.items():
        if isinstance(told, dict):  # said before a configuration could say more
            assert told.items() <= recipe[name].items(), name
        else:
            assert told == recipe[name], name


def test_widths_are_the_presets_and_smaller_saes_train_for_fewer_steps() -> None:
    assert SHIPPED.of_sae(EMBEDDED, 18432).steps == 3000
    for width in EMBEDDED.widths[:-1]:
        config = SHIPPED.of_sae(EMBEDDED, width)
        assert config == replace(SHIPPED.base, width=width, steps=1200)
    small = replace(EMBEDDED, widths=(8, 16), meta_width=3)
    assert (SHIPPED.of_sae(small, 16).width, SHIPPED.of_sae(small, 16).steps) == (16, 3000)
    assert SHIPPED.of_follow(small).width == 16 and SHIPPED.of_meta(small).width == 3
    assert SHIPPED.to_dict(small)["base"]["width"] == 16
