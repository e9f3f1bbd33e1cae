"""Text from data is shown as text wherever it comes to: a hostile string for every way out."""

import json
import re
from xml.etree import ElementTree

import altair as alt
import networkx as nx
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasae.explorer import graph_files
from metasae.explorer.evidence import Snippet
from metasae.explorer.svg import svg_of
from workbench.charts.ink import LIGHT
from workbench.explore.contexts import snippets_html
from workbench.explore.graph_view import _legend
from workbench.explore.tokens import _style
from workbench.text import coded, escape, plain, visible

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "![x](https://elsewhere.example/x.png)",
    "https://elsewhere.example",
    "$x$ $$y$$",
    ":material/delete: :red[x] :smile: :streamlit:",
    "`code` ```",
    "\u202egnp.exe\u2066 \u202a",
    "<b onclick='x'>\"'",
    "a | b | c",
    "# heading",
    "&lt;img&gt; &#x3c;",
)

ALL = (
    "<img src=x onerror=alert(1)>[x](javascript:alert(1))$x$ :material/delete: `code` \u202e:red[x]"
)
"""What a link says."""

ACTIVE = re.compile(
    r"(?<!\\)[<>\[\]`$|*_~]|(?<!\\):(?=\w)|(?<!\\)&(?=#?\w+;)|[\u202a-\u202e\u2066-\u2069]"
)
"""What Markdown, Streamlit's directives or the direction of writing would act on."""


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_acts_in_markdown(text: str) -> None:
    assert not ACTIVE.search(escape(text)), escape(text)
    assert not ACTIVE.search(plain(text)), plain(text)
    assert not re.match(r"#", plain(text))


@given(st.text(alphabet=st.characters() | st.sampled_from("<>[]()`$:*_~|\\&!#@\u202e\n")))
def test_nothing_at_all_does(text: str) -> None:
    for shown in (escape(text), plain(text)):
        # A backslash that is itself escaped escapes nothing.
        assert not ACTIVE.search(shown.replace("\\\\", ""))
        assert "\n" not in shown


@given(st.text(alphabet=st.sampled_from("ab`\\<>[]\n \u202e")))
def test_code_ends_where_it_is_closed(text: str) -> None:
    shown = coded(text)
    assert shown.count("`") == 2 and shown[0] == shown[-1] == "`" and len(shown) > 2
    assert "\n" not in shown and "\u202e" not in shown


@pytest.mark.parametrize("text", HOSTILE)
def test_contexts_are_text_in_html(text: str) -> None:
    made = snippets_html([Snippet(((text, 2.0), (f" {text}", 0.0)), text, False)], 4.0)
    read = ElementTree.fromstring(made.replace("&ensp;", " "))
    assert {one.tag for one in read.iter()} <= {"div", "span", "mark"}
    assert {name for one in read.iter() for name in one.attrib} <= {"style", "title"}
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", made)
    assert "".join(read.itertext()).count(re.sub("[\u202a-\u202e\u2066-\u2069]", "�", text)) == 3


@pytest.mark.parametrize("text", HOSTILE)
def test_the_graphs_legend_is_text_in_html(text: str) -> None:
    nodes = pd.DataFrame(
        {"kind": ["latent", "latent"], "index": [1, 2], "label": [text, text], "name": [text, text],
         "community": [0, 1], "links": [1, 1], "group": [text, text], "start": [True, False]}
    )  # fmt: skip
    made = _legend(nodes, LIGHT)
    read = ElementTree.fromstring(made)
    assert {one.tag for one in read.iter()} <= {"div", "span"}
    assert {name for one in read.iter() for name in one.attrib} <= {"style", "aria-hidden"}


@pytest.mark.parametrize("text", HOSTILE)
def test_no_token_stands_in_a_style_sheet(text: str) -> None:
    """The row of tokens is coloured by place and strength; its words are buttons' labels."""
    assert _style([text], [0.5], 0, LIGHT) == _style(["x"], [0.5], 0, LIGHT)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_token_keeps_nothing_that_is_not_seen(text: str) -> None:
    assert visible(text).isprintable()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_picture_as_a_file_holds_no_script_and_leads_nowhere(text: str) -> None:
    table = pd.DataFrame({"x": [1.0], "word": [text]})
    chart = alt.Chart(table, title=text).mark_text().encode(x=alt.X("x:Q", title=text), text="word")
    picture = ElementTree.fromstring(svg_of(chart.to_dict(), {"label": text}))
    for one in picture.iter():
        assert one.tag.rpartition("}")[2] in (
            "svg", "g", "path", "text", "desc", "defs", "clipPath", "rect", "line", "tspan", "style"
        ), one.tag  # fmt: skip
        for name in one.attrib:
            assert "href" not in name and not name.startswith("on")


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("fmt", ["graphml", "json"])
def test_a_graphs_file_says_the_label_as_it_is(text: str, fmt: str) -> None:
    graph = nx.Graph()
    graph.add_node(("latent", 1), start=True)
    graph.add_node(("meta", 2), start=False)
    graph.add_edge(("latent", 1), ("meta", 2), weight=0.5)
    content = graph_files.exported(graph, fmt, lambda kind, index: text, {"sae": "x"})
    seen = "".join(letter for letter in text if letter.isprintable())
    if fmt == "json":
        assert {node["label"] for node in json.loads(content)["nodes"]} == {seen}
    else:
        assert seen in list(ElementTree.fromstring(content.encode()).itertext())
