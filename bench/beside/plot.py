"""Bars and lines as SVG, with nothing but text."""

from collections.abc import Mapping, Sequence
from html import escape
from math import log10

COLOURS = {
    "compiled": "#1d4ed8",
    "plain": "#93c5fd",
    "nginx": "#15803d",
    "haproxy": "#65a30d",
    "envoy": "#be185d",
    "traefik": "#ea580c",
    "caddy": "#a16207",
}
WIDTH, ROW, LEFT, TOP = 760, 15, 190, 46


def text(x: float, y: float, what: str, more: str = "") -> str:
    """A label."""
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(what)}</text>'


def page(height: float, title: str, parts: Sequence[str]) -> str:
    """The whole picture."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" font-family="sans-serif"'
        f' font-size="11"><rect width="{WIDTH}" height="{height:.0f}" fill="white"/>\n'
        + text(LEFT, 20, title, 'font-size="14" font-weight="bold"')
        + "\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def legend(names: Sequence[str], y: float) -> list[str]:
    """Who has which colour."""
    parts = []
    for number, name in enumerate(names):
        x = LEFT + number * 80
        parts.append(f'<rect x="{x}" y="{y - 9:.1f}" width="10" height="10" fill="{COLOURS[name]}"/>')
        parts.append(text(x + 14, y, name))
    return parts


def bars(title: str, groups: Mapping[str, Mapping[str, float]], names: Sequence[str]) -> str:
    """A group of bars for each case, each group to its own scale; what is longest fills the width."""
    parts, y = legend(names, TOP - 8), float(TOP)
    for label, values in groups.items():
        most = max(values.values(), default=1.0) or 1.0
        y += 8
        parts.append(text(LEFT - 8, y + ROW * len(values) / 2 + 4, label, 'text-anchor="end"'))
        for name in (each for each in names if each in values):
            width = (WIDTH - LEFT - 70) * values[name] / most
            parts.append(
                f'<rect x="{LEFT}" y="{y:.1f}" width="{width:.1f}" height="{ROW - 3}" fill="{COLOURS[name]}"/>'
            )
            parts.append(text(LEFT + width + 5, y + ROW - 5, f"{values[name]:,.1f}"))
            y += ROW
    return page(y + 16, title, parts)


def lines(title: str, series: Mapping[str, Mapping[int, float]], unit: str) -> str:
    """Values over counts, both axes logarithmic."""
    height, bottom = 320.0, 44.0
    counts = [count for found in series.values() for count in found]
    values = [max(value, 0.1) for found in series.values() for value in found.values()]
    first, last = log10(min(counts)), log10(max(counts))
    low, high = int(log10(min(values))) - (min(values) < 1), int(log10(max(values))) + 1

    def point(count: int, value: float) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - 30) * (log10(count) - first) / ((last - first) or 1)
        y = height - bottom - (height - bottom - TOP - 10) * (log10(max(value, 0.1)) - low) / (high - low)
        return x, y

    parts = legend(list(series), TOP - 8)
    for power in range(low, high + 1):
        _, y = point(counts[0], 10.0**power)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - 30}" stroke="#ddd"/>')
        parts.append(text(LEFT - 8, y + 4, f"{10.0**power:,g} {unit}", 'text-anchor="end"'))
    for count in sorted(set(counts)):
        parts.append(text(point(count, 1.0)[0], height - bottom + 18, f"{count:,}", 'text-anchor="middle"'))
    for name, found in series.items():
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (point(*each) for each in sorted(found.items())))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>')
    return page(height, title, parts)
