"""The pictures of docs/BENCHMARKS.md, as SVG by hand: bars and lines, both on logarithmic scales."""

import math
from html import escape

COLORS = ["#0b6e4f", "#8a8f98", "#c8553d", "#3d5a80", "#b08900", "#7b4b94", "#2f4858", "#a3a380"]
TEXT = 'font-family="sans-serif" font-size="12" fill="#333"'


def svg(width, height, parts, title):
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">'
    ground = f'<rect width="{width}" height="{height}" fill="#fff"/>'
    return "\n".join([head, f"<title>{escape(title)}</title>", ground, *parts, "</svg>\n"])


def label(x, y, text, anchor="start", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {TEXT} {extra}>{escape(text)}</text>'


def bars(groups, title):
    """A group of horizontal bars for each figure: (name, [(contender, value, text)]), each group on
    a logarithmic scale of its own, so that a bar's length compares within its group."""
    left, width, bar, gap = 130, 760, 16, 34
    parts, y = [label(left, 24, title, extra='font-weight="bold"')], 44
    for name, values in groups:
        parts.append(label(left, y + 14, name))
        y += 22
        least, most = (pick(value for _, value, _ in values) for pick in (min, max))
        span = math.log10(most / least) or 1.0
        for at, (contender, value, text) in enumerate(values):
            length = 40 + (width - left - 150) * math.log10(value / least) / max(span, 1.0)
            color = COLORS[0] if contender == "sutra" else COLORS[1]
            parts.append(label(left - 8, y + 12, contender, "end"))
            parts.append(
                f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar - 3}" fill="{color}"/>'
            )
            parts.append(label(left + length + 6, y + 11, text))
            y += bar
        y += gap - 22
    return svg(width, y + 10, parts, title)


def lines(charts, title, size_text):
    """One chart beside the other: (name, {series: [(size, value)]}, text of a value)."""
    width, height, left, top, columns = 330, 230, 62, 56, 3
    rows = -(-len(charts) // columns)
    parts = [label(14, 24, title, extra='font-weight="bold"')]
    for at, (name, series, text_of) in enumerate(charts):
        x0, y0 = at % columns * width + left, top + at // columns * (height + 24)
        inner_width, inner_height = width - left - 24, height - 62
        points = [point for values in series.values() for point in values]
        sizes = sorted({size for size, _ in points})
        low = 10 ** math.floor(math.log10(min(value for _, value in points)))
        high = 10 ** math.ceil(math.log10(max(value for _, value in points) * 1.0001))
        across = math.log10(sizes[-1] / sizes[0]) or 1.0

        def place(size, value):
            x = x0 + inner_width * math.log10(size / sizes[0]) / across
            y = y0 + inner_height * (1 - math.log10(value / low) / math.log10(high / low))
            return x, y

        parts.append(label(x0, y0 - 10, name))
        value = low
        while value <= high * 1.001:
            _, y = place(sizes[0], value)
            parts.append(
                f'<path d="M{x0} {y:.1f}H{x0 + inner_width}" stroke="#ddd" fill="none"/>'
            )
            parts.append(label(x0 - 6, y + 4, text_of(value), "end"))
            value *= 10
        for size in sizes:
            x, _ = place(size, low)
            parts.append(label(x, y0 + inner_height + 18, size_text(size), "middle"))
        for number, (contender, values) in enumerate(series.items()):
            color = COLORS[number]
            path = "L".join("{:.1f} {:.1f}".format(*place(*point)) for point in values)
            parts.append(f'<path d="M{path}" stroke="{color}" stroke-width="2" fill="none"/>')
            for point in values:
                x, y = place(*point)
                parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>')
            parts.append(
                label(x0 + number * 110, y0 + inner_height + 36, contender, extra=f'style="fill:{color}"')
            )
    return svg(columns * width, top + rows * (height + 24), parts, title)
