"""A guest of the workbench over Streamlit's own protocol: a page's boxes and numbers, no browser.

What a browser does for a toggle: it sends the widgets' states with the fragment they stand in, and
is sent what the run of the page's script draws. Nothing is laid out or painted, so that many guests
cost little.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

import pyarrow as pa
from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Delta_pb2 import Delta
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.VegaLiteChart_pb2 import VegaLiteChart
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import ClientConnection, connect

Numbers = dict[tuple[str, str], float]
"""Attribute and answer → where the answer's point is in the picture."""

LARGEST = 2**26
"""Bytes of a message: those of the first page of a study are the longest."""


@dataclass(frozen=True)
class Box:
    """A check box that was drawn.

    Attributes:
        id: of its widget.
        fragment: that a click of it reruns; empty for the whole page.
    """

    id: str
    value: bool
    fragment: str


@dataclass(frozen=True)
class Button:
    """A button that was drawn; see `Box`."""

    id: str
    label: str
    fragment: str


@dataclass(frozen=True)
class Field:
    """A field for a number that was drawn; see `Box`."""

    id: str
    fragment: str


@dataclass
class Drawn:
    """What one run of the script drew.

    Attributes:
        numbers: of the picture, the last one that was drawn.
        seconds: from what was sent to the picture; None without one.
        complaints: errors on the page, and a run that broke off.
        lines: captions, remarks and progress.
    """

    numbers: Numbers = field(default_factory=dict)
    seconds: float | None = None
    complaints: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


class Guest:
    """One session of a server.

    Attributes:
        boxes, buttons, fields: by the key the page gave them.
        query: what the page wrote into the address bar.
        bytes: that were received.
    """

    def __init__(self, socket: ClientConnection, query: Mapping[str, str], page: str) -> None:
        self.boxes: dict[str, Box] = {}
        self.buttons: dict[str, Button] = {}
        self.fields: dict[str, Field] = {}
        self.query = dict(query)
        self.bytes = 0
        self._socket = socket
        self._name, self._page = page, ""
        self._seen: dict[str, ForwardMsg] = {}

    async def open(self, enough: Callable[[], bool] = lambda: False) -> Drawn:
        """Draw the page a link leads to.

        Args:
            enough: whether what was drawn is, though the run of the script goes on.
        """
        return await self._run(BackMsg(), enough)

    async def toggle(self, key: str) -> Drawn:
        """Click a check box."""
        box = self.boxes[key]
        message = BackMsg()
        for name, one in self.boxes.items():
            state = message.rerun_script.widget_states.widgets.add()
            state.id, state.bool_value = one.id, one.value != (name == key)
        message.rerun_script.fragment_id = box.fragment
        return await self._run(message)

    async def fill(self, key: str, number: float) -> Drawn:
        """Write a number into a field."""
        message, state = _about(self.fields[key])
        state.double_value = number
        return await self._run(message)

    async def look(self, fragment: str) -> Drawn:
        """Draw a part of the page again, as it asks a browser to do by itself."""
        message = BackMsg()
        message.rerun_script.fragment_id = fragment
        message.rerun_script.is_auto_rerun = True
        return await self._run(message)

    async def press(self, key: str) -> Drawn:
        """Click a button."""
        message, state = _about(self.buttons[key])
        state.trigger_value = True
        return await self._run(message)

    async def _run(self, message: BackMsg, enough: Callable[[], bool] = lambda: False) -> Drawn:
        asked = message.rerun_script
        asked.query_string = urlencode(self.query)
        asked.page_name, asked.page_script_hash = self._name, self._page
        asked.cached_message_hashes.extend(self._seen)
        asked.context_info.timezone = "UTC"
        drawn, begun, sent = Drawn(), False, time.perf_counter()
        await self._socket.send(message.SerializeToString())
        while True:
            received = await self._socket.recv()
            assert isinstance(received, bytes)
            self.bytes += len(received)
            told = self._whole(ForwardMsg.FromString(received))
            kind = told.WhichOneof("type")
            if kind == "new_session":
                begun, self._page = True, told.new_session.page_script_hash
            elif kind == "navigation":
                self._page = told.navigation.page_script_hash
            elif kind == "page_info_changed":
                self.query = dict(parse_qsl(told.page_info_changed.query_string))
            elif kind == "delta" and begun:
                self._take(told.delta, drawn, time.perf_counter() - sent)
                if enough():
                    return drawn
            elif kind == "session_event" and told.session_event.HasField(
                "script_compilation_exception"
            ):
                drawn.complaints.append(told.session_event.script_compilation_exception.message)
            elif kind == "script_finished" and begun:
                if told.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                    continue
                if told.script_finished == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
                    drawn.complaints.append("the script can't be read")
                return drawn

    def _whole(self, told: ForwardMsg) -> ForwardMsg:
        """The message itself: one that was sent before comes as a reference."""
        if told.WhichOneof("type") == "ref_hash":
            return self._seen[told.ref_hash]
        if told.metadata.cacheable:
            self._seen[told.hash] = told
        return told

    def _take(self, delta: Delta, drawn: Drawn, after: float) -> None:
        """Keep what is needed of something that was drawn."""
        element: Element = delta.new_element
        match element.WhichOneof("type"):
            case "checkbox":
                one = element.checkbox
                value = one.value if one.set_value else one.default
                self.boxes[_key(one.id)] = Box(one.id, value, delta.fragment_id)
            case "button":
                pressed = element.button
                known = Button(pressed.id, pressed.label, delta.fragment_id)
                self.buttons[_key(pressed.id)] = known
            case "number_input":
                identity = element.number_input.id
                self.fields[_key(identity)] = Field(identity, delta.fragment_id)
            case "vega_lite_chart":
                drawn.numbers = numbers_of(element.vega_lite_chart)
                if drawn.seconds is None:
                    drawn.seconds = after
            case "exception":
                drawn.complaints.append(element.exception.message)
            case "alert" if element.alert.format == Alert.ERROR:
                drawn.complaints.append(element.alert.body)
            case "alert":
                drawn.lines.append(element.alert.body)
            case "markdown":
                drawn.lines.append(element.markdown.body)
            case "progress":
                drawn.lines.append(element.progress.text)


def _about(one: Button | Field) -> tuple[BackMsg, WidgetState]:
    """What is sent about a widget, without the value it has now."""
    message = BackMsg()
    state: WidgetState = message.rerun_script.widget_states.widgets.add()
    state.id = one.id
    message.rerun_script.fragment_id = one.fragment
    return message, state


def _key(identity: str) -> str:
    """The key a page gave a widget, at the end of the identity that Streamlit made of it."""
    return identity.split("-", 2)[-1]


def numbers_of(chart: VegaLiteChart) -> Numbers:
    """The answers' points of the picture of an outcome; questions have none."""
    tables = [chart.data.data, *(one.data.data for one in chart.datasets)]
    rows = [
        row for table in tables if table for row in pa.ipc.open_stream(table).read_all().to_pylist()
    ]
    return {
        (row["attribute"], row["answer"]): row["to"]
        for row in rows
        if row.get("to") is not None and "answer" in row
    }


@asynccontextmanager
async def visit(address: str, query: Mapping[str, str], page: str = "") -> AsyncIterator[Guest]:
    """A guest of a server, who leaves at the end.

    Args:
        address: of the server, ``http://…``.
        query: of the link the guest came by.
        page: of the workbench, as its address names it; Steer when left out.
    """
    stream = address.replace("http", "ws", 1) + "/_stcore/stream"
    async with connect(stream, max_size=LARGEST, compression=None, ping_interval=None) as socket:
        yield Guest(socket, query, page)
