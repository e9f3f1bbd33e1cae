"""Where in the explorer one is, as the address says it."""

from dataclasses import dataclass

import streamlit as st

from metasae.explorer.explorer import Explorer
from workbench import session

_START = "Tokyo"
"""City whose latent is shown to someone who comes without a link."""


@dataclass(frozen=True)
class Place:
    """Where in the explorer one is: what the address says beside the session's view."""

    latent: int
    width: int
    query: str = ""

    def to_query(self) -> dict[str, str]:
        """As query parameters."""
        query = {"latent": str(self.latent), "width": str(self.width)}
        return query | ({"q": self.query} if self.query else {})


def place(explorer: Explorer) -> Place:
    """What the address asks for; a wrong number is said and the default shown."""
    lab = explorer.lab
    query = st.query_params
    width = number_in(query.get("width", ""), lab.n_latents)
    if width not in explorer.widths:
        session.notify(f"There is no SAE of {width:,} latents; the widest is shown.")
        width = lab.n_latents
    default = lab.city_record(_START).latents
    # The Graph page has several under the same name: a step back to this page finds the first.
    latent = number_in(
        query.get("latent", "").partition(",")[0], default[0].latent if default else 0
    )
    if not 0 <= latent < width:
        session.notify(f"There is no latent {latent}: this SAE has 0 to {width - 1}.")
        latent = 0
    return Place(latent, width, query.get("q", "")[:300])


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
