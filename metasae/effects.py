"""What an edit did besides what was asked of it, and whether chance would have done the same.

*Side effects*: how far the edit moves the next-token distribution on neutral text, and what it
does to other cities on which the source's latents fire too. *Controls*: random edits of the same
size; a pattern that they reach as often as the real combinations do says nothing about
meta-latents. *Ways*: what each further way of editing adds to the patterns a pair can reach.

Shapes: R rows of text, T positions, D = d_model, V vocabulary, S source latents, N edits, P changed
pieces, A answers.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from metasae import autoencoders
from metasae.activations import not_massive
from metasae.batch_topk import with_threshold
from metasae.catalogue import STRONG
from metasae.cities import find_city
from metasae.decomposition import Decomposition
from metasae.edits import HUNDRED, Compiled, Edit, Firing
from metasae.errors import UserError
from metasae.estimate import rounds, usual_budget
from metasae.lab import BYSTANDER, Lab
from metasae.locate import OWN, activation_table, selectivity
from metasae.model import Prefilled
from metasae.progress import Progress, silent
from metasae.prompts import fill
from metasae.search import CHUNK, Chunk, Combinations, Engine, Found, Leaders, judge, named, scan
from metasae.steering import Case, Outcome, Prepared, Question, Subject
from metasae.trees import TokenTree

WITH_CITY: tuple[str, ...] = (
    "The train to {city} leaves from the second platform at half past nine.",
    "Her brother works for a bakery in {city} and gets up before four.",
    "When the letter from {city} arrived, nobody was at home to open it.",
    "They walked through {city} for hours and never found the little bookshop.",
    "In {city} the team lost its last match by a single point.",
    "Our flight was delayed, so we reached {city} long after the shops had closed.",
    "The library of {city} lends tools and board games as well as novels.",
    "A storm passed over {city} last night and broke several windows.",
    "He keeps an old map of {city} above his desk and looks at it when he is tired.",
    "Most people in {city} take the bus, because parking is difficult.",
    "The engineer from {city} explained why the bridge had to be repainted.",
    "I once met a painter in {city} who only used three colours.",
)
"""Neutral sentences that mention the source once, with something to predict after it."""

WITHOUT_CITY: tuple[str, ...] = (
    "The kettle was still warm when she came back from the garden.",
    "If the dough is too dry, add a spoonful of water and knead it again.",
    "He had forgotten the password, so he wrote to the support desk.",
    "Most of the apples were picked before the first frost.",
    "The second chapter explains how the experiment was set up.",
    "My neighbour repairs bicycles in his spare time and never charges much.",
    "Please send the form back by Friday, signed on both pages.",
    "A heavy door separates the kitchen from the rest of the house.",
    "They could not agree on a name for the dog until the very last day.",
    "The river is low at this time of the year, and boats stay in the harbour.",
    "She plays the violin on Mondays and the drums whenever she is angry.",
    "Nothing in the report suggests that the price will rise again soon.",
)
"""Neutral sentences about no place at all."""

OTHER_CITIES = 8
"""Cities that share latents with the source whose facts are asked."""

DRAWS = 64
"""Random edits of each kind a found edit is set against."""

HIGHER_K = 6.0
"""Mean number of meta-latents a latent has under the lower threshold, instead of 4."""

MOST_A_WAY = 4096
"""Combinations up to which all of one way of editing are scored; of more, those an estimate
chooses."""

COMPANY = 6
"""Further cities against which a smaller SAE's latents are measured for selectivity."""


@dataclass(frozen=True)
class Divergence:
    """How far an edit moves the next-token distribution on some sentences.

    Attributes:
        mean: KL(unedited ‖ edited), in nats a token, over the positions from the first changed one
            on; a sentence the edit does not change counts with zeros at all its positions.
        largest: at one position.
        positions: what the mean is over.
        changed: sentences in which the edit changes something, of ``sentences``.
    """

    mean: float
    largest: float
    positions: int
    changed: int
    sentences: int


@dataclass(frozen=True)
class OtherCity:
    """Another city with some of the source's latents, under the edit wherever those fire.

    Attributes:
        activation: summed over the shared latents, as the city's record has it.
        fired: whether a source latent fired in one of its prompts.
        known: facts the unedited model answers as it should and could lose: those on which the
            source, the target and this city do not all agree.
        lost: attributes of those facts whose likeliest answer is now the source's or the target's.
    """

    name: str
    activation: float
    fired: bool
    known: int
    lost: tuple[str, ...]


@dataclass(frozen=True)
class SideEffects:
    """What an edit did where it was to do nothing.

    Attributes:
        with_city: on neutral text about the source, edited as in use.
        without_city: on neutral text about no place, edited as in use: nothing at "last", since
            there is no name to edit.
        leak: on the same text, edited wherever the source's latents fire.
        others: cities that share latents with the source, by their records; none if none do.
    """

    with_city: Divergence
    without_city: Divergence
    leak: Divergence
    others: tuple[OtherCity, ...]

    @property
    def facts(self) -> int:
        """Known facts of the other cities."""
        return sum(city.known for city in self.others)

    @property
    def held(self) -> int:
        """Those of them that still hold."""
        return self.facts - sum(len(city.lost) for city in self.others)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values; divergences in nats a token."""
        return asdict(self) | {"facts": self.facts, "held": self.held}


def kl(before: Float[Tensor, "N V"], after: Float[Tensor, "N V"]) -> Float[Tensor, " N"]:
    """KL(before ‖ after) in nats, from logits."""
    was, now = before.log_softmax(-1), after.log_softmax(-1)
    # What rounding leaves below zero is zero.
    return (was.exp() * (was - now)).sum(-1).clamp(min=0.0)


@dataclass(frozen=True)
class _Text:
    """Rows of tokens run unedited, and where an edit may act.

    Attributes:
        usable: real positions that are neither the start token's nor massive activations.
    """

    prefilled: Prefilled
    firing: Firing
    usable: Bool[Tensor, "R T"]

    @cached_property
    def fires(self) -> Bool[Tensor, "R T"]:
        """Where some source latent fires."""
        return (self.firing.source > 0).any(-1).view(self.usable.shape) & self.usable

    def edited(
        self, compiled: Compiled, where: Bool[Tensor, "R T"]
    ) -> tuple[Bool[Tensor, "R T"], Float[Tensor, "R T D"]]:
        """Where an edit changes the residual stream, and the hidden states after the last block.

        Args:
            where: positions it is made at.
        """
        resid = self.prefilled.resid
        change = compiled.change(self.firing).view(resid.shape) * where[..., None]
        changed = change.any(-1)
        rows = changed.any(1).nonzero()[:, 0]
        hidden = self.prefilled.final.clone()
        if len(rows):
            hidden[rows] = self.prefilled.finish((resid + change)[rows], rows)
        return changed, hidden

    def divergence(self, compiled: Compiled, where: Bool[Tensor, "R T"]) -> Divergence:
        """What an edit does to the predictions at and after the first place it changes."""
        changed, hidden = self.edited(compiled, where)
        real = self.prefilled.real
        after = (changed.cumsum(1) > 0) & real
        unembed = self.prefilled.blocks.unembed
        places = zip(self.prefilled.final[after].split(64), hidden[after].split(64), strict=True)
        values = torch.cat([kl(unembed(was), unembed(now)) for was, now in places])
        untouched = ~changed.any(1)
        positions = len(values) + int(real[untouched].sum())
        return Divergence(
            mean=float(values.sum()) / positions,
            largest=float(values.max()) if len(values) else 0.0,
            positions=positions,
            changed=int((~untouched).sum()),
            sentences=len(changed),
        )


class Surroundings:
    """What a case's edits should leave alone, run once unedited: build it once for many edits."""

    def __init__(self, lab: Lab, case: Case) -> None:
        self.lab, self.case = lab, case

    @cached_property
    def _about(self) -> tuple[str, ...]:
        """`WITH_CITY` about the source; about the target or bystander if it is no city."""
        case = self.case
        name = case.source.city or case.target.city or BYSTANDER
        return tuple(fill(sentence, name) for sentence in WITH_CITY)

    @cached_property
    def _with_city(self) -> _Text:
        return self._text(self._about)

    @cached_property
    def _on_name(self) -> Bool[Tensor, "R T"]:
        """Where an edit at "last" acts; places are counted from the first token of the text."""
        only = torch.zeros_like(self._with_city.usable)
        for row, sentence in enumerate(self._about):
            only[row, self.case.edit_position(sentence) - 1] = True
        return only & self._with_city.usable

    @cached_property
    def _without_city(self) -> _Text:
        return self._text(WITHOUT_CITY)

    def _text(self, sentences: Sequence[str]) -> _Text:
        model = self.case.model
        rows = [TokenTree.line(model.prompt_tokens(sentence)) for sentence in sentences]
        prefilled = model.prefill(rows, [[1]] * len(rows))
        resid = prefilled.resid
        usable = prefilled.real & not_massive(resid.norm(dim=-1), self.case.median_norm)
        return _Text(prefilled, self.case.firing(resid.flatten(0, 1)), usable)

    @cached_property
    def _sharing(self) -> dict[str, float]:
        """Cities whose records hold some of the source's latents, and how strongly they fire."""
        mine = set(self.case.source.latents)
        found = {
            record.name: sum(one.activation for one in record.latents if one.latent in mine)
            for record in self.lab.records.values()
            if record.name != self.case.source.city
        }
        strongest = sorted(found, key=lambda name: (-found[name], name))[:OTHER_CITIES]
        return {name: found[name] for name in strongest if found[name] > 0}

    @cached_property
    def _facts(self) -> list[tuple[str, Question]]:
        """The known facts of those cities, each asked with its own answer first."""
        facts = []
        for name in self._sharing:
            about = Subject(name, name, (), ())
            bystander = self.case.source.city or BYSTANDER
            known = self.lab.records[name].known
            for question in self.lab.questions(about, self.case.target, bystander):
                if known[question.attribute] and len(question.answers) > 1:
                    facts.append((name, question))
        return facts

    @cached_property
    def _asked(self) -> tuple[Prepared, _Text]:
        case = self.case
        other = Case(
            case.model,
            case.decomposition,
            replace(case.source, city=None),
            case.target,
            [question for _, question in self._facts],
            case.median_norm,
            case.provenance,
        )
        prepared = other.prepared(Edit(position="all"))
        return prepared, _Text(prepared.prefilled, prepared.firing, prepared.touched[None])

    @cached_property
    def _answers_before(self) -> Float[Tensor, " A"]:
        prepared, text = self._asked
        return prepared.read(text.prefilled.final[:, prepared.only])[0]

    def _others(self, compiled: Compiled) -> tuple[OtherCity, ...]:
        fired: set[str] = set()
        known: dict[str, list[str]] = {name: [] for name in self._sharing}
        lost: dict[str, list[str]] = {name: [] for name in self._sharing}
        if self._facts:
            prepared, text = self._asked
            counts = [len(question.answers) for _, question in self._facts]
            before = after = self._answers_before
            if text.fires.any():
                _, hidden = text.edited(compiled, text.fires)
                after = prepared.read(hidden[:, prepared.only])[0]
            rows = zip(
                self._facts, prepared.seen, before.split(counts), after.split(counts), strict=True
            )
            for (name, question), seen, was, now in rows:
                if (text.fires[0] & seen).any():
                    fired.add(name)
                if int(was.argmax()) == 0:
                    known[name].append(question.attribute)
                    if int(now.argmax()) != 0:
                        lost[name].append(question.attribute)
        return tuple(
            OtherCity(name, activation, name in fired, len(known[name]), tuple(lost[name]))
            for name, activation in self._sharing.items()
        )

    def side_effects(self, edit: Edit) -> SideEffects:
        """See `side_effects`."""
        compiled = self.case.compiled(edit)
        about, elsewhere = self._with_city, self._without_city
        everywhere = edit.position == "all"
        return SideEffects(
            with_city=about.divergence(compiled, about.usable if everywhere else self._on_name),
            without_city=elsewhere.divergence(compiled, elsewhere.usable & everywhere),
            leak=elsewhere.divergence(compiled, elsewhere.fires),
            others=self._others(compiled),
        )


def side_effects(lab: Lab, case: Case, edit: Edit) -> SideEffects:
    """What an edit does to neutral text and to other cities; for several edits see `Surroundings`.

    Raises:
        UserError: when the edit does not fit the case.
    """
    return Surroundings(lab, case).side_effects(edit)


@dataclass(frozen=True)
class Pick:
    """The likeliest candidate answer, and whether the model would say it of its own accord.

    Attributes:
        answer: its text.
        top: whether its first token is the likeliest of the whole vocabulary.
        likeliest: the token that is.
    """

    answer: str
    top: bool
    likeliest: str


def top_of_vocabulary(case: Case, edit: Edit) -> dict[str, dict[str, Pick]]:
    """Per attribute the pick "before" and "after" the edit, beside the model's top token.

    Raises:
        UserError: when the edit does not fit the case.
    """
    return _tops(case.score(edit))


def _tops(outcome: Outcome) -> dict[str, dict[str, Pick]]:
    return {
        question.attribute: {
            "before": _pick(outcome, question, "before"),
            "after": _pick(outcome, question, "after"),
        }
        for question in outcome.case.questions
    }


def leads(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """Per attribute the pick after an edit, and its lead over the next candidate, in nats.

    Returns:
        Attribute → ``answer``, ``after``, and ``before``: the same answer's lead on the unedited
        prompt, negative where another was picked; None where there is no other candidate.
    """
    found: dict[str, dict[str, Any]] = {}
    for attribute, rows in outcome.answers.groupby("attribute", sort=False):
        pick = rows.nlargest(1, "logprob")
        others = rows.drop(index=pick.index)
        found[str(attribute)] = {"answer": str(pick["answer"].iloc[0])} | {
            state: None if others.empty else float(pick[column].iloc[0] - others[column].max())
            for state, column in (("before", "baseline"), ("after", "logprob"))
        }
    return found


def _pick(outcome: Outcome, question: Question, state: str) -> Pick:
    answers, tokens = outcome.answers, outcome.top_tokens
    best = answers[(answers["prompt"] == question.prompt) & answers[f"best_{state}"]]
    top = tokens[(tokens["prompt"] == question.prompt) & (tokens["state"] == state)]
    answer = str(best["answer"].iloc[0])
    likeliest = str(top["token"].iloc[0])
    model = outcome.case.model
    first = model.decode(model.encode(" " + answer)[0])
    return Pick(answer, first == likeliest, likeliest)


@dataclass(frozen=True)
class Control:
    """How often chance reaches a pattern.

    Attributes:
        pattern: attribute → moved.
        real: share of the real combinations that reach it.
        random: share of edits in random directions that do; each changes the source's directions by
            as much as the found edit and leaves them as long.
        shuffled: share that do of the found edit with meta-latents neither city has, at the same
            activations, in the place of those it removes and adds.
        draws: of each kind. For the pattern of no change they are those of all other patterns.
        marked: whether a control reaches it at least as often as the real combinations; never for
            the pattern of no change.
    """

    pattern: dict[str, bool]
    real: float
    random: float
    shuffled: float
    draws: int
    marked: bool

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values; a share nobody counted is None."""
        return asdict(self) | {"real": None if math.isnan(self.real) else self.real}


def control(
    case: Case, found: Sequence[Found], draws: int = DRAWS, seed: int = 0
) -> tuple[Control, ...]:
    """Set each found edit against random ones of its size, in the order of ``found``.

    Args:
        found: by a search of this case.
        draws: of each kind, for each edit that changes something.

    Raises:
        UserError: when the pair leaves too few meta-latents to draw from.
    """
    reached = [_drawn(case, one, draws if one.edit.strengths else 0, seed) for one in found]
    pooled = [np.concatenate(kind) for kind in zip(*reached, strict=True)]
    controls = []
    for one, mine in zip(found, reached, strict=True):
        moves = any(one.pattern.values())
        drawn = mine if moves else pooled
        random, shuffled = (_share(case, kind, one) for kind in drawn)
        controls.append(
            Control(
                pattern=one.pattern,
                real=one.reached_by,
                random=random,
                shuffled=shuffled,
                draws=len(drawn[0]),
                marked=moves and max(random, shuffled) >= one.reached_by,
            )
        )
    return tuple(controls)


def _share(case: Case, patterns: np.ndarray, one: Found) -> float:
    code = sum(1 << bit for bit, q in enumerate(case.questions) if one.pattern[q.attribute])
    return float((patterns == code).mean()) if len(patterns) else 0.0


def _drawn(case: Case, one: Found, draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Patterns that random and shuffled edits reach; the same draws for the same edit and seed."""
    if not draws:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    numbers = np.random.default_rng([seed, one.number])
    original = case.decomposition.sae.W_dec[list(case.source.latents)]
    made = original + case.compiled(one.edit).from_source
    changes = random_changes(original, made, draws, numbers)
    shuffled = shuffled_changes(case, one.edit, strangers(case, one.edit, draws, numbers))
    return _patterns(case, one.edit, changes), _patterns(case, one.edit, shuffled)


def random_changes(
    original: Float[Tensor, "S D"],
    made: Float[Tensor, "S D"],
    draws: int,
    numbers: np.random.Generator,
) -> Float[Tensor, "N S D"]:
    """Changes of directions that are random but for two norms: the change's and the result's."""
    before, after = original.double(), made.double()
    length = before.norm(dim=-1, keepdim=True)
    unit = before / length
    # The result's part along the original direction follows from the three norms; the rest of it
    # points anywhere at right angles.
    change = (after - before).square().sum(-1, keepdim=True)
    size = after.square().sum(-1, keepdim=True)
    along = (size + length.square() - change) / (2 * length)
    across = (size - along.square()).clamp(min=0.0).sqrt()
    drawn = torch.from_numpy(numbers.standard_normal((draws, *original.shape)))
    drawn = drawn - (drawn * unit).sum(-1, keepdim=True) * unit
    drawn = drawn / drawn.norm(dim=-1, keepdim=True)
    return (along * unit + across * drawn - before).float()


def strangers(
    case: Case, edit: Edit, draws: int, numbers: np.random.Generator
) -> Int[Tensor, "N P"]:
    """For each piece an edit changes a meta-latent that neither side has, all different.

    Meta-latents that are active on no latent are left out: they are no pieces of anything.

    Raises:
        UserError: when there are fewer of them than the edit changes pieces.
    """
    alive = case.decomposition.activations.col_indices().unique().tolist()
    lacked = sorted(set(alive) - {piece.meta for piece in case.pieces})
    if len(lacked) < len(edit.strengths):
        raise UserError(
            f"The control needs {len(edit.strengths)} meta-latents that neither side has, but "
            f"there are {len(lacked)}; choose fewer latents."
        )
    return torch.from_numpy(
        np.stack([numbers.choice(lacked, len(edit.strengths), False) for _ in range(draws)])
    )


def shuffled_changes(case: Case, edit: Edit, metas: Int[Tensor, "N P"]) -> Float[Tensor, "N S D"]:
    """The changes an edit would make if its pieces' directions were those of other meta-latents.

    Args:
        metas: which, in the order of the edit's strengths.
    """
    decomposition = case.decomposition
    source = list(case.source.latents)
    original = decomposition.sae.W_dec[source]
    pieces = {piece.meta: piece for piece in case.pieces}
    changed = [pieces[meta] for meta, _ in edit.strengths]
    by = torch.tensor([s - pieces[meta].default for meta, s in edit.strengths])
    W_meta = decomposition.meta.W_dec[metas]
    if edit.kind == "hundredfold":
        unit = W_meta / W_meta.norm(dim=-1, keepdim=True)
        made = original + (HUNDRED * torch.einsum("p,npd->nd", by, unit))[:, None]
    else:
        loads = torch.zeros(len(source), len(changed))
        for row, latent in enumerate(source):
            own = decomposition.pieces(latent)
            for column, piece in enumerate(changed):
                other = piece.on_target if piece.side == "target" else 0.0
                loads[row, column] = own.get(piece.meta, other)
        base = original
        if not edit.keep_residual:
            base = torch.stack([decomposition.rebuilt(latent, {}) for latent in source])
        made = base + torch.einsum("sp,npd->nsd", by * loads, W_meta)
    size = original.norm(dim=-1, keepdim=True) / made.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    return made * size - original


def _patterns(case: Case, edit: Edit, changes: Float[Tensor, "N S D"]) -> np.ndarray:
    prepared = case.prepared(edit)
    scores = [prepared.logprobs(some, not edit.keep_error) for some in changes.split(CHUNK // 4)]
    return judge(case, torch.cat(scores)).pattern


def honestly(
    lab: Lab, case: Case, found: Sequence[Found], progress: Progress = silent
) -> list[dict[str, Any]]:
    """What each found edit did besides, and whether chance would have done the same.

    Returns:
        For each edit ``side_effects``, ``control``, ``top`` and ``leads`` as JSON-able values;
        ``top`` says per attribute whether the pick is the likeliest token of the whole vocabulary,
        ``leads`` is that of `leads`.

    Raises:
        UserError: when the pair leaves too few meta-latents to draw controls from.
    """
    around = Surroundings(lab, case)
    notes: list[dict[str, Any]] = []
    for number, one in enumerate(found, 1):
        sides = around.side_effects(one.edit).to_dict()
        outcome = case.score(one.edit)
        top = {attribute: asdict(pick["after"]) for attribute, pick in _tops(outcome).items()}
        notes.append({"side_effects": sides, "top": top, "leads": leads(outcome)})
        progress("Measuring side effects", number / len(found), f"{number} of {len(found)} edits")
    progress("Trying random edits", 0.0, "")
    for note, against in zip(notes, control(case, found), strict=True):
        note["control"] = against.to_dict()
    return notes


@dataclass(frozen=True)
class Reached:
    """A pattern one way of editing reaches, with its clearest edit.

    Attributes:
        margin: as in `Found`, nats.
        new: whether the default way does not reach it.
    """

    pattern: dict[str, bool]
    edit: Edit
    margin: float
    new: bool


@dataclass(frozen=True)
class Way:
    """One way of editing a pair, beside the default.

    Attributes:
        name: what differs.
        source_latents, target_latents: what is edited, and towards what.
        removable, addable: own pieces of the source and of the target.
        combinations: there are.
        searched: of them.
        reached: the patterns, no change included, fewest moves first.
        seconds: it took, its preparation included.
        note: why not all was searched, or nothing; empty otherwise.
    """

    name: str
    source_latents: tuple[int, ...]
    target_latents: tuple[int, ...]
    removable: int
    addable: int
    combinations: int
    searched: int
    reached: tuple[Reached, ...]
    seconds: float
    note: str

    @property
    def added(self) -> tuple[Reached, ...]:
        """What the default way does not reach."""
        return tuple(one for one in self.reached if one.new)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values."""
        reached = [asdict(one) | {"edit": one.edit.to_dict()} for one in self.reached]
        return asdict(self) | {"reached": reached}


GRID = ((0.0, -1.0), (1.0, 2.0))
"""Strengths of removed and of added pieces on the grid."""


@dataclass(frozen=True)
class _Plan:
    """A way of editing, before it is tried."""

    name: str
    case: Callable[[], Case]
    options: Edit = field(default_factory=Edit)
    removed: tuple[float, ...] = (0.0,)
    added: tuple[float, ...] = (1.0,)


def ways(
    lab: Lab,
    source: Subject,
    target: Subject,
    most: int = MOST_A_WAY,
    progress: Progress = silent,
) -> tuple[Way, ...]:
    """What each further way of editing adds to what the default reaches; the default comes first.

    A way that does not work for the pair comes with nothing reached and a note that says why.

    Args:
        most: combinations up to which all of a way are scored; of more, those that promise most
            (see `estimate.rounds`).

    Raises:
        UserError: when source and target are the same.
    """
    default = lab.case(source, target)

    def best_only() -> Case:
        return lab.case(_best(source), _best(target))

    def higher_k() -> Case:
        whole = lab.decomposition
        meta = with_threshold(whole.meta, whole.sae.W_dec, HIGHER_K)
        return _moved(default, Decomposition(whole.sae, meta), source, target)

    plans = [
        _Plan("default", lambda: default),
        _Plan("best latent of each only", best_only),
        _Plan("strengths −1 and 2 as well", lambda: default, Edit(), *GRID),
        _Plan(f"{HIGHER_K:g} meta-latents a latent", higher_k),
        _Plan("meta-SAE's residual kept", lambda: default, Edit(keep_residual=True)),
        _Plan("SAE's error dropped", lambda: default, Edit(keep_error=False)),
        _Plan("the post's variant (hundredfold)", lambda: default, Edit("hundredfold")),
    ]
    plans += [
        _Plan(f"latents of the {width:,}-wide SAE", partial(_narrower, default, lab, width))
        for width in sorted(width for width in lab.preset.widths if width < lab.n_latents)[-1:]
    ]
    found: list[Way] = []
    for number, plan in enumerate(plans):
        progress("More ways to edit", number / len(plans), plan.name)
        found.append(_tried(plan, most, found[0] if found else None))
    progress("More ways to edit", 1.0, "")
    return tuple(found)


def _tried(plan: _Plan, most: int, default: Way | None) -> Way:
    began = time.perf_counter()
    known = [one.pattern for one in default.reached] if default else None
    try:
        case = plan.case()
        combinations = Combinations.of(case, plan.options, plan.removed, plan.added)
        engine = Engine(case, combinations)
        some = min(most, usual_budget(len(combinations)))
        chunks = scan(engine) if len(combinations) <= most else rounds(engine, some)
        searched, reached = _reached(engine, chunks, known)
    except UserError as error:
        seconds = time.perf_counter() - began
        return Way(plan.name, (), (), 0, 0, 0, 0, (), seconds, str(error))
    sides = [piece.side for piece in case.pieces]
    note = ""
    if searched < len(combinations):
        note = f"{searched:,} of {len(combinations):,} combinations, chosen by estimate"
    return Way(
        name=plan.name,
        source_latents=case.source.latents,
        target_latents=case.target.latents,
        removable=sides.count("source"),
        addable=sides.count("target"),
        combinations=len(combinations),
        searched=searched,
        reached=reached,
        seconds=time.perf_counter() - began,
        note=note,
    )


def _reached(
    engine: Engine, chunks: Iterable[Chunk], known: Sequence[dict[str, bool]] | None
) -> tuple[int, tuple[Reached, ...]]:
    """How many combinations were scored, and the patterns they reach."""
    leaders = Leaders()
    margins: dict[int, float] = {}
    for chunk in chunks:
        leaders.see(chunk)
        numbers = chunk.numbers.tolist()
        margins |= dict(zip(numbers, chunk.judged.margin.tolist(), strict=True))
    found = []
    for code, number in leaders.best().items():
        pattern = named(engine.case, code)
        new = known is not None and pattern not in known
        found.append(Reached(pattern, engine.combinations.edit(number), margins[number], new))
    found.sort(key=lambda one: (sum(one.pattern.values()), -one.margin))
    return len(margins), tuple(found)


def _best(subject: Subject) -> Subject:
    """A subject with its first latent only."""
    return replace(subject, latents=subject.latents[:1], activations=subject.activations[:1])


def _moved(case: Case, decomposition: Decomposition, source: Subject, target: Subject) -> Case:
    """The same questions on another decomposition."""
    return Case(
        case.model,
        decomposition,
        source,
        target,
        case.questions,
        case.median_norm,
        case.provenance,
    )


def _narrower(case: Case, lab: Lab, width: int) -> Case:
    """The same pair on a smaller SAE whose decoder directions the same meta-SAE takes apart.

    Raises:
        UserError: when one side is no city, or the SAE is missing or damaged.
    """
    pair = [case.source.city, case.target.city]
    if None in pair:
        raise UserError("Latents chosen by number belong to one SAE; choose two cities instead.")
    sae = autoencoders.open_sae(lab.preset.sae(width))
    names = [*map(str, pair), *_company(lab, case)]
    table = activation_table(lab.model, sae, [find_city(n) for n in names], lab.median_norm)
    share = selectivity(table)
    sides = [_located(name, table[row], share[row]) for row, name in enumerate(names[:2])]
    return _moved(case, Decomposition(sae, lab.decomposition.meta), *sides)


def _company(lab: Lab, case: Case) -> list[str]:
    """Cities a pair's latents are told apart from: half of them, if there are, compatriots."""
    pair = [lab.records[name] for name in (case.source.city, case.target.city) if name]
    others = [record for record in lab.records.values() if record not in pair]
    near = [r for r in others if r.country in {city.country for city in pair}][: COMPANY // 2]
    far = [record for record in others if record not in near]
    spread = np.linspace(0, len(far) - 1, COMPANY - len(near)).round().astype(int)
    return [record.name for record in (*near, *(far[n] for n in spread))]


def _located(name: str, activation: Float[Tensor, " F"], share: Float[Tensor, " F"]) -> Subject:
    """A city by the latents that are its own; else by the one most active and selective."""
    score = activation * share
    own = torch.where(share > OWN, activation, 0.0)
    chosen = (own > 0) & (own >= STRONG * own.max())
    if not chosen.any():
        chosen[score.argmax()] = True
    latents = sorted(chosen.nonzero()[:, 0].tolist(), key=lambda latent: -float(score[latent]))
    return Subject(name, name, tuple(latents), tuple(activation[latents].tolist()))
