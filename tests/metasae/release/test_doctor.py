"""What the doctor says of a preset that is well, and of one with a single thing wrong."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from metasae import cli
from metasae.lm.halves import usable
from metasae.lm.loading import load_model
from metasae.release import doctor_figures, post_examples
from metasae.release.doctor import examine
from metasae.release.findings import DIFFERS, OK, UNCHECKED, Examination
from metasae.release.published import Published
from metasae.saes import formats
from metasae.sources.files import sha256
from metasae.sources.presets import EMBEDDED, PRESETS, Hub, Preset
from metasae.text import windows
from metasae.text.kept_windows import own_text, text_of
from tests.other_presets import MAKERS, only_here
from tests.small_models import HOOK, WIDTHS

pytestmark = pytest.mark.slow

TEXT = "\n\n".join(
    f"{name} is a city, and people in {name} like tea number {number}."
    for number, name in enumerate(("Tokyo", "Paris", "Cairo", "Lyon") * 10)
)


@dataclass
class Patient:
    """A small preset in the hub's layout, all of it well.

    Attributes:
        folder: with its caches.
    """

    preset: Preset
    folder: Path
    figures: dict[int, Published]

    @property
    def text(self) -> Path:
        return self.folder / "text.txt"

    def model(self, name: str) -> Path:
        origin = self.preset.model.origin
        assert isinstance(origin, Hub)
        return next((self.folder / "hub").glob(f"models--*/snapshots/{origin.revision}/{name}"))

    def sae(self, width: int) -> Path:
        """The folder of an SAE."""
        inside = self.preset.sae(width).partition(":")[2]
        return next((self.folder / "hub").glob(f"models--*/snapshots/*/**/{inside}"))

    def examine(self, quick: bool = False) -> Examination:
        return examine(self.preset, [self.text], quick)


def well(name: str, folder: Path) -> Patient:
    """A small preset whose files say what they should; its figures are measured by hand."""
    folder.mkdir(parents=True, exist_ok=True)
    preset = MAKERS[name](folder / "hub")
    made = Patient(preset, folder, {})
    made.text.write_text(TEXT)
    for width in WIDTHS:
        path = made.sae(width) / ("cfg.json" if name == "gpt2-small" else "config.json")
        config = json.loads(path.read_text())
        if name == "gpt2-small":
            config["hook_point"] = f"blocks.{HOOK}.hook_resid_pre"
        else:
            config["hf_hook_point_in"] = f"model.layers.{HOOK - 1}.output"
        path.write_text(json.dumps(config))
    origin = preset.model.origin
    assert isinstance(origin, Hub)
    files = tuple(replace(one, sha256=sha256(made.model(one.name))) for one in origin.files)
    made.preset = replace(
        preset, model=replace(preset.model, origin=replace(origin, files=files))
    )  # fmt: skip
    with only_here(folder) as patch:
        patch.setattr(windows, "WINDOW", 48)  # the small Gemma reads no more than 64
        patch.setitem(PRESETS, preset.name, made.preset)
        model = load_model(made.preset)
        text = text_of(made.preset, model, [made.text])
        resid = model.residual(text.tokens.long())
        norms = resid[usable(resid, text.lengths, torch.inf)].norm(dim=-1)
        rows = resid[usable(resid, text.lengths, float(norms.median()))]
        for width in WIDTHS:
            sae = formats.open_sae(made.preset.sae(width))
            acts = sae.encode(rows)
            left = (rows - sae.decode(acts)).square().sum() / (rows - rows.mean(0)).square().sum()
            l0 = float((acts > 0).float().sum(1).mean())
            made.figures[width] = Published(l0, 1 - float(left), "a hand", 0.5, 0.1)
    return made


@pytest.fixture(scope="module", params=list(MAKERS))
def healthy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Patient:
    return well(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def patient(healthy: Patient, tmp_path: Path) -> Iterator[Patient]:
    """A copy of it, in its place, without a network."""
    folder = tmp_path / "there"
    shutil.copytree(healthy.folder, folder)
    made = replace(healthy, folder=folder, figures=dict(healthy.figures))
    with only_here(folder) as patch:
        patch.setattr(windows, "WINDOW", 48)
        patch.setitem(PRESETS, made.preset.name, made.preset)
        patch.setattr(doctor_figures, "published", lambda preset, width: made.figures[width])
        patch.setattr(post_examples, "OF_PRESET", {})
        yield made


def test_a_preset_that_is_well(patient: Patient) -> None:
    found = patient.examine()
    assert [one for one in found.findings if one.verdict != OK] == []
    assert found.fine and found.not_asked == ("The post has no worked examples of this preset.",)
    names = " ".join(one.name for one in found.findings)
    for what in ("model.safetensors", "shape", "number format", "hook", "residual stream",
                 "L0", "variance explained"):  # fmt: skip
        assert what in names
    assert all(f"SAE {width}: hook" in names for width in WIDTHS)
    report = found.markdown()
    assert str(patient.folder) not in report and str(Path.home()) + "/" not in report


def wrong_width(patient: Patient) -> str:
    tensors, path = weights(patient)
    name = next(one for one in tensors if one.lower() == "w_dec")
    tensors[name] = tensors[name][:-1].contiguous()
    save_file(tensors, path)
    return f"SAE {WIDTHS[0]}: shape"


def wrong_format(patient: Patient) -> str:
    tensors, path = weights(patient)
    save_file({name: one.double() for name, one in tensors.items()}, path)
    return f"SAE {WIDTHS[0]}: number format"


def flipped_byte(patient: Patient) -> str:
    path = patient.model("model.safetensors")
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    return "file model.safetensors"


def wrong_hook(patient: Patient) -> str:
    folder = patient.sae(WIDTHS[1])
    path = next(one for one in folder.glob("*.json"))
    path.write_text(
        path.read_text().replace(f"blocks.{HOOK}.", f"blocks.{HOOK + 1}.")
        .replace(f"layers.{HOOK - 1}.", f"layers.{HOOK}.")
    )  # fmt: skip
    return f"SAE {WIDTHS[1]}: hook"


def wrong_l0(patient: Patient) -> str:
    right = patient.figures[WIDTHS[0]]
    assert right.l0 is not None
    patient.figures[WIDTHS[0]] = replace(right, l0=3 * right.l0)
    return f"SAE {WIDTHS[0]}: L0"


def weights(patient: Patient) -> tuple[dict[str, torch.Tensor], Path]:
    path = next(patient.sae(WIDTHS[0]).glob("*.safetensors"))
    return load_file(path), path


@pytest.mark.parametrize("defect", [wrong_width, wrong_format, flipped_byte, wrong_hook, wrong_l0])
def test_one_thing_wrong_is_one_line_that_differs(
    patient: Patient, defect: Callable[[Patient], str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = defect(patient)
    code = cli.main(["doctor", "--preset", patient.preset.name, "--text", str(patient.text)])
    said = capsys.readouterr()
    assert code == 1 and "Traceback" not in said.out + said.err
    rows = [line for line in said.out.splitlines() if line.startswith("| ")][1:]
    differing = [line for line in rows if line.endswith(f"| {DIFFERS} |")]
    # A damaged model file isn't opened: it would be fetched again, and there is no network.
    assert len(differing) == 1 + (defect is flipped_byte)
    assert differing[0].startswith(f"| {name} |")
    # An SAE whose weights don't fit together can't be measured; nothing else suffers.
    other = [line for line in rows if line.endswith(f"| {UNCHECKED} |")]
    assert len(other) == (defect is wrong_width)


@pytest.mark.parametrize("which", ["model", "sae"])
def test_a_missing_file_that_cannot_be_fetched_is_one_line(
    patient: Patient, which: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    if which == "model":
        patient.model("model.safetensors").unlink()
    else:
        next(patient.sae(WIDTHS[0]).glob("*.safetensors")).unlink()
    out = tmp_path / "report.md"
    code = cli.main(
        ["doctor", "--preset", patient.preset.name, "--text", str(patient.text), "--out", str(out)]
    )
    said = capsys.readouterr()
    assert code == 1 and "Traceback" not in said.out + said.err
    assert out.read_text() == said.out
    rows = [line for line in said.out.splitlines() if line.endswith(f"| {UNCHECKED} |")]
    assert any("could not be fetched from the Hugging Face hub" in line for line in rows)
    assert not any(line.endswith(f"| {DIFFERS} |") for line in said.out.splitlines())
    # Beside it one line says what that keeps from being checked.
    assert len(rows) == 2
    assert str(patient.folder) not in said.out


def test_quick_looks_at_files_and_the_hook_alone(patient: Patient) -> None:
    found = patient.examine(quick=True)
    assert found.fine and not any("L0" in one.name for one in found.findings)
    assert "--quick" in found.not_asked[0]


def test_the_text_that_is_kept_stays_the_persons(patient: Patient) -> None:
    before = own_text(patient.preset)
    (other := patient.folder / "other.txt").write_text(TEXT.replace("tea", "coffee"))
    examine(patient.preset, [other])
    after = own_text(patient.preset)
    assert before is not None and after is not None
    assert torch.equal(after.tokens, before.tokens)


def test_a_text_that_cannot_be_had_is_one_line(patient: Patient) -> None:
    patient.text.unlink()
    found = patient.examine()
    (one,) = (one for one in found.findings if one.verdict != OK)
    assert (one.name, one.verdict) == ("L0 and variance explained", UNCHECKED)


@pytest.mark.long
@pytest.mark.real_model
@pytest.mark.timeout(900)
def test_the_default_is_well() -> None:
    """A minute or two; its files, figures and examples are all as reported."""
    found = examine(EMBEDDED)
    assert [one for one in found.findings if one.verdict != OK] == []
    assert found.fine and not found.not_asked
    assert sum("variance explained" in one.name for one in found.findings) == len(EMBEDDED.widths)
