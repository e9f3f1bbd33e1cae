"""Commands about what is shipped: fetch it, make it, say how good it is."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metasae import progress
from metasae.cli.arguments import Add, writable
from metasae.sources.user_presets import preset_of
from metasae.text.documents import is_written

if TYPE_CHECKING:
    from metasae.release.findings import Examination


def register(add: Add) -> None:
    """Declare the commands."""
    add("fetch", fetch, "Download and unpack the model (once).")
    build_command = add("build", build, "Make the SAEs, the meta-SAE and the tables from nothing.")
    build_command.add_argument(
        "--out", type=Path, help="folder to write (default: the shipped one)"
    )
    info_command = add("info", info, "What is shipped and how good it is.")
    info_command.add_argument("--measure", action="store_true", help="measure everything again now")

    doctor_command = add("doctor", doctor, "Check files, hook and figures; one report.")
    doctor_command.add_argument(
        "--out", type=Path, metavar="FILE", help="write the report here too"
    )
    doctor_command.add_argument("--quick", action="store_true", help="measure nothing")
    doctor_command.add_argument(
        "--text", action="append", default=[], metavar="FILE|DIR|hf:NAME",
        help="your own text to measure on",
    )  # fmt: skip


@dataclass(frozen=True)
class Fetched:
    """Where the model is."""

    folder: Path

    def to_dict(self) -> dict[str, Any]:
        """See `arguments.Result`."""
        return {"model": str(self.folder)}

    def text(self) -> str:
        """See `arguments.Result`."""
        return f"The model is in {self.folder}."


@dataclass(frozen=True)
class Report:
    """How a preset's SAEs and meta-SAE were made and how good they are."""

    figures: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """See `arguments.Result`."""
        return self.figures

    def text(self) -> str:
        """See `arguments.Result`."""
        meta, cities = self.figures["meta_sae"], self.figures["cities"]
        # A meta-SAE of the user's may have been trained without the control.
        control = meta["fve_control"]
        control = "" if control is None else f" ({control:.3f} on Gaussian rows)"
        facts = ", ".join(f"{name} {count}" for name, count in cities["known_facts"].items())
        lines = [
            f"{self.figures['model']}, {self.figures['hook']}",
            *_text(self.figures.get("text")),
            "  latents     L0  variance explained  cross-entropy recovered",
            *(
                f"  {one['width']:>7,}  {one['l0']:>5.2f}  {one['fve']:>18.3f}  "
                f"{one['ce_recovered']:>23.3f}"
                for one in self.figures["saes"]
            ),
            f"meta-SAE: {meta['width']:,} meta-latents, L0 {meta['l0']:.2f}, variance explained "
            f"{meta['fve']:.3f}{control}, {meta['dead']} dead",
            f"cities: {cities['total']}, {cities['with_latent']} with a latent of their own; facts "
            f"the model knows: {facts}",
            *_controls(meta),
            *_names(self.figures),
        ]
        if opening := self.figures.get("opening"):
            lines.append(
                f"the workbench opens on {opening['source']} → {opening['target']}: "
                f"{len(opening['patterns'])} patterns by more than {opening['clear_nats']:g} nats"
            )
        return "\n".join(lines)


def _text(sources: object) -> list[str]:
    """How much of the text the SAEs were trained on was written for it, where that is known.

    Args:
        sources: see `release.material.text_used`; a user's SAEs name their files instead.
    """
    if not isinstance(sources, dict):
        return []
    counts = [
        (
            is_written(source),
            used["documents"] + used["held_out_documents"],
            used["tokens"] + used["held_out_tokens"],
        )
        for source, used in sources.items()
    ]
    written = sum(documents for ours, documents, _ in counts if ours)
    if not written:
        return []
    share = sum(tokens for ours, _, tokens in counts if ours) / sum(one[2] for one in counts)
    return [
        f"text: {sum(one[1] for one in counts):,} documents, of which {written:,} are sentences "
        f"written for training ({share:.0%} of the tokens)"
    ]


def _controls(meta: dict[str, Any]) -> list[str]:
    """What the meta-SAE's explained variance stands between, where it was measured."""
    said = {
        "gaussian": "Gaussian rows",
        "residuals": "residuals themselves, without any SAE",
        "left_out": "directions left out of its training",
    }
    return [
        f"  the same training, {said[name]}: variance explained {one['fve']:.3f} at L0 "
        f"{one['l0']:.2f}"
        for name, one in meta.get("controls", {}).items()
        if name in said
    ]


def _names(figures: dict[str, Any]) -> list[str]:
    """The figures on the table's cities and on names that nothing was chosen by, side by side."""
    if "names" not in figures:
        return []
    names = figures["names"]
    table, cities = names["table"], names["cities"]
    rows = [("latent of its own", table["own"], cities["own"])]
    rows += [
        (f"swap moves a known fact, {where}", one["moved"], other["moved"])
        for where, one, other in (
            ("all positions", table["swap"], cities["swap"]),
            ("the name alone", table["swap"]["at_name"], cities["swap"]["at_name"]),
            ("edited ones only", table["swap_of_chosen"], cities["swap_of_chosen"]),
        )
    ]
    lines = ["", f"{'':<38} {'table':>22} {'generalisation set':>22}"]
    lines += [f"{name:<38} {_share(one):>22} {_share(other):>22}" for name, one, other in rows]
    for key, name in (
        ("same_country_share", "cities of one country share a piece"),
        ("two_countries_share", "cities of two countries do"),
    ):
        one, other = (group["sharing"][key] for group in (table, cities))
        lines.append(f"{name:<38} {one:>22.2f} {other:>22.2f}")
    one, other = (
        f"{group['sharing']['countries_with_meta_latent']} of {group['sharing']['countries']}"
        for group in (table, cities)
    )
    lines.append(f"{'countries with a meta-latent':<38} {one:>22} {other:>22}")
    own = names["titles"]["own"]
    lines.append(f"{'other names with a latent of their own':<38} {'':>22} {_share(own):>22}")
    return lines


def _share(one: dict[str, Any]) -> str:
    """A share with its interval, "0.61 (0.57 to 0.65)"."""
    if one["share"] is None:
        return "–"
    return f"{one['share']:.2f} ({one['low']:.2f} to {one['high']:.2f})"


def fetch(arguments: argparse.Namespace) -> Fetched:
    """Bring the preset's model here."""
    from metasae.lm.loading import prepare_model

    return Fetched(prepare_model(preset_of(arguments.preset), progress.to_stream()))


def build(arguments: argparse.Namespace) -> Report:
    """Make everything the preset ships."""
    from metasae.release.build import FILES
    from metasae.release.build import build as make
    from metasae.release.material import shipped_folder
    from metasae.sources.files import check_place

    preset = preset_of(arguments.preset)
    if given := writable(arguments.out, folder=True):
        check_place(given, FILES, "what is made")
    out = given or shipped_folder(preset)
    return Report(make(preset, out, progress.to_stream()))


def info(arguments: argparse.Namespace) -> Report:
    """Read the figures of what is there, or measure them anew."""
    preset = preset_of(arguments.preset)
    if arguments.measure:
        from metasae.release.material import shipped_folder
        from metasae.release.measure import measure

        return Report(measure(preset, shipped_folder(preset), progress.to_stream()))
    from metasae.lab.stored_report import stored_report

    return Report(stored_report(preset))


@dataclass(frozen=True)
class Examined:
    """What the doctor found."""

    examination: "Examination"

    @property
    def fine(self) -> bool:
        """Whether all is as it should be; the exit code says it."""
        return self.examination.fine

    def to_dict(self) -> dict[str, Any]:
        """See `arguments.Result`."""
        return self.examination.to_dict()

    def text(self) -> str:
        """See `arguments.Result`."""
        return self.examination.markdown().rstrip()


def doctor(arguments: argparse.Namespace) -> Examined:
    """Examine a preset."""
    from metasae.release.doctor import examine
    from metasae.sources.files import written_whole

    preset = preset_of(arguments.preset)
    out = writable(arguments.out)
    found = Examined(examine(preset, arguments.text, arguments.quick, progress.to_stream()))
    if out is not None:
        with written_whole(out) as part:
            part.write_text(found.examination.markdown(), "utf-8")
    return found
