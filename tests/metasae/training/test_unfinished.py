"""Requests of trainings: written, found again, forgotten; nothing is overwritten."""

from pathlib import Path

import pytest

from metasae.errors import UserError
from metasae.sources.files import read_json, write_json
from metasae.sources.versions import NewerError
from metasae.training.config import TrainConfig
from metasae.training.unfinished import TrainingRequest, check_free, unfinished_trainings

CONFIG = TrainConfig(width=16, k=2, steps=5)


def request_towards(out: Path) -> TrainingRequest:
    return TrainingRequest(out, ("embedded",), CONFIG, ("gaussian", "gaussian", "shuffled"))


def test_requests_are_found_as_they_were_written(tmp_path: Path) -> None:
    requests = [request_towards(tmp_path / name) for name in ("a", "b.two")]
    for request in requests:
        request.write()
    assert unfinished_trainings(tmp_path) == requests
    requests[0].forget()
    assert unfinished_trainings(tmp_path) == requests[1:]
    assert unfinished_trainings(tmp_path / "nowhere") == []


def test_the_checkpoints_lie_beside_the_folder_each_once(tmp_path: Path) -> None:
    request = request_towards(tmp_path / "out")
    names = {name: path.name for name, path in request.checkpoints.items()}
    assert names == {
        "meta-sae": "out.meta-sae.checkpoint",
        "gaussian": "out.gaussian.checkpoint",
        "shuffled": "out.shuffled.checkpoint",
    }
    request.write()
    for path in request.checkpoints.values():
        path.write_bytes(b"state")
    bystander = tmp_path / "out.txt"
    bystander.touch()
    request.forget()
    assert list(tmp_path.iterdir()) == [bystander]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"config": 3}', '{"sources": 3}', "\udc00"])
def test_a_request_that_cannot_be_read_is_passed_over(tmp_path: Path, text: str) -> None:
    good = request_towards(tmp_path / "good")
    good.write()
    (tmp_path / "bad.order.json").write_text(text, "utf-8", "surrogatepass")
    assert unfinished_trainings(tmp_path) == [good]


def test_a_request_of_a_newer_version_is_passed_over_and_left_as_it_is(tmp_path: Path) -> None:
    request = request_towards(tmp_path / "out")
    request.write()
    values = read_json(request.path)
    assert values.pop("format") == 1
    write_json(request.path, values)
    assert unfinished_trainings(tmp_path) == [request]
    write_json(request.path, values | {"format": 2})
    assert unfinished_trainings(tmp_path) == []
    with pytest.raises(NewerError, match="update metasae"):
        request.keep()
    assert read_json(request.path)["format"] == 2


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    out, checkpoint = tmp_path / "out", tmp_path / "out.meta-sae.checkpoint"
    check_free(out, [checkpoint], resume=False)
    out.mkdir()
    check_free(out, [checkpoint], resume=False)  # an empty folder holds nothing to lose
    checkpoint.touch()
    with pytest.raises(UserError, match="was stopped before its end; go on with --resume"):
        check_free(out, [checkpoint], resume=False)
    check_free(out, [checkpoint], resume=True)
    (out / "meta.safetensors").touch()
    for resume in (False, True):
        with pytest.raises(UserError, match="holds something already"):
            check_free(out, [], resume)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UserError, match="holds something already"):
        check_free(file, [], resume=True)
