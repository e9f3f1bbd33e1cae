"""The command line: one JSON object or one sentence, and the same numbers as the library."""

import dataclasses
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from metasae import cli
from metasae.cli.steering import Steered
from metasae.errors import UserError
from metasae.explorer.graph import READABLE
from metasae.lab.lab import Lab
from metasae.lab.stored_report import stored_report
from metasae.saes import formats
from metasae.search.side_effects import SideEffectProbe
from metasae.search.spec import Spec
from metasae.sources.cache import CACHE_VARIABLE
from metasae.sources.files import sha256
from metasae.sources.presets import EMBEDDED
from metasae.steering.certainty import certainties
from metasae.steering.edits import NO_EDIT, Edit, EditOptions, LatentSwap, MetaLatentEdit
from metasae.steering.frozen import with_frozen_attention
from metasae.steering.questions import Answer, Question
from metasae.text.cities import ATTRIBUTES
from metasae.text.prompts import WORDINGS
from tests.builders import one_sentence, random_sae
from tests.command_line import parsed, refused, run

ROOT = Path(__file__).parents[3]


PAIR = ("steer", "--source", "Tokyo", "--target", "Paris")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([*PAIR, "--prompt", "Tokyo is"], "--prompt and --answers together"),
        ([*PAIR, "--answers", "Japan"], "--prompt and --answers together"),
        ([*PAIR, "--remove", "one"], "write numbers like 1,2"),
        ([*PAIR, "--strength", "1"], "write it like 12=0.5"),
        ([*PAIR, "--strength", "a=1"], "write it like 12=0.5"),
        ([*PAIR, "--strength", "1=3"], "from −2 to 2"),
        ([*PAIR, "--strength", "1=nan"], "from −2 to 2"),
        ([*PAIR, "--generate", "0"], "--generate"),
        ([*PAIR, "--generate", "-5"], "--generate"),
        (["info", "--preset", "gpt-9"], 'no preset "gpt-9"; choose one of: smollm2-135m'),
        (["info", "--preset", "smollm2-135m+../up"], "no preset"),
    ],
)
def test_bad_words_are_refused_before_anything_is_opened(
    closed: None, capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    assert text in refused(capsys, words)


@pytest.mark.parametrize(
    "words",
    [[], ["fly"], ["city"], ["info", "--preset"], [*PAIR, "--generate", "x"]],
    ids=" ".join,
)
def test_words_the_parser_does_not_know_end_with_2(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        cli.main(words)
    assert raised.value.code == 2
    assert capsys.readouterr().out == ""


def test_a_keyboard_interrupt_ends_quietly(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("metasae.lab.lab.open_lab", stop)
    assert cli.main(["cities"]) == 130
    assert "run the same command again" in capsys.readouterr().err


def test_the_stored_report_is_of_the_weights_that_are_there(tmp_path: Path) -> None:
    preset = replace(EMBEDDED, weights=tmp_path)
    with pytest.raises(UserError, match=r"report.json is missing or damaged"):
        stored_report(preset)
    formats.save(random_sae(4, 8, k=2), tmp_path / "sae-8")
    weights = tmp_path / "sae-8" / formats.WEIGHTS
    report = {"weights_sha256": {f"sae-8/{formats.WEIGHTS}": sha256(weights)}}
    (tmp_path / "report.json").write_text(json.dumps(report))
    assert stored_report(preset) == report
    formats.save(random_sae(4, 8, k=2, seed=1), tmp_path / "sae-8")
    with pytest.raises(UserError) as raised:
        stored_report(preset)
    assert "not the file the report was measured on" in one_sentence(raised)
    weights.unlink()
    with pytest.raises(UserError, match="not the file the report was measured on"):
        stored_report(preset)
    for text in ("", "{}", "[]", '{"weights_sha256": 3}'):
        (tmp_path / "report.json").write_text(text)
        with pytest.raises(UserError, match="missing or damaged"):
            stored_report(preset)


# With the real default.


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    values = run(capsys, "info")
    assert (values["preset"], values["model"], values["hook"]) == (
        "smollm2-135m", "SmolLM2-135M-Instruct", "blocks.20.hook_resid_pre",
    )  # fmt: skip
    assert [one["width"] for one in values["saes"]] == list(EMBEDDED.widths)
    for one in values["saes"]:
        assert 0 < one["l0"] <= 600 and 0 < one["fve"] < 1 and 0 < one["ce_recovered"] < 1
    meta = values["meta_sae"]
    assert meta["width"] == EMBEDDED.meta_width
    assert {"l0", "fve", "fve_centred", "dead", "fve_control"} <= set(meta)
    assert {"total", "with_latent", "known_facts"} <= set(values["cities"])
    assert cli.main(["info"]) == 0
    assert "SmolLM2-135M-Instruct" in capsys.readouterr().out


def check_latents(latents: list[dict[str, Any]], lab: Lab) -> None:
    for one in latents:
        assert {"id", "selectivity", "effect", "meta_latents"} <= set(one)
        expected = lab.decomposition.pieces(one["id"])
        found = {meta["id"]: meta["activation"] for meta in one["meta_latents"]}
        assert found == pytest.approx(expected)


def test_city(opened: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    values = run(capsys, "city", "tokyo")
    assert values["name"] == "Tokyo" and set(values["known"]) == set(ATTRIBUTES)
    ranked = opened.city_record("Tokyo").latents
    assert [one["id"] for one in values["latents"]] == [one.latent for one in ranked]
    assert [one["effect"] for one in values["latents"]] == [one.effect for one in ranked]
    check_latents(values["latents"], opened)
    assert cli.main(["city", "Tokyo"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Tokyo: Japan") and f"latent {ranked[0].latent}:" in said


NAMES = ("Ulm", "Einstein", "hamster")


@pytest.mark.parametrize("name", NAMES)
def test_any_name_has_its_latents_listed(
    opened: Lab, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    values = run(capsys, "city", name)
    record = opened.names.record(name)
    assert values["name"] == name and values["known"] == {}
    assert [one["id"] for one in values["latents"]] == [one.latent for one in record.latents]
    assert {one["effect"] for one in values["latents"]} == {None}
    said = list(filter(None, (opened.names.sharing(record), opened.names.meant(record))))
    assert values["remarks"] == said
    assert cli.main(["city", name]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{name}: no facts are known" and lines[1 : 1 + len(said)] == said
    assert "effect" not in lines[1 + len(said)]
    told = run(capsys, "latents", "--text", name)["as_name"]
    assert told == values
    assert cli.main(["latents", "--text", name]) == 0
    assert "As a name, in neutral contexts:" in capsys.readouterr().out


def test_a_latent_is_taken_apart_as_on_its_page(
    opened: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    tokyo = opened.city_record("Tokyo").latents[0].latent
    values = run(capsys, "decompose", str(tokyo))
    pieces = opened.decomposition.pieces(tokyo)
    assert {one["id"]: one["activation"] for one in values["meta_latents"]} == pieces
    assert values["label"] == "Tokyo" and 0.5 < values["f1"] <= 1 and values["told"] is not None
    assert all(set(one) >= {"label", "f1", "told"} for one in values["meta_latents"])
    left = opened.decomposition.sae.W_dec[tokyo] - opened.decomposition.rebuilt(tokyo, {})
    direction = opened.decomposition.sae.W_dec[tokyo]
    assert values["unexplained"] == pytest.approx(float(left.norm() ** 2 / direction.norm() ** 2))
    assert run(capsys, "decompose", "5", "--width", "576")["width"] == 576


def test_latents_are_found_by_text(opened: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    tokyo = opened.city_record("Tokyo").latents[0].latent
    said = json.dumps(run(capsys, "latents", "--text", "She flew to Tokyo"))
    assert f'"latent": {tokyo}' in said


@pytest.mark.parametrize("typed", ["日本、東京", "“quotes”", "a–b", "🙂", "("])
def test_latents_takes_any_text(
    opened: Lab, capsys: pytest.CaptureFixture[str], typed: str
) -> None:
    assert run(capsys, "latents", f"--text={typed}", "--width", "576")["text"] == typed


def test_a_graph_is_written_in_every_format(
    opened: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for fmt, begin in (("graphml", "<?xml"), ("json", "{"), ("svg", "<svg")):
        out = tmp_path / f"graph.{fmt}"
        assert cli.main(["graph", "229", "179", "--format", fmt, "--out", str(out)]) == 0
        assert "nodes and" in capsys.readouterr().out and out.read_text().startswith(begin)
        # The ending says the same, and what is printed changes nothing of what is written.
        other = tmp_path / f"other.{fmt}"
        values = run(capsys, "graph", "229", "179", "--out", str(other))
        assert other.read_bytes() == out.read_bytes()
        assert values == {"out": str(other), "nodes": values["nodes"], "edges": values["edges"]}
    inside = run(capsys, "graph", "229", "179", "--format", "svg")
    written = parsed((tmp_path / "graph.json").read_text("utf-8"))
    assert inside == written and len(inside["nodes"]) == values["nodes"]
    assert len(inside["edges"]) == values["edges"]
    values = run(capsys, "graph", "--whole", "--threshold", "0.3")
    assert values["latents"] == opened.n_latents and values["edges"] > 0
    out = tmp_path / "whole.json"
    told = run(capsys, "graph", "--whole", "--threshold", "0.3", "--out", str(out))
    assert parsed(out.read_text("utf-8")) == values
    assert told == {"out": str(out), "nodes": values["latents"], "edges": values["edges"]}


def test_a_graphs_picture_shows_what_can_be_read_and_its_data_all(
    opened: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    nodes = {}
    for fmt in ("svg", "json", "graphml"):
        out = tmp_path / f"graph.{fmt}"
        assert (
            cli.main(["graph", "229", "179", "--depth", "2", "--top", "12", "--out", str(out)]) == 0
        )
        told = capsys.readouterr()
        nodes[fmt] = int(told.out.split(" nodes")[0].replace(",", ""))
        assert (f"The picture shows the {READABLE} nodes" in told.err) is (fmt == "svg")
    assert nodes["svg"] == READABLE < nodes["json"] == nodes["graphml"]
    assert len(parsed((tmp_path / "graph.json").read_text("utf-8"))["nodes"]) == nodes["json"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["5", "--out", "{}/graph.png"], "or give --format"),
        (["5", "--out", "{}/graph"], "or give --format"),
        (["--whole", "--out", "{}/graph.svg"], "as JSON only"),
        (["--whole", "--format", "graphml"], "as JSON only"),
    ],
)
def test_a_graph_in_no_format_is_refused_before_anything_is_opened(
    closed: None, capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], text: str
) -> None:
    assert text in refused(capsys, ["graph", *(word.format(tmp_path) for word in words)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["decompose", "18432"], "There is no latent 18432"),
        (["decompose", "5", "--width", "7"], "There is no SAE of 7 latents"),
        (["latents", "--text", "  "], "Type a number, a word, or a text"),
        (["graph"], "at least one latent"),
        (["graph", "99999"], "There is no latent 99999"),
        (["graph", "9" * 5000], "There is no latent 999999999999999999"),
        (["graph", "1.5"], "is no latent"),
        (["graph", " "], "is no latent"),
        (["city", " "], "There is no name"),
        (["graph", "5", "--depth", "0"], "goes 1 to 8 steps"),
        (["describe", "--labels-only", "--endpoint", "ftp://x", "--width", "576"], "is no address"),
    ],
)
def test_what_the_explorer_cannot_show_is_said_in_a_line(
    opened: Lab, capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    capsys.readouterr()
    assert cli.main(words) == 1
    said = capsys.readouterr()
    last = said.err.strip().splitlines()[-1]
    assert said.out == "" and last.startswith("metasae: ") and text in last


def test_cities(opened: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    values = run(capsys, "cities")
    assert [one["name"] for one in values["cities"]] == list(opened.records)
    for one in values["cities"]:
        assert {"name", "country", "continent", "language", "currency", "known"} <= set(one)
    check_latents(values["cities"][0]["latents"], opened)
    assert cli.main(["cities"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(opened.records)


def numbers(values: Any) -> list[float]:
    return [one["logprob"] for entry in values["attributes"] for one in entry["answers"]]


def test_steer_has_the_promised_keys(opened: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    values = run(capsys, *PAIR)
    assert [entry["attribute"] for entry in values["attributes"]] == list(ATTRIBUTES)
    for entry in values["attributes"]:
        assert {"attribute", "prompt", "answers", "moved"} <= set(entry)
        assert entry["moved"] is False
        for one in entry["answers"]:
            assert {"city", "answer", "logprob", "baseline"} <= set(one)
            assert one["logprob"] == one["baseline"] < 0


def test_steer_says_what_the_library_says(opened: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    experiment = opened.experiment(opened.subject("Tokyo"), opened.subject("Paris"))
    mine = [piece.meta for piece in experiment.pieces if piece.side == "source"]
    theirs = [piece.meta for piece in experiment.pieces if piece.side == "target"]
    remove, add = ",".join(map(str, mine)), str(theirs[0])
    removed, added = tuple((meta, 0.0) for meta in mine), ((theirs[0], 1.0),)
    for words, edit in (
        (["--swap"], LatentSwap()),
        (
            ["--swap", "--position", "all", "--drop-error"],
            LatentSwap(options=EditOptions(keep_residual=False, keep_error=False, position="all")),
        ),
        (["--remove", remove], MetaLatentEdit(removed)),
        (["--remove", f" {remove} ", "--add", add], MetaLatentEdit(removed + added)),
        (
            ["--remove", remove, "--add", add, "--keep-residual", "--drop-error"],
            MetaLatentEdit(
                removed + added, options=EditOptions(keep_residual=True, keep_error=False)
            ),
        ),
        (
            ["--remove", remove, "--strength", f"{mine[0]}=-0.5", "--strength", f"{add}=2"],
            MetaLatentEdit(((mine[0], -0.5), *removed[1:], (theirs[0], 2.0))),
        ),
    ):
        values = run(capsys, *PAIR, *words)
        outcome = experiment.apply(edit)
        assert Edit.from_dict(values["edit"]) == edit
        assert numbers(values) == pytest.approx(outcome.logprobs.tolist(), abs=1e-5)
        assert {e["attribute"]: e["moved"] for e in values["attributes"]} == outcome.moved
        assert values["sentence"] == outcome.sentence
    assert cli.main([*PAIR, "--swap"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == experiment.apply(LatentSwap()).sentence


@pytest.mark.long
def test_steer_everywhere_says_what_else_it_changes(
    opened: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = opened.experiment(opened.subject("Tokyo"), opened.subject("Paris"))
    mine = next(piece.meta for piece in experiment.pieces if piece.side == "source")
    edit = MetaLatentEdit(
        ((mine, 0.0),), options=EditOptions("everywhere", keep_residual=True, position="all")
    )
    values = run(capsys, *PAIR, "--everywhere", "--remove", str(mine))
    assert Edit.from_dict(values["edit"]) == edit
    assert numbers(values) == pytest.approx(experiment.apply(edit).logprobs.tolist(), abs=1e-5)
    expected = SideEffectProbe(opened, experiment).side_effects(edit)
    assert values["side_effects"] == json.loads(json.dumps(expected.to_dict()))
    assert values["side_effects"]["without_city"]["touched"] >= 0 and expected.others
    words = [*PAIR, "--everywhere", "--strength", f"{mine}=0.5", "--drop-residual"]
    assert cli.main(words) == 0
    told = capsys.readouterr().out
    assert "Text about no place: " in told and "What else it changes:" in told
    dropped = run(capsys, *words)["edit"]
    assert (dropped["keep_residual"], dropped["strengths"]) == (False, {str(mine): 0.5})
    assert "side_effects" not in run(capsys, *PAIR, "--remove", str(mine))
    theirs = next(piece.meta for piece in experiment.pieces if piece.side == "target")
    text = refused(capsys, [*PAIR, "--everywhere", "--strength", f"{theirs}=0.5"])
    assert f"Meta-latent {theirs} is Paris's own" in text


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--everywhere", "--swap"], "leave out --swap and --add"),
        (["--everywhere", "--remove", "1", "--add", "2"], "leave out --swap and --add"),
        (["--everywhere"], "--everywhere needs --remove or --strength"),
        (["--drop-residual", "--remove", "1"], "goes with --everywhere"),
    ],
)
def test_steer_everywhere_needs_something_that_can_go(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert text in refused(capsys, [*PAIR, *words])


def test_steer_beside_frozen_attention(
    small_default: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("metasae.lab.lab.open_lab", lambda *_: small_default)
    lab = small_default
    pair = lab.experiment(lab.subject("Tokyo"), lab.subject("Paris"))
    assert "frozen" not in run(capsys, *PAIR, "--swap")
    values = run(capsys, *PAIR, "--swap", "--frozen")
    expected = with_frozen_attention(pair, LatentSwap())
    assert values["frozen"]["sentence"] == expected.sentence
    assert values["frozen"]["moved"] == list(expected.moved)
    rows = values["frozen"]["answers"]
    assert [one["frozen"] for one in rows] == pytest.approx(expected.logprobs.tolist(), abs=1e-4)
    assert [one["live"] for one in rows] == pytest.approx(numbers(values), abs=1e-4)
    assert max(abs(one["difference"]) for one in rows) > 0.01
    assert cli.main([*PAIR, "--swap", "--frozen"]) == 0
    said = capsys.readouterr().out
    table = said.split(f"{expected.sentence}\n")[1].splitlines()
    assert table[0].split()[-3:] == ["before", "live", "frozen"]
    found = [[float(one) for one in line.split()[-3:]] for line in table[1:] if line[0] == " "]
    assert found == [
        pytest.approx([one["baseline"], one["live"], one["frozen"]], abs=0.006) for one in rows
    ]


def test_steer_with_latents_of_ones_own(opened: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    ranked = [one.latent for one in opened.city_record("Tokyo").latents]
    mine, theirs = ranked[1::-1], opened.subject("Paris").latents
    source_latents = f"{mine[0]}, {mine[1]}"
    values = run(capsys, *PAIR, "--swap", "--source-latents", source_latents)
    experiment = opened.experiment(opened.subject("Tokyo", mine), opened.subject("Paris"))
    assert values["source"]["latents"] == mine and values["target"]["latents"] == list(theirs)
    assert numbers(values) == pytest.approx(
        experiment.apply(LatentSwap()).logprobs.tolist(), abs=1e-5
    )
    values = run(capsys, *PAIR, "--swap", "--target-latents", "7")
    assert values["target"]["latents"] == [7]


def test_steer_says_what_latents_by_number_are_asked_about(
    opened: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    latent = opened.subject("Tokyo").latents[0]
    words = ["steer", "--source", f"#{latent}", "--target", "Paris"]
    values = run(capsys, *words, "--generate", "1")
    assert values["asked_about"] == "Tokyo" and values["continuation"]["prompt"] == "Tokyo is"
    assert all("Tokyo" in entry["prompt"] for entry in values["attributes"])
    assert cli.main(words) == 0
    said = capsys.readouterr().out.splitlines()
    why = f"#{latent} is no city: asked about Tokyo, on whose name it is most active."
    assert said[1] == why
    assert cli.main(list(PAIR)) == 0
    assert "no city" not in capsys.readouterr().out


def test_steer_takes_any_name(opened: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["steer", "--source", "hamster", "--target", "Tokio", "--swap"]
    values = run(capsys, *words)
    source, target = opened.subject("hamster"), opened.subject("Tokio")
    outcome = opened.experiment(source, target).apply(LatentSwap())
    assert numbers(values) == pytest.approx(outcome.logprobs.tolist(), abs=1e-5)
    assert values["source"]["latents"] == list(source.latents)
    assert values["remarks"] == list(outcome.remarks)
    assert 'For "Tokio", did you mean Tokyo?' in values["remarks"]
    bare = "No facts are known for hamster: the answers that stand for it are the model's own."
    assert bare in values["remarks"]
    assert all("hamster" in one["prompt"] for one in values["attributes"])
    assert cli.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1 : 1 + len(outcome.remarks)] == list(outcome.remarks)
    # Of a question of one's own no facts are needed.
    asked = ["--prompt", "The favourite food of a hamster is", "--answers", "seeds,fish"]
    assert bare not in run(capsys, *words, *asked)["remarks"]
    said = refused(capsys, [*words, "--prompt", "It eats", "--answers", "seeds"])
    assert "does not mention hamster" in said


def test_a_graph_starts_from_any_name(opened: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    values = run(capsys, "graph", "Tokyo", "hamster", "#5")
    begun = [one["index"] for one in values["nodes"] if one["start"]]
    named = [opened.subject(name).latents[0] for name in ("Tokyo", "hamster")]
    assert sorted(begun) == sorted({*named, 5})


def test_steer_says_how_sure_the_model_was(
    small_default: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = replace(small_default, report={"opening": {"source": "Cairo", "target": "Kyoto"}})
    monkeypatch.setattr("metasae.lab.lab.open_lab", lambda *_: lab)
    source, target = lab.subject("Cairo"), lab.subject("Kyoto")
    for words, wording in (((), "default"), (("--wording", "post"), "post")):
        asked = lab.questions(source, target, templates=WORDINGS[wording])
        outcome = lab.experiment(source, target, asked).apply(LatentSwap())
        instead = lab.misjudged("Cairo", wording)
        sure = certainties(outcome.questions, outcome.baseline, "Cairo", instead)
        # Without a pair it is the one the workbench opens on.
        values = run(capsys, "steer", "--swap", *words)
        assert [one["prompt"] for one in values["attributes"]] == [one.prompt for one in asked]
        assert values["unedited"] == json.loads(json.dumps([one.to_dict() for one in sure]))
        assert cli.main(["steer", "--swap", *words]) == 0
        lines = capsys.readouterr().out.splitlines()
        for one in sure:
            assert f"  unedited, {one.text}. {one.note}".rstrip() in lines
    assert "Give --source and --target together" in refused(capsys, ["steer", "--source", "Rome"])


def test_steer_cites(opened: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    piece = next(
        one for one in opened.experiment(opened.subject("Tokyo"), opened.subject("Paris")).pieces
        if one.side == "source"
    )  # fmt: skip
    words = (*PAIR, "--remove", str(piece.meta), "--wording", "post")
    assert "citation" not in run(capsys, *words)
    values = run(capsys, *words, "--cite")["citation"]
    assert set(values) == {"link", "weights_sha256", "released", "prompts", "bibtex", "python"}
    assert values["link"] == (
        f"http://localhost:8501/?v=1&source=Tokyo&target=Paris&edit={piece.meta}_0&wording=post"
    )
    assert values["weights_sha256"] == dataclasses.asdict(opened.weights)
    assert cli.main([*words, "--cite"]) == 0
    said = capsys.readouterr().out
    for part in (values["link"], values["bibtex"], values["python"], opened.weights.model):
        assert part in said


def test_no_number_is_minus_nothing() -> None:
    class Near:
        sentence, remarks = "Tokyo is unchanged.", ()

        @staticmethod
        def to_dict() -> dict[str, Any]:
            answers = [{"answer": "Japan", "city": "Tokyo", "baseline": -0.001, "logprob": -0.0}]
            own = {"answer": False, "text": "a", "baseline": -0.001, "logprob": -0.0}
            asked = {"attribute": "country", "prompt": "x", "answers": answers, "own": own}
            return {"attributes": [asked]}

    sure = SimpleNamespace(text="sure", note="")
    text = Steered(Near(), (sure,), None).text()  # type: ignore[arg-type]
    assert text.count("0.00     0.00") == 2 and "-0.00" not in text


def test_steer_with_a_prompt_and_answers_and_a_continuation(
    opened: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    prompt = "In Tokyo you can see the"
    words = ["--prompt", prompt, "--answers", "Eiffel Tower, Emperor"]
    values = run(capsys, *PAIR, "--swap", *words, "--generate", "5")
    question = Question("custom", prompt, (Answer((), "Eiffel Tower"), Answer((), "Emperor")))
    experiment = opened.experiment(opened.subject("Tokyo"), opened.subject("Paris"), [question])
    assert numbers(values) == pytest.approx(
        experiment.apply(LatentSwap()).logprobs.tolist(), abs=1e-5
    )
    assert [one["answer"] for one in values["attributes"][0]["answers"]] == [
        "Eiffel Tower", "Emperor",
    ]  # fmt: skip
    assert values["continuation"] == {
        "prompt": prompt,
        "before": experiment.continuation(None, prompt, 5),
        "after": experiment.continuation(LatentSwap(), prompt, 5),
    }


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--source", "Tokyo", "--target", " "], "There is no name"),
        (["--source", "Tokyo", "--target", "Tokyo"], "choose two different ones"),
        (["--source", "#99999", "--target", "Paris"], "There is no latent 99999"),
        (["--source", "#97", "--target", "Paris"], "fires on no name of the table"),
        ([*PAIR[1:], "--prompt", "Kyoto is in", "--answers", "Japan"], "does not mention Tokyo"),
        ([*PAIR[1:], "--prompt", "", "--answers", "Japan"], "The prompt is empty"),
        ([*PAIR[1:], "--prompt", "Tokyo is in", "--answers", ","], "has no answers"),
        ([*PAIR[1:], "--remove", "863863"], "There is no meta-latent 863863"),
        ([*PAIR[1:], "--source-latents", "18432"], "There is no latent 18432"),
        ([*PAIR[1:], "--target-latents", "x"], "write numbers like 1,2"),
    ],
)
def test_bad_input_is_refused_in_a_line(
    opened: Lab, capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    assert text in refused(capsys, ["steer", *words])


@pytest.mark.long
def test_a_process_of_its_own_writes_one_object_and_nothing_else(lab: Lab) -> None:
    done = process(*PAIR, "--swap", "--generate", "2", "--json")
    assert done.returncode == 0, done.stderr
    experiment = lab.experiment(lab.subject("Tokyo"), lab.subject("Paris"))
    values = parsed(done.stdout)
    assert numbers(values) == pytest.approx(
        experiment.apply(LatentSwap()).logprobs.tolist(), abs=1e-4
    )
    assert "Loading the model" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.real_model
def test_a_process_with_bad_input_ends_with_1_and_a_line() -> None:
    done = process("info", "--preset", "gpt-9", "--json")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "no preset" in done.stderr


def process(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "metasae", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


SEARCH = ("search", "--source", "Tokyo", "--target", "Paris")


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of the test's own: searches are kept there."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    return tmp_path


@pytest.mark.long
def test_a_search_writes_all_it_scored_and_tells_what_it_found(
    opened: Lab, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*SEARCH, "--attributes", "language,currency", "--out", str(elsewhere / "all.parquet")]
    values = run(capsys, *words)
    table = pd.read_parquet(elsewhere / "all.parquet")
    assert values["combinations"] == values["scored"] == len(table)
    experiment = opened.experiment(opened.subject("Tokyo"), opened.subject("Paris"))
    pieces = {piece.meta: piece.side for piece in experiment.pieces}
    assert len(values["patterns"]) > 1
    for one in values["patterns"]:
        assert set(one["pattern"]) == {"language", "currency"}
        outcome = experiment.apply(Edit.from_dict({k: one["edit"][k] for k in NO_EDIT.to_dict()}))
        moved = {name: outcome.moved[name] for name in one["pattern"]}
        assert moved == one["pattern"]
        assert all(pieces[meta] == "source" for meta in one["edit"]["remove"])
        assert all(pieces[meta] == "target" for meta in one["edit"]["add"])
        assert one["side_effects"]["with_city"]["mean"] >= 0
        assert 0 <= one["control"]["random"] <= 1
        assert set(one["top"]) == set(one["pattern"])
    assert cli.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{len(table):,} combinations in ")
    assert sum(" moved" in line for line in lines) == len(values["patterns"])


@pytest.mark.long
def test_an_estimating_search_says_what_it_scored(
    opened: Lab, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*SEARCH, "--attributes", "language", "--strengths", "0.5,1", "--estimate"]
    values = run(capsys, *words)
    assert 0 < values["scored"] < values["combinations"]
    assert all(one["reached_by"] is None for one in values["patterns"])
    assert cli.main(words) == 0
    assert f"{values['scored']:,} of them scored" in capsys.readouterr().out


@pytest.mark.long
def test_all_pairs_are_one_search(
    opened: Lab, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--cities", "Tokyo,Paris", "--all-pairs", "--attributes", "language"]
    values = run(capsys, "search", *words, "--out", str(elsewhere / "pairs.csv"))
    assert [(one["source"], one["target"]) for one in values["pairs"]] == [
        ("Tokyo", "Paris"), ("Paris", "Tokyo"),
    ]  # fmt: skip
    assert len(values["patterns"]) == sum(one["patterns"] for one in values["pairs"])
    assert all(one["side_effects"] is None for one in values["patterns"])
    honest = run(capsys, "search", *words, "--side-effects")
    assert all(one["side_effects"] and one["control"] for one in honest["patterns"])
    assert (elsewhere / "pairs.csv").exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--source", "Tokyo"], "Give --source and --target"),
        (["--cities", "Tokyo,Paris"], "Give --cities and --all-pairs together"),
        ([*SEARCH[1:], "--all-pairs"], "Give --cities and --all-pairs together"),
        ([*SEARCH[1:], "--ray", "local"], "--ray spreads many pairs"),
        (["--cities", "A,B", "--all-pairs", "--ways"], "--ways is about one pair"),
        ([*SEARCH[1:], "--strengths", "much"], '"much" are no strengths'),
        ([*SEARCH[1:], "--strengths", "5"], "can't be searched at strength"),
        ([*SEARCH[1:], "--attributes", "mayor"], 'no attribute "mayor"'),
        ([*SEARCH[1:], "--max-exact", "0"], "--max-exact is 0; give a whole number from 1"),
        ([*SEARCH[1:], "--out", "out.xlsx"], "no ending that says how to write it"),
    ],
)
def test_a_search_nobody_can_run_is_refused_before_anything_slow(
    closed: None, capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    assert text in refused(capsys, ["search", *words])


def test_too_many_combinations_name_the_way_out(
    opened: Lab, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, [*SEARCH, "--max-exact", "2"])
    assert "all are scored up to 2" in said and "--estimate" in said


def test_a_search_of_a_preset_in_a_file_is_about_the_preset_that_file_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    formats.save(random_sae(4, 8, k=2), tmp_path / "sae")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"hidden_size": 4, "num_hidden_layers": 2}')
    values = {"name": "mine", "model": str(tmp_path / "model"), "saes": [str(tmp_path / "sae")]}
    (tmp_path / "mine.json").write_text(json.dumps(values | {"hook_layer": 1}))
    asked: list[Spec] = []

    def searched(lab: Any, spec: Spec) -> Any:
        asked.append(spec)
        raise UserError("Enough is known.")

    monkeypatch.setattr("metasae.lab.lab.open_lab", lambda *_: None)
    monkeypatch.setattr("metasae.search.job.Job", searched)
    words = ["search", "--source", "Tokyo", "--target", "Paris"]
    assert cli.main([*words, "--preset", str(tmp_path / "mine.json")]) == 1
    assert [str(spec.preset) for spec in asked] == [str((tmp_path / "mine.json").resolve())]
