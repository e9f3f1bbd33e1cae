"""Any name a person types: its latents and the model's answers about it, found on the spot."""

import functools
from collections.abc import Mapping

from metasae.errors import UserError
from metasae.lab.city_records import Answers, CityRecord, NameRecord
from metasae.lab.name_latents import activations_on
from metasae.lab.own_answers import own_answers
from metasae.lab.ranking import ranked, shared
from metasae.lab.reference_names import ReferenceNames
from metasae.lm.language_model import LanguageModel
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.text.cities import city_called, near_city
from metasae.text.names import one_line

LONGEST = 16
"""Tokens of a name that is looked up."""

_KEPT = 256
"""Names that are looked up once; those asked for longest ago are forgotten."""


class AnyName:
    """Looks names up: in the table of cities, else in the model and the SAE.

    Args:
        records: the table, by name.
        reference: what a name's latents are told apart by.
        median_norm: of the residual stream at the hook.
    """

    def __init__(
        self,
        model: LanguageModel,
        sae: SparseAutoencoder,
        records: Mapping[str, CityRecord],
        reference: ReferenceNames,
        median_norm: float,
    ) -> None:
        self._model, self._sae, self._median_norm = model, sae, median_norm
        self._records, self._reference = records, reference
        self._found = functools.lru_cache(maxsize=_KEPT)(self._look_up)
        self._told = functools.lru_cache(maxsize=_KEPT)(functools.partial(own_answers, model))

    def record(self, typed: str) -> NameRecord:
        """A city of the table, or any other name with its latents.

        Raises:
            UserError: for a name that is empty or too long.
        """
        city = city_called(typed)
        name = one_line(typed) if city is None else city.name
        return self._records.get(name) or self._found(name)

    def _look_up(self, name: str) -> NameRecord:
        count = len(self._model.encode(" " + name)) if name else 0
        if count == 0:
            raise UserError("There is no name; type a city, a person, or any word or phrase.")
        if count > LONGEST:
            raise UserError(
                f'"{name[:60]}" has {count} tokens, and a name at most {LONGEST}; type a shorter '
                "one."
            )
        active = activations_on(self._model, self._sae, name, self._median_norm)
        return NameRecord(name, ranked(self._reference, name, active))

    def answers(self, name: str) -> Answers:
        """What is answered about a name: the table's facts, else what the model itself says."""
        city = self._records.get(name)
        return self._told(name) if city is None else city.told

    def sharing(self, record: NameRecord) -> str:
        """That a name has no latent of its own, and what it shares instead; else empty."""
        return shared(record, self._reference)

    def meant(self, record: NameRecord) -> str:
        """Which city a name without facts may have been meant for, as a question; else empty."""
        near = None if record.name in self._records else near_city(record.name)
        return "" if near is None else f'For "{record.name}", did you mean {near}?'
