"""Pieces of a self-contained HTML page: tiles, figures, tables; everything that comes from outside is escaped."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from matplotlib.figure import Figure

from invarion.evaluation.plots import to_data_uri
from invarion.evaluation.wording import spell

PIXELS_PER_INCH = 100
"""At which figures are shown; they hold more, for fine screens."""

STYLE = """
:root { color-scheme: light; --ink: #1d2939; --soft: #667085; --line: #e4e7ec; --accent: #0072b2; }
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: var(--ink);
  background: #f5f6f8; margin: 0; }
main { max-width: 1080px; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 0 0 .4rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
p { margin: .3rem 0 .8rem; max-width: 75ch; }
.soft { color: var(--soft); }
.lead { font-size: 1.1rem; }
section { background: white; border: 1px solid var(--line); border-radius: 10px; padding: 1.2rem 1.4rem;
  margin: 1.1rem 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: .9rem; margin: 1.1rem 0; }
.tile { background: white; border: 1px solid var(--line); border-radius: 10px; padding: .8rem 1.1rem; }
.tile b { display: block; font-size: 1.7rem; line-height: 1.3; color: var(--accent); font-weight: 650; }
.tile i { font: 500 1rem system-ui, "DejaVu Sans", sans-serif; color: var(--soft); }
.tile small { color: var(--soft); display: block; }
img { max-width: 100%; height: auto; display: block; margin: .6rem auto; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 1rem; align-items: start; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; margin: .3rem 0 .9rem; }
th, td { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.warn { border-left: 4px solid #d55e00; padding-left: .8rem; }
.good { border-left: 4px solid #009e73; padding-left: .8rem; }
pre { background: #f5f6f8; padding: .8rem; overflow-x: auto; font-size: .85rem; border-radius: 6px; }
summary { cursor: pointer; color: var(--accent); }
"""


def render_page(title: str, parts: Sequence[str]) -> str:
    """A whole page; `parts` are HTML already."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = "\n".join(part for part in parts if part)
    styled = f"<head>{head}<style>{STYLE}</style></head>"
    return f'<!doctype html>\n<html lang="en">{styled}\n<body><main>{body}</main></body></html>\n'


def render_section(title: str, *parts: str) -> str:
    """A titled box; empty if there is nothing to put in."""
    content = "\n".join(part for part in parts if part)
    return f"<section><h2>{escape(title)}</h2>\n{content}</section>" if content else ""


def render_tiles(tiles: Sequence[tuple[str, str, str, str]]) -> str:
    """Large figures side by side: (what, value, unit, remark)."""
    inside = "".join(
        f'<div class="tile"><small>{escape(name)}</small><b>{escape(value)} <i>{escape(unit)}</i></b>'
        f"<small>{escape(note)}</small></div>"
        for name, value, unit, note in tiles
    )
    return f'<div class="tiles">{inside}</div>'


def render_text(text: str, kind: str = "") -> str:
    """A paragraph; kind is a class of the style, e.g. "soft", "lead", "good", "warn"."""
    return f'<p class="{kind}">{escape(text)}</p>'


def render_figure(figure: Figure | None, alt: str) -> str:
    """A picture inside the page; nothing without a figure."""
    if figure is None:
        return ""
    width = round(PIXELS_PER_INCH * figure.get_figwidth())
    return f'<img alt="{escape(alt)}" width="{width}" src="{to_data_uri(figure)}">'


def render_pair(*parts: str) -> str:
    """Things side by side where the window is wide enough."""
    kept = [part for part in parts if part]
    return f'<div class="pair">{"".join(f"<div>{part}</div>" for part in kept)}</div>' if kept else ""


def render_table(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """A table whose columns are the keys of the first row; numbers to the right; nothing without rows."""
    if not rows:
        return ""
    names = list(rows[0])
    numeric = {name: all(_is_number(row.get(name)) for row in rows) for name in names}
    head = "".join(_cell("th", escape(name), numeric[name]) for name in names)
    body = "".join(
        "<tr>" + "".join(_cell("td", escape(spell(row.get(n))), numeric[n]) for n in names) + "</tr>" for row in rows
    )
    heading = f"<h3>{escape(title)}</h3>" if title else ""
    return f'{heading}<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def render_facts(facts: Mapping[str, Any]) -> str:
    """Names and values as two columns; values that are None are left out."""
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(spell(value))}</td></tr>"
        for name, value in facts.items()
        if value is not None
    )
    return f'<div class="scroll"><table>{rows}</table></div>'


def render_code(text: str) -> str:
    """Lines to copy."""
    return f"<pre>{escape(text)}</pre>"


def render_details(summary: str, text: str) -> str:
    """Text that is folded away until asked for."""
    return f"<details><summary>{escape(summary)}</summary><pre>{escape(text)}</pre></details>"


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _cell(tag: str, text: str, numeric: bool) -> str:
    return f'<{tag} class="number">{text}</{tag}>' if numeric else f"<{tag}>{text}</{tag}>"
