"""How a page looks to who reads it: whether it fits, is a text cut off, where the focus is."""

from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Locator, Page

from tests.browser.watching import Traffic

WIDTHS = (400, 640, 768, 1280, 1920)
"""Of a phone, of a screen of 1280 at twice the size, of a tablet, a laptop, a large screen."""

_CUT = r"""() => {
  const cut = [];
  const main = document.querySelector(".stMain");
  for (const one of [document.documentElement, main])
    if (one.scrollWidth > one.clientWidth)
      cut.push(`page: ${one.scrollWidth} > ${one.clientWidth}`);
  const hidden = (one) =>
    one.closest("[data-testid=stSidebar], .read-out, canvas, [aria-hidden=true]") ||
    !one.checkVisibility({visibilityProperty: true, opacityProperty: true});
  const box = (one) => one.getBoundingClientRect();
  const outside = (text, frame) => text.right > frame.right + 1.5 || text.left < frame.left - 1.5;
  for (const one of main.querySelectorAll("*")) {
    if (one.closest("svg") || hidden(one)) continue;
    if (one.placeholder && !one.value) {
      const style = getComputedStyle(one), pen = document.createElement("canvas").getContext("2d");
      pen.font = style.font;
      const room = one.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
      if (pen.measureText(one.placeholder).width > room + 1)
        cut.push(`placeholder: ${one.placeholder}`);
    }
    if (![...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    const range = document.createRange();
    range.selectNodeContents(one);
    const text = box(range), said = one.textContent.trim().slice(0, 80);
    let frame = one, scrolls = false;
    for (; frame !== main && !scrolls; frame = frame.parentElement) {
      const style = getComputedStyle(frame);
      if (box(frame).width <= 1 || style.clipPath !== "none") break;  // only to be heard
      scrolls = /auto|scroll/.test(style.overflowX) && frame.scrollWidth > frame.clientWidth;
      if (!scrolls && style.overflowX !== "visible" && outside(text, box(frame))) {
        cut.push(`cut: ${said}`);
        break;
      }
    }
    if (frame === main && outside(text, {left: 0, right: innerWidth})) cut.push(`off: ${said}`);
  }
  for (const one of main.querySelectorAll("svg text")) {
    if (hidden(one) || !one.textContent.trim()) continue;
    const frame = box(one.closest("svg")), room = 4;  // above and below letters there is some
    if (outside(box(one), {left: frame.left - room, right: frame.right + room}))
      cut.push(`picture: ${one.textContent}`);
  }
  for (const one of main.querySelectorAll("[data-testid=stVegaLiteChart]"))
    if (!one.closest("[aria-label]") && !one.querySelector("[aria-label]:not([aria-label=''])"))
      cut.push("a picture without words");
  return [...new Set(cut)];
}"""


def cut_off(page: Page) -> list[str]:
    """What doesn't fit: a page that scrolls sideways, and texts of which a part can't be seen."""
    found: list[str] = page.evaluate(_CUT)
    return found


def cut_off_at_all_widths(page: Page, traffic: Traffic) -> list[str]:
    """The same at each width, with the width before it; the page is left at the last of them."""
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        traffic.settle()
        found += [f"{width}: {one}" for one in cut_off(page)]
    return found


_FOCUSED = r"""() => {
  const one = document.activeElement;
  if (!one || one === document.body || one === document.documentElement) return null;
  window.stops ??= new Map();
  if (!stops.has(one)) stops.set(one, stops.size);
  const marked = one.closest("label") ?? one;
  const ringed = [one, marked, one.parentElement, one.closest("[data-baseweb], [role=group]")]
    .filter(Boolean)
    .some((part) => {
      const style = getComputedStyle(part);
      return (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) ||
        (part !== one && part.matches(":focus-within") && style.boxShadow !== "none");
    });
  const place = (marked.getBoundingClientRect().width > 1 ? marked : one).getBoundingClientRect();
  const shown = (part) =>
    !part || (getComputedStyle(part).opacity !== "0" && shown(part.parentElement));
  const there = document.elementFromPoint(
    place.left + Math.min(place.width / 2, 40), place.top + Math.min(place.height / 2, 12));
  return {
    number: stops.get(one), ringed,
    seen: there !== null && shown(one) &&
      (one.closest("[data-testid=stDataFrame], [data-testid=stSlider]") ?? marked).contains(there),
    name: (one.getAttribute("aria-label") || one.textContent || one.tagName).trim().slice(0, 60),
    tag: one.tagName.toLowerCase(),
    whole: one.matches(".stMain"),
  };
}"""


@dataclass(frozen=True)
class Stop:
    """Where the focus is.

    Attributes:
        number: of the element, in the order they were come to.
        ringed: whether something is drawn around it.
        seen: whether nothing lies above it, and it is on screen.
        name: how it is called.
        whole: whether it is the whole page, which the arrows scroll.
    """

    number: int
    ringed: bool
    seen: bool
    name: str
    tag: str
    whole: bool


def focused(page: Page) -> Stop | None:
    """Where the focus is; None when it is nowhere on the page."""
    found: dict[str, Any] | None = page.evaluate(_FOCUSED)
    return None if found is None else Stop(**found)


def walk(page: Page, most: int = 200) -> list[Stop]:
    """Every stop of the Tab key from the top of the page to its end.

    Raises:
        AssertionError: when it has no end.
    """
    stops: list[Stop] = []
    for _ in range(most):
        page.keyboard.press("Tab")
        stop = focused(page)
        if stop is None:
            return stops
        # A table has a stop a column, and its cells take the focus from its picture and back.
        table = ("canvas", "td")
        last = stops[-1] if stops else None
        if last and {stop.tag, last.tag} <= set(table) and last.number - stop.number in (0, 1):
            continue
        assert stop.number == len(stops), f"the focus came back to {stop}"
        stops.append(stop)
    raise AssertionError(f"more than {most} stops, the last at {stops[-1]}")


def tab_to(page: Page, there: Locator, most: int = 120) -> None:
    """Press Tab until the focus is on an element.

    Raises:
        AssertionError: when it never comes there.
    """
    for _ in range(most):
        page.keyboard.press("Tab")
        if there.evaluate("one => one.contains(document.activeElement)"):
            return
    raise AssertionError(f"Tab doesn't lead to {there}, but to {focused(page)}")
