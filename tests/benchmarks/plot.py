"""One line drawing as SVG: values over time, axes from zero. A few lines instead of a library."""

from __future__ import annotations

from collections.abc import Sequence

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 720, 260, 56, 40, 34
_TICKS = 4


def line(
    title: str, unit: str, xs: Sequence[float], ys: Sequence[float], *, limit: float, across: str
) -> str:
    """A plot of *ys* over *xs* with the budget *limit* as a dashed line; *across* names the x axis."""
    wide, high = max(xs, default=1.0) or 1.0, max([*ys, limit]) * 1.15

    def x(value: float) -> float:
        return _LEFT + value / wide * (_WIDTH - _LEFT - 16)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - value / high * (_HEIGHT - _BOTTOM - _TOP)

    points = " ".join(f"{x(one):.1f},{y(other):.1f}" for one, other in zip(xs, ys, strict=True))
    marks = [
        f'<text x="{_LEFT - 8}" y="{y(high * tick / _TICKS) + 4:.1f}" text-anchor="end">'
        f"{high * tick / _TICKS:.0f}</text>"
        f'<text x="{x(wide * tick / _TICKS):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">'
        f"{wide * tick / _TICKS:,.0f}</text>"
        for tick in range(_TICKS + 1)
    ]
    frame = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12" fill="#444"'
    right, bottom = _WIDTH - 16, _HEIGHT - 6
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {frame}>',
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
            f'<text x="{_LEFT}" y="20" font-size="14">{title} ({unit})</text>',
            *marks,
            f'<text x="{right}" y="{bottom}" text-anchor="end">{across}</text>',
            f'<path d="M{_LEFT} {y(0):.1f}H{right}" stroke="#999"/>',
            f'<path d="M{_LEFT} {y(limit):.1f}H{right}" stroke="#c33" stroke-dasharray="6 4"/>',
            f'<polyline points="{points}" fill="none" stroke="#26c" stroke-width="1.5"/>',
            "</svg>\n",
        ]
    )
