"""What a command exports: an edit from its file, a mask on a pair, directions by number."""

from pathlib import Path
from typing import Any

from metasae.errors import UserError
from metasae.exports.edited import Edited
from metasae.lab.lab import Lab
from metasae.ravel.masks import Mask, masked
from metasae.sources.files import read_json
from metasae.steering.edit_file import EditFile, Side
from metasae.steering.edits import NO_EDIT
from metasae.steering.questions import Subject


def read_edit(path: Path) -> EditFile:
    """What an edit's file holds.

    Raises:
        UserError: when there is none, it is none, or a newer version of this package wrote it.
    """
    values = json_object(path, _no_edit(path))
    try:
        return EditFile.of(values, str(path))
    except ValueError as error:
        raise _no_edit(path) from error


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


def edit_in(lab: Lab, file: EditFile) -> Edited:
    """The edit of a file, on the pair and in the questions it was made in.

    Raises:
        UserError: when it was made with other weights than are open.
    """
    if other := lab.provenance.other_than(file.made_with):
        raise UserError(f"{other}; open that one first.")
    source, target = (_subject(lab, side) for side in (file.source, file.target))
    return Edited(lab, lab.experiment(source, target, file.questions), file.edit)


def _subject(lab: Lab, side: Side) -> Subject:
    subject = lab.subject(side.label)
    return subject if subject.latents == side.latents else lab.subject(side.label, side.latents)


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
