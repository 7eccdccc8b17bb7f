"""Tables for the terminal, and the same as JSON."""

import json

import measure
import peers

ORDER = [peers.GATEHOUSE.name, peers.FLOOR.name, *[peer.name for peer in peers.PEERS]]


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(header, rows):
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(row):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        return "  ".join(cells).rstrip()

    return "\n".join([line(header), line(["-" * width for width in widths]), *map(line, rows)])


def programs_in(outcomes):
    """Column names: the usual programs first, whatever else a table compared last."""
    seen = {name for outcome in outcomes for name in outcome.measured()}
    return [n for n in ORDER if n in seen] + sorted(seen - set(ORDER))


def split(outcomes):
    """Those that compare the usual programs, and those that compare gatehouse with itself."""
    usual = [o for o in outcomes if set(o.programs) <= set(ORDER)]
    return usual, [o for o in outcomes if o not in usual]


def grid(outcomes, cell):
    columns = programs_in(outcomes)
    rows = []
    for outcome in outcomes:
        row = [outcome.name, outcome.unit]
        for name in columns:
            series = outcome.measured().get(name)
            row.append((cell(outcome, series) if series else None) or "-")
        rows.append(row)
    return table(["work", "unit", *columns], rows)


def figure_cell(_, series):
    low, high = min(series.figures()), max(series.figures())
    spread = f" ±{(high - low) / 2 / (series.median() or 1):.0%}" if len(series.samples) > 1 else ""
    return number(series.median()) + spread


def busy_cell(_, series):
    return number(series.median_of(lambda sample: sample.busy))


def rate_cell(_, series):
    def per_second(sample):
        result = sample.result
        is_bulk = result["bytes"] > 100e6 and result["units"] <= 200
        return (result["bytes"] / 1e9 if is_bulk else result["units"]) / result["seconds"]

    return number(series.median_of(per_second))


def latency_cell(_, series):
    p50 = series.median_of(lambda sample: sample.result["p50_us"] / 1000)
    p99 = series.median_of(lambda sample: sample.result["p99_us"] / 1000)
    return f"{p50:.2f}/{p99:.2f}"


def ratio_cell(outcome, series):
    ratio = outcome.ratio(series)
    return f"{ratio[0]:.2f} [{ratio[1]:.2f}..{ratio[2]:.2f}]" if ratio else None


def verdict_cell(outcome, target):
    verdict = outcome.verdict(target)
    if not verdict:
        return "noisy" if outcome.is_noisy() else "-", "not judged"
    other = outcome.beside(target) if target.beside else None
    figure = number(verdict[0]) + (f" ({other.program})" if other else "")
    return figure, "met" if verdict[1] else "NOT MET"


def verdicts(outcomes):
    rows = []
    for outcome in outcomes:
        for target in outcome.targets:
            rows.append([outcome.name, target.text(outcome.unit), *verdict_cell(outcome, target)])
    return table(["work", "target", "figure", ""], rows)


def ratios(outcomes):
    """Every ratio, or why there is none."""
    told = [o for o in outcomes if o.noise is not None or o.subject != peers.GATEHOUSE.name]
    quiet = [o for o in told if not o.is_noisy() and o.subject in o.measured()]
    text = []
    if quiet:
        columns = [name for name in programs_in(quiet)]
        rows = []
        for outcome in quiet:
            noise = f"{outcome.noise:.1%}" if outcome.noise is not None else "-"
            cells = [ratio_cell(outcome, outcome.measured().get(name)) or "-" for name in columns]
            rows.append([outcome.name, noise, *cells])
        keep = [i for i in range(len(columns)) if any(row[i + 2] != "-" for row in rows)]
        header = ["work", "A/A"] + [columns[i] for i in keep]
        text.append(table(header, [row[:2] + [row[i + 2] for i in keep] for row in rows]))
    for outcome in told:
        if outcome.is_noisy():
            text.append(
                f"{outcome.name}: no ratios: the same program twice differs by {outcome.noise:.1%},"
                f" more than {measure.NOISE_LIMIT:.0%}. The machine is too noisy."
            )
    return "\n".join(text) or "none: gatehouse was not measured"


def notes(outcomes):
    lines = []
    for outcome in outcomes:
        lines += [f"{outcome.name}: {note}" for note in outcome.notes]
        for name, series in outcome.programs.items():
            lines += [f"{outcome.name}: {name}: {note}" for note in series.notes]
            if series.failure:
                lines.append(f"{outcome.name}: {name} FAILED: {series.failure}")
    return lines


def sections(outcomes):
    usual, others = split(outcomes)
    timed = [o for o in usual if o.noise is not None]
    yield "Figures: the proxy's own cost, median (lower is better)", grid(usual, figure_cell)
    if others:
        yield "gatehouse beside itself", "\n".join(grid([o], figure_cell) for o in others)
    if timed:
        yield "The whole machine's busy time for the same", grid(timed, busy_cell)
        yield "Units or GB a second (judges nothing)", grid(timed, rate_cell)
        yield "Latency p50/p99 in ms (judges nothing)", grid(timed, latency_cell)
    yield "gatehouse divided by each [lowest..highest round]", ratios(outcomes)
    yield "Targets", verdicts(outcomes)


def text(outcomes, general_notes):
    parts = [f"{title}\n\n{body}\n" for title, body in sections(outcomes) if body]
    lines = [*general_notes, *notes(outcomes)]
    if lines:
        parts.append("Notes\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def series_as_data(outcome, series):
    data = {"failure": series.failure, "notes": series.notes, "figures": series.figures()}
    if series.samples:
        data["median"] = series.median()
        data["busy"] = [sample.busy for sample in series.samples]
        data["load"] = [sample.result for sample in series.samples]
        ratio = outcome.ratio(series)
        if ratio:
            data["ratio"] = dict(zip(("of_medians", "lowest", "highest"), ratio))
    return data


def target_as_data(outcome, target):
    verdict = outcome.verdict(target)
    return {
        "target": target.text(outcome.unit),
        "figure": verdict[0] if verdict else None,
        "is_met": verdict[1] if verdict else None,
    }


def as_data(outcomes, machine_data, general_notes):
    return {
        "machine": machine_data,
        "notes": [*general_notes, *notes(outcomes)],
        "scenarios": [
            {
                "name": outcome.name,
                "title": outcome.title,
                "unit": outcome.unit,
                "subject": outcome.subject,
                "noise": outcome.noise,
                "programs": {n: series_as_data(outcome, s) for n, s in outcome.programs.items()},
                "targets": [target_as_data(outcome, target) for target in outcome.targets],
            }
            for outcome in outcomes
        ],
    }


def write_json(path, data):
    with open(path, "w") as file:
        json.dump(data, file, indent=1)
        file.write("\n")
