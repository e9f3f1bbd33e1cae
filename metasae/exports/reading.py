"""What a command exports: an edit from its file, a mask on a pair, directions by number.

An edit's file is the JSON that is downloaded on Steer or that ``steer --json`` prints.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metasae.errors import UserError
from metasae.exports.edited import Edited
from metasae.lab.lab import Lab
from metasae.ravel.masks import Mask, masked
from metasae.sources.files import read_json
from metasae.sources.presets import Opened
from metasae.sources.versions import EDIT
from metasae.steering.edits import NO_EDIT, Edit
from metasae.steering.provenance import WEIGHTS
from metasae.steering.questions import Answer, Question, Subject


def read_edit(path: Path) -> Mapping[str, Any]:
    """What an edit's file holds.

    Raises:
        UserError: when there is none, it is none, or a newer version of this package wrote it.
    """
    values = json_object(path, _no_edit(path))
    try:
        EDIT.check(values, str(path))
    except ValueError as error:
        raise _no_edit(path) from error
    if "edit" not in values:
        raise _no_edit(path)
    return values


def json_object(path: Path, otherwise: UserError) -> dict[str, Any]:
    """The object that a JSON file holds.

    Args:
        otherwise: raised where it holds none.

    Raises:
        UserError: that, or that the file can't be read.
    """
    try:
        values = read_json(path)
    except OSError as error:
        raise UserError(f"{path} can't be read ({error.strerror}).") from error
    except ValueError as error:
        raise otherwise from error
    if not isinstance(values, dict):
        raise otherwise
    return values


def preset_in(values: Mapping[str, Any], path: Path) -> Opened:
    """The preset that an edit's file was made with.

    Raises:
        UserError: when it says none.
    """
    if not isinstance(values.get("preset"), str):
        raise _no_edit(path)
    return Opened.from_text(values["preset"])


def edit_in(lab: Lab, values: Mapping[str, Any], path: Path) -> Edited:
    """The edit of a file, on the pair and in the questions it was made in.

    Raises:
        UserError: when the file is damaged, or was made with other weights than are open.
    """
    try:
        made_with = {name: str(values[name]) for name in WEIGHTS}
        edit = Edit.from_dict(values["edit"])
        questions = [
            Question(
                str(one["attribute"]),
                str(one["prompt"]),
                tuple(_answer(answer) for answer in one["answers"]),
            )
            for one in values["attributes"]
        ]
        sides = [
            (str(values[side]["label"]), tuple(map(int, values[side]["latents"])))
            for side in ("source", "target")
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _no_edit(path) from error
    if other := lab.provenance.other_than(made_with):
        raise UserError(f"{other}; open that one first.")
    source, target = (_subject(lab, *side) for side in sides)
    return Edited(lab, lab.experiment(source, target, questions), edit)


def _answer(values: Mapping[str, Any]) -> Answer:
    city = str(values["city"])
    return Answer(tuple(city.split(", ")) if city else (), str(values["answer"]))


def _subject(lab: Lab, label: str, latents: tuple[int, ...]) -> Subject:
    subject = lab.subject(label)
    return subject if subject.latents == latents else lab.subject(label, latents)


def mask_on(lab: Lab, mask: Mask, source: str, target: str) -> Edited:
    """The edit that a learned mask makes of a pair.

    Raises:
        UserError: for a name without a latent, a mask of another meta-SAE, or one that takes none
            of the pair's pieces.
    """
    experiment = lab.experiment(lab.subject(source), lab.subject(target))
    return Edited(lab, experiment, masked(lab, NO_EDIT, [mask], experiment.pieces))


def _no_edit(path: Path) -> UserError:
    return UserError(
        f"{path} holds no edit; give a JSON file that was downloaded on Steer or printed by "
        "steer --json."
    )
