"""Bar charts as SVG, without a library: one group per label, one bar per contender."""
from xml.sax.saxutils import escape

COLOURS = ["#2563eb", "#f59e0b", "#dc2626", "#10b981", "#7c3aed", "#6b7280"]
_BAR, _GAP, _LEFT, _TOP, _HEIGHT, _BOTTOM = 22, 18, 60, 64, 260, 84


def _tick(top):
    """A round distance that gives four to eight lines up to `top`."""
    step = 10.0 ** -6
    while True:
        for factor in (1, 2, 5):
            if top / (step * factor) <= 6:
                return step * factor
        step *= 10


def _number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:#.3g}"


def bars(title, unit, labels, series):
    """series: name -> values, one per label, None where there is none. Lower is better in all of ours."""
    names = [name for name, values in series.items() if any(v is not None for v in values)]
    top = max((v for name in names for v in series[name] if v is not None), default=1) or 1
    tick = _tick(top)
    group = _BAR * len(names) + _GAP
    width = max(_LEFT + group * len(labels) + 20, 420)
    height = _TOP + _HEIGHT + _BOTTOM

    def y(value):
        return _TOP + _HEIGHT - value / (top * 1.08) * _HEIGHT

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
           'font-family="sans-serif" font-size="11" fill="#111827">',
           f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
           f'<text x="{_LEFT}" y="20" font-size="14" font-weight="bold">{escape(title)}</text>']
    x = _LEFT
    for index, name in enumerate(names):
        out.append(f'<rect x="{x}" y="30" width="11" height="11" fill="{COLOURS[index % len(COLOURS)]}"/>')
        out.append(f'<text x="{x + 16}" y="40">{escape(name)}</text>')
        x += 32 + 7 * len(name)
    out.append(f'<text x="{x + 8}" y="40" fill="#6b7280">{escape(unit)}, lower is better</text>')
    for line in range(int(top * 1.08 / tick) + 1):
        at = y(line * tick)
        out.append(f'<line x1="{_LEFT}" y1="{at:.1f}" x2="{width - 10}" y2="{at:.1f}" stroke="#e5e7eb"/>')
        out.append(f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{line * tick:g}</text>')
    for place, label in enumerate(labels):
        start = _LEFT + _GAP / 2 + place * group
        for index, name in enumerate(names):
            value = series[name][place]
            if value is None:
                continue
            left = start + index * _BAR
            out.append(f'<rect x="{left:.1f}" y="{y(value):.1f}" width="{_BAR - 2}" height="{_TOP + _HEIGHT - y(value):.1f}" '
                       f'fill="{COLOURS[index % len(COLOURS)]}"/>')
            out.append(f'<text x="{left + _BAR / 2 - 1:.1f}" y="{y(value) - 3:.1f}" text-anchor="middle" font-size="8">{_number(value)}</text>')
        middle = start + _BAR * len(names) / 2
        below = _TOP + _HEIGHT + 14
        out.append(f'<text x="{middle:.1f}" y="{below}" text-anchor="end" transform="rotate(-35 {middle:.1f} {below})">{escape(label)}</text>')
    out.append("</svg>")
    return "\n".join(out) + "\n"
