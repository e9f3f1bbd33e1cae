"""Where in the explorer one is, as the address says it."""

from dataclasses import dataclass

import streamlit as st

from metasae.explorer.explorer import Explorer
from workbench import session


@dataclass(frozen=True)
class Place:
    """Where in the explorer one is: what the address says beside the session's view.

    Attributes:
        latent: the one that is open; None where what a search found is shown instead.
        query: what was searched.
        token: position of the token of it that is looked at.
    """

    latent: int | None
    width: int
    query: str = ""
    token: int | None = None

    def to_query(self) -> dict[str, str]:
        """As query parameters."""
        said = {"latent": self.latent, "width": self.width, "q": self.query or None,
                "token": self.token}  # fmt: skip
        return {name: str(value) for name, value in said.items() if value is not None}


def starts(explorer: Explorer) -> tuple[int, ...]:
    """A latent of each city of the pair the workbench opens on: what is shown without a link."""
    cities = [explorer.lab.city_record(name) for name in explorer.lab.opening]
    return tuple(city.latents[0].latent for city in cities if city.latents)


def place(explorer: Explorer) -> Place:
    """What the address asks for; a wrong number is said and the default shown."""
    lab = explorer.lab
    query = st.query_params
    width = number_in(query.get("width", ""), lab.n_latents)
    if width not in explorer.widths:
        session.notify(f"There is no SAE of {width:,} latents; the widest is shown.")
        width = lab.n_latents
    typed = query.get("q", "")[:600]
    # The Graph page has several under the same name: a step back to this page finds the first.
    asked = query.get("latent", "").partition(",")[0]
    if typed.strip() and not asked:
        token = number_in(query.get("token", ""), -1)
        return Place(None, width, typed, None if token < 0 else token)
    latent = number_in(asked, next(iter(starts(explorer)), 0) if width == lab.n_latents else 0)
    if not 0 <= latent < width:
        session.notify(f"There is no latent {latent}: this SAE has 0 to {width - 1}.")
        latent = 0
    return Place(latent, width, typed)


def asked_meta(explorer: Explorer) -> int | None:
    """The meta-latent the address asks for, if any; a wrong one is said and the first shown."""
    asked = st.query_params.get("meta", "")
    if not asked:
        return None
    meta = number_in(asked, -1)
    if 0 <= meta < explorer.lab.n_meta:
        return meta
    last = explorer.lab.n_meta - 1
    session.notify(f"There is no meta-latent {asked[:20]}: there are 0 to {last}.")
    return 0


def number_in(text: str, default: int) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else default


def asked_width(explorer: Explorer) -> int:
    """The SAE the address asks for; the open one where it names none there is."""
    width = number_in(st.query_params.get("width", ""), explorer.lab.n_latents)
    return width if width in explorer.widths else explorer.lab.n_latents
