"""
A picture of the simulation: who runs when on the workers, and how busy they are in an hour; SVG.
"""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Sequence

from bench.scale.costs import Costs
from bench.scale.fleet import Fleet, Results, Span
from bench.scale.world import HOUR_S, World

WIDTH, LEFT, RIGHT = 760, 92, 12
LANE, GAP = 4, 3
STEP_S = 15.0
COLOURS = {"usual": "#6b93c4", "large": "#c8553d", "busy": "#6b93c4", "line": "#777777", "text": "#222222"}


def draw(costs: Costs, world: World | None = None) -> str:
    """Draw a round of all environments, and an hour of the schedule, all due at :00 and spread."""
    world = world or World()
    once = Fleet(world, costs).run_once()
    at_once = Fleet(dataclasses.replace(world, is_spread=False, hours=1.5), costs).run()
    spread = Fleet(dataclasses.replace(world, hours=1.5), costs).run()
    parts: list[str] = []
    y = _lanes(parts, once, 34.0)
    y = _busy(parts, at_once, y + 46.0, "The schedule, all due at :00: processes at once")
    y = _busy(parts, spread, y + 46.0, "The same schedule, each environment at a minute of its own")
    height = y + 26
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" font-family="sans-serif" '
        f'font-size="11" fill="{COLOURS["text"]}">\n<title>{world.environments} environments of '
        f"{sum(count for count, _ in world.mappings)} mappings on {world.machines} workers, simulated</title>\n"
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def _lanes(parts: list[str], found: Results, top: float) -> float:
    """Draw each process as a bar in a lane of its worker; return where it ends."""
    world = found.world
    scale = (WIDTH - LEFT - RIGHT) / found.end_s
    parts.append(
        _text(
            8, top - 14,
            f"One round of {world.environments} environments, all due at once, on {world.machines} workers of "
            f"{world.places} places: {found.end_s / 60:.1f} minutes",
            weight="bold",
        )
    )  # fmt: skip
    bars: dict[str, list[str]] = {"usual": [], "large": []}
    for machine in range(world.machines):
        y = top + machine * (world.places * LANE + GAP)
        parts.append(_text(8, y + world.places * LANE / 2 + 4, f"worker {machine + 1}"))
        for lane, spans in enumerate(lanes([span for span in found.spans if span.machine == machine])):
            for span in spans:
                width = max((span.end_s - span.begin_s) * scale - 0.5, 0.5)
                kind = "large" if span.environment == 0 else "usual"
                bars[kind].append(
                    f"M{LEFT + span.begin_s * scale:.1f} {y + lane * LANE:.0f}h{width:.1f}v{LANE - 1}h-{width:.1f}z"
                )
    parts += [f'<path d="{"".join(each)}" fill="{COLOURS[kind]}"/>' for kind, each in bars.items()]
    bottom = top + world.machines * (world.places * LANE + GAP)
    _axis(parts, bottom, found.end_s, scale)
    parts.append(_text(WIDTH - RIGHT, bottom + 26, "red: the environment that is 100 times larger", anchor="end"))
    return bottom + 22


def lanes(spans: Sequence[Span]) -> list[list[Span]]:
    """Put spans into as few lanes as they need: none overlaps another of its lane."""
    found: list[list[Span]] = []
    for span in sorted(spans, key=lambda one: (one.begin_s, one.end_s)):
        free = next((lane for lane in found if lane[-1].end_s <= span.begin_s + 1e-6), None)
        if free is None:
            found.append([span])
        else:
            free.append(span)
    return found


def busy(spans: Sequence[Span], until_s: float) -> list[int]:
    """Count the processes that run at each step."""
    counts = [0] * (int(until_s / STEP_S) + 1)
    for span in spans:
        for step in range(int(span.begin_s / STEP_S), min(int(span.end_s / STEP_S), len(counts) - 1) + 1):
            counts[step] += 1
    return counts


def _busy(parts: list[str], found: Results, top: float, title: str) -> float:
    """Draw how many processes run at each moment; return where it ends."""
    places = found.world.machines * found.world.places
    height, scale = 60.0, (WIDTH - LEFT - RIGHT) / found.end_s
    parts.append(_text(8, top - 8, title, weight="bold"))
    points = [f"M{LEFT} {top + height:.0f}"]
    for step, count in enumerate(busy(found.spans, found.end_s)):
        y, x = top + height - min(count, places) / places * height, min((step + 1) * STEP_S, found.end_s) * scale
        points.append(f"V{y:.1f}H{LEFT + x:.1f}")
    points.append(f"V{top + height:.0f}z")
    parts.append(f'<path d="{"".join(points)}" fill="{COLOURS["busy"]}"/>')
    parts.append(f'<path d="M{LEFT} {top}H{WIDTH - RIGHT}" stroke="{COLOURS["line"]}" stroke-dasharray="2 3"/>')
    parts.append(_text(LEFT - 6, top + 4, f"{places} places", anchor="end"))
    _axis(parts, top + height, found.end_s, scale)
    return top + height + 14


def _axis(parts: list[str], y: float, end_s: float, scale: float) -> None:
    step_s = next(step for step in (60.0, 300.0, 600.0, 900.0, HOUR_S) if end_s / step <= 12)
    parts.append(f'<path d="M{LEFT} {y:.0f}H{WIDTH - RIGHT}" stroke="{COLOURS["line"]}"/>')
    moment = 0.0
    while moment <= end_s:
        parts.append(_text(LEFT + moment * scale, y + 12, f"{moment / 60:.0f} min", anchor="middle"))
        moment += step_s


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-weight="{weight}">{html.escape(text)}</text>'
