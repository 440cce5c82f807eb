"""docs/BENCHMARKS.md from the figures of one or many runs."""

import json
import pathlib

import draw
from notes import INTRODUCTION, NOTES, SUITES

OURS = "sutra"
STEPS = {
    "per_second": [(1e6, "M/s"), (1e3, "k/s"), (1, "/s")],
    "nanoseconds": [(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1, "ns")],
    "bytes": [(1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B")],
}
#: What the picture of all peers shows.
BARS = [
    ("reads", "get content", "Get by id, with its content (a second)"),
    ("graph", "neighbors", "Neighbours of a concept (a second)"),
    ("graph", "path of 3, both ends", "Shortest path of at most 3, from both ends (a second)"),
    ("writes", "bulk concepts", "Concepts written in bulk, in random order (a second)"),
    ("writes", "bulk edges", "Edges written in bulk, in random order (a second)"),
]
#: What the picture of growth shows.
LINES = [
    "get content p50", "neighbors p50", "path of 3, both ends p50",
    "one write, accepted p50", "one write, durable p50", "one write, visible p50",
    "one write, accepted: coordinator's time", "bytes a concept with its edges", "kill to serving p50",
]


def shown(unit, value):
    if value is None:
        return ""
    steps = STEPS.get(unit)
    if steps is None:
        return f"{value:.2f}"
    size, name = next((step for step in steps if value >= step[0]), steps[-1])
    value /= size
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f} {name}"


def ratio_text(ratio):
    return "" if ratio is None else f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"


def count_text(size):
    for unit, name in [(1_000_000, "M"), (1_000, "k")]:
        if size >= unit:
            return f"{size / unit:g}{name}"
    return str(size)


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join("---" for _ in head) + "|"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows] + [""]


class Results:
    """All figures that are there, by suite, in the order in which the page tells of them."""

    def __init__(self, folder):
        self.by_suite, self.runs = {}, {}
        for path in sorted(pathlib.Path(folder).glob("*.json")):
            report = json.loads(path.read_text(encoding="utf-8"))
            for figure in report["figures"]:
                self.take(figure)
            for suite in {figure["suite"] for figure in report["figures"]}:
                self.runs[suite] = report
        known = list(SUITES)
        order = lambda suite: known.index(suite) if suite in known else len(known)
        self.suites = sorted(self.by_suite, key=lambda suite: (order(suite), suite))

    def take(self, figure):
        """Adds a figure, or to one that is there what others' columns it has."""
        known = self.figure(figure["suite"], figure["figure"])
        if known is None:
            self.by_suite.setdefault(figure["suite"], []).append(figure)
            return
        for column in ["median", "ratio"]:
            known[column] |= figure[column]
        known["holds"] = figure["holds"] if figure["holds"] is not None else known["holds"]

    def figure(self, suite, name):
        figures = self.by_suite.get(suite, [])
        return next((figure for figure in figures if figure["figure"] == name), None)


def machine(results):
    runs = [results.runs[suite]["circumstances"] for suite in results.suites]
    if not runs:
        raise SystemExit("there are no figures yet: run scripts/bench without --page")
    first = runs[0]
    dates = sorted(run["began_at"][:10] for run in runs)
    told = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
    rows = [
        ["processor", f"{first['processor']}, {first['cores']} cores"],
        ["memory", f"{first['memory_bytes'] / 2**30:.0f} GiB"],
        ["kernel", f"Linux {first['kernel'].split('-')[0]}"],
        ["file system", first["filesystem"]],
        ["date", told],
    ]
    return table(["", ""], rows)


def runs(results):
    rows = []
    for suite in results.suites:
        of = results.runs[suite]["circumstances"]
        concepts = of["up_to"] if suite == "growth" else of["concepts"]
        length = f"--rounds {of['rounds']} --millis {of['millis']}"
        command = f"scripts/bench --concepts {concepts} {length} {suite}"
        rows.append([suite, f"`{command}`", f"{concepts:,}", of["load_before"].split()[0]])
    return table(["suite", "command", "concepts", "load before"], rows)


def targets(results):
    rows, held, count = [], 0, 0
    for suite in results.suites:
        for figure in results.by_suite[suite]:
            if figure["target"] is None:
                continue
            count += figure["holds"] is not None
            held += figure["holds"] is True
            holds = {True: "yes", False: "**no**", None: "not measured"}[figure["holds"]]
            note = "" if figure["holds"] else NOTES.get((suite, figure["figure"]), "")
            value = shown(figure["unit"], figure["median"].get(OURS))
            rows.append([suite, figure["figure"], value, figure["target"], holds, note])
    head = ["suite", "figure", "measured", "target", "holds", "what limits it"]
    return [f"{held} of {count} hold in these runs.", "", *table(head, rows)]


def suite_table(results, suite):
    figures = [f for f in results.by_suite[suite] if "by processor time" not in f["figure"]]
    contenders = []
    for figure in figures:
        contenders += [name for name in figure["median"] if name not in contenders]
    peers = [name for name in contenders if name != OURS]
    rows = []
    for figure in figures:
        row = [figure["figure"], shown(figure["unit"], figure["median"].get(OURS))]
        for peer in peers:
            value, ratio = figure["median"].get(peer), figure["ratio"].get(peer)
            row.append(f"{shown(figure['unit'], value)} ({ratio_text(ratio)})" if ratio is not None
                       else shown(figure["unit"], value))
        rows.append(row)
    out = table(["figure", OURS, *peers], rows)
    left_out = [note for note in results.runs[suite]["left_out"] if note[0] == suite]
    out += [f"- {contender}: {why}" for _, contender, why in left_out]
    return out + [""] * bool(left_out)


def growth_series(results):
    """{figure: {contender: [(size, value)]}} and the unit of each."""
    series, units = {}, {}
    for figure in results.by_suite.get("growth", []):
        name, _, size = figure["figure"].rpartition(" at ")
        units[name] = figure["unit"]
        ours_first = sorted(figure["median"].items(), key=lambda of: (of[0] != OURS, of[0]))
        for contender, value in ours_first:
            series.setdefault(name, {}).setdefault(contender, []).append((int(size), value))
    return series, units


def growth_table(results):
    series, units = growth_series(results)
    sizes = sorted({size for of in series.values() for values in of.values() for size, _ in values})
    rows = []
    for name, of in series.items():
        for contender, values in of.items():
            by_size = dict(values)
            rows.append([name, contender, *(shown(units[name], by_size.get(size)) for size in sizes)])
    return table(["figure", "store", *(count_text(size) for size in sizes)], rows)


def draw_growth(results, docs):
    series, units = growth_series(results)
    charts = [
        (name, series[name], lambda value, unit=units[name]: shown(unit, value).replace(".00", "").replace(".0", ""))
        for name in LINES if name in series
    ]
    if not charts:
        return []
    title = "Figures against the number of concepts, both on logarithmic scales"
    (docs / "growth.svg").write_text(draw.lines(charts, title, count_text), encoding="utf-8")
    return ["![figures against the number of concepts](growth.svg)", ""]


def draw_peers(results, docs):
    groups = []
    for suite, name, title in BARS:
        figure = results.figure(suite, name)
        if figure:
            values = [(who, value, shown(figure["unit"], value))
                      for who, value in figure["median"].items()]
            groups.append((title, sorted(values, key=lambda value: -value[1])))
    if not groups:
        return []
    title = "Beside what one would take instead; each group on a logarithmic scale of its own"
    (docs / "peers.svg").write_text(draw.bars(groups, title), encoding="utf-8")
    return ["![this store beside others](peers.svg)", ""]


def write(folder, docs):
    """Makes the page and the pictures of the figures in `folder`."""
    results = Results(folder)
    out = [INTRODUCTION, "## The machine", "", *machine(results), *runs(results)]
    out += draw_peers(results, docs)
    out += ["## Targets", "", *targets(results)]
    for suite in results.suites:
        title, text = SUITES.get(suite, (suite, ""))
        out += [f"## {title}", "", *([text, ""] if text else [])]
        out += [*draw_growth(results, docs), *growth_table(results)] if suite == "growth" else \
            suite_table(results, suite)
    (docs / "BENCHMARKS.md").write_text("\n".join(out).rstrip() + "\n", encoding="utf-8")
