"""Figures of sides that are asked the same: each answer is compared before its time counts."""

import asking


def milliseconds(values):
    return " · ".join(f"{value * 1000:,.0f}" if value >= 0.1 else f"{value * 1000:.1f}" if value >= 0.001
                      else f"{value * 1000:.2f}" for value in values)


def times(ours, others):
    return " · ".join(f"{b / a:.1f}" if b / a < 20 else f"{b / a:,.0f}" for a, b in zip(ours, others))


class Figures:
    """What was measured: of each row the goal, and of each side the seconds by round."""

    def __init__(self):
        self.rows = {}

    def take(self, name, goal, results):
        """results: {side: (seconds, what was said, octets)}, all of the same round; None: that side has nothing of the kind."""
        asked = {side: result for side, result in results.items() if result}
        (first, (_, said, octets)), *others = asked.items()
        for other, (_, also_said, _) in others:
            assert said == also_said, f"{name}: {first} and {other} say different things:\n{difference(said, also_said)}"
        row = self.rows.setdefault(name, {"goal": goal, "octets": octets, "seconds": {side: [] for side in results}})
        for side, (seconds, *_) in asked.items():
            row["seconds"][side].append(seconds)
        print(f"{name}: " + ", ".join(f"{side} {milliseconds([seconds])} ms" for side, (seconds, *_) in asked.items()), flush=True)

    def cells(self):
        for name, row in self.rows.items():
            ours, *others = row["seconds"].values()
            faster = [min(pair) for pair in zip(*others)]
            own = asking.floor(b"*" * max(0, row["octets"] - 20) + b"\r\nt1 OK all of it\r\n")
            yield (name, milliseconds(ours), *map(milliseconds, others), times(ours, faster),
                   f"{row['goal']}" if row["goal"] else "", f"{row['octets']:,}, {milliseconds([own])}")


def difference(a, b):
    """What is enough to see where two answers part."""
    for one, other in zip(a, b) if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) else ():
        if one != other:
            return difference(one, other)
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted({*a, *b}):
            if a.get(key) != b.get(key):
                return f"{key}: {str(a.get(key))[:2000]}\n{str(b.get(key))[:2000]}"
    if isinstance(a, bytes) and isinstance(b, bytes):
        at = next((at for at, (x, y) in enumerate(zip(a, b)) if x != y), 0)
        return f"{a[max(0, at - 100):at + 200]}\n{b[max(0, at - 100):at + 200]}"
    return f"{str(a)[:2000]}\n{str(b)[:2000]}"


def together(figures, parts):
    """Each row on one side after the other, so that nothing else runs beside it."""
    for step in zip(*parts.values(), strict=True):
        figures.take(step[0][0], step[0][1], {side: row[2] for side, row in zip(parts, step)})
