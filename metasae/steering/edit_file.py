"""An edit's file, read: the JSON that is downloaded on Steer or that ``steer --json`` prints."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from metasae.sources.presets import Opened
from metasae.sources.versions import EDIT
from metasae.steering.edits import Edit
from metasae.steering.provenance import WEIGHTS
from metasae.steering.questions import Answer, Question


@dataclass(frozen=True)
class Side:
    """A source or a target, as a file says it."""

    label: str
    latents: tuple[int, ...]


@dataclass(frozen=True)
class EditFile:
    """What an edit's file holds of how it was made.

    Attributes:
        made_with: its model, sae and meta_sae.
        questions: that were asked.
        asked_about: the name in them.
        view: query of the page that was on screen; None in what the command line printed.
    """

    preset: Opened
    made_with: dict[str, str]
    edit: Edit
    source: Side
    target: Side
    questions: tuple[Question, ...]
    asked_about: str
    view: dict[str, Any] | None

    @staticmethod
    def of(values: Any, where: str) -> "EditFile":
        """The content of a file.

        Args:
            values: of its JSON.
            where: what is read, as the beginning of a sentence.

        Raises:
            NewerError: when a newer version of this package wrote it.
            ValueError: when it is no edit's file, or damaged.
            UserError: for an edit that can't be, or a preset whose name is none.
        """
        EDIT.check(values, where)
        try:
            if not isinstance(values["preset"], str):
                raise TypeError
            source, target = _side(values["source"]), _side(values["target"])
            return EditFile(
                preset=Opened.from_text(values["preset"]),
                made_with={name: str(values[name]) for name in WEIGHTS},
                edit=Edit.from_dict(values["edit"]),
                source=source,
                target=target,
                questions=tuple(map(_question, values["attributes"])),
                # Earlier versions did not say it.
                asked_about=str(values.get("asked_about") or source.label),
                view=dict(values["view"]) if "view" in values else None,
            )
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ValueError("no edit's file") from error


def _side(values: Mapping[str, Any]) -> Side:
    return Side(str(values["label"]), tuple(map(int, values["latents"])))


def _question(values: Mapping[str, Any]) -> Question:
    answers = tuple(map(_answer, values["answers"]))
    return Question(str(values["attribute"]), str(values["prompt"]), answers)


def _answer(values: Mapping[str, Any]) -> Answer:
    city = str(values["city"])
    return Answer(tuple(city.split(", ")) if city else (), str(values["answer"]))
