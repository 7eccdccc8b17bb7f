"""An SVG of all figures: a group of bars for each work, readable on a light and on a dark page."""

from xml.sax.saxutils import escape

import peers
import report

WIDTH, LEFT, BAR, GAP = 860, 150, 15, 30
RIGHT = 150

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; font-size: 13px; }
.unit { fill: #59636e; }
.peer { fill: #8c959f; } .subject { fill: #0969da; } .floor { fill: #d0d7de; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .unit { fill: #9198a1; }
  .peer { fill: #6e7681; } .subject { fill: #4493f8; } .floor { fill: #3d444d; }
}
"""


def bar_class(outcome, name):
    if name == outcome.subject:
        return "subject"
    return "floor" if name == peers.FLOOR.name else "peer"


def bars(outcome, top):
    measured = outcome.measured()
    names = report.programs_in([outcome])
    longest = max(series.median() for series in measured.values()) or 1
    parts = []
    for row, name in enumerate(names):
        value = measured[name].median()
        y = top + row * (BAR + 3)
        length = max(1, value / longest * (WIDTH - LEFT - RIGHT))
        parts.append(
            f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="{bar_class(outcome, name)}" x="{LEFT}" y="{y}" rx="2" '
            f'width="{length:.1f}" height="{BAR}"/>'
            f'<text x="{LEFT + length + 6:.1f}" y="{y + 12}">{escape(report.number(value))}</text>'
        )
    return parts, top + len(names) * (BAR + 3)


def draw(outcomes):
    parts, y = [], 28
    for outcome in outcomes:
        if not outcome.measured():
            continue
        parts.append(
            f'<text class="title" x="8" y="{y}">{escape(outcome.title)}'
            f'<tspan class="unit" font-weight="400">  {escape(outcome.unit)}</tspan></text>'
        )
        group, y = bars(outcome, y + 9)
        parts += group
        y += GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" '
        f'viewBox="0 0 {WIDTH} {y}"><style>{STYLE}</style>'
    )
    return "\n".join([head, *parts, "</svg>"]) + "\n"


def write(path, outcomes):
    with open(path, "w") as file:
        file.write(draw(outcomes))
