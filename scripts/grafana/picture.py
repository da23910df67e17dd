"""Draws a dashboard in its own grid, from its JSON and what Prometheus answers.

Not Grafana's own drawing, but the same panels in the same places: titles, units, legends,
thresholds and colours.
"""

import math

import matplotlib

matplotlib.use("agg")
matplotlib.rcParams.update({"font.size": 7, "font.family": "DejaVu Sans", "axes.linewidth": 0.4})
from matplotlib import pyplot  # noqa: E402
from matplotlib.colors import PowerNorm  # noqa: E402
from matplotlib.patches import FancyBboxPatch  # noqa: E402

BACKGROUND, PANEL, TEXT, MUTED, GRID = "#f4f5f5", "#ffffff", "#24292e", "#6e7681", "#e4e7eb"
PALETTE = ["#5fa052", "#d9a514", "#4a90b8", "#d9702b", "#c4392f", "#3b6fb6", "#a352a3", "#7a5ea8", "#2f7d5b", "#8a6d1f"]
COLORS = {"green": "#3f8f3f", "orange": "#e0752d", "red": "#d0342c", "dark-red": "#8f1b1b", "blue": "#3274d9", "purple": "#8f3bb8"}
# Inches of a column and of a line of Grafana's grid, and the gap between panels in lines.
COLUMN, LINE, GAP = 0.5, 0.3, 0.25


def human(value, unit):
    """A number as Grafana writes it in this unit."""
    if value is None or math.isnan(value):
        return "no data"
    if unit == "percentunit":
        if abs(value) >= 10:
            return f"{value * 100:,.0f} %"
        return f"{value * 100:.2f} %" if 0.99 < value < 1 else f"{value * 100:.3g} %"
    if unit == "s":
        for size, name, factor in ((3600, "h", 3600), (60, "min", 60), (1, "s", 1), (1e-3, "ms", 1e-3)):
            if abs(value) >= size:
                return f"{value / factor:.3g} {name}"
        return f"{value * 1e6:.3g} µs" if value else "0 s"
    if unit == "bytes":
        for size, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
            if abs(value) >= size:
                return f"{value / size:.3g} {name}"
        return f"{value:.3g} B"
    suffix = {"ops": "/s", "reqps": "/s"}.get(unit, "")
    text = f"{value / 1000:.3g} k" if abs(value) >= 10_000 else f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return text + suffix


def threshold_color(panel, value):
    color = "green"
    for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            color = step["color"]
    return COLORS[color]


def legend_of(legend, labels):
    for name, value in labels.items():
        legend = legend.replace("{{" + name + "}}", value)
    while "{{" in legend:
        before, _, rest = legend.partition("{{")
        legend = before + rest.partition("}}")[2]
    return " ".join(legend.split())


class Picture:
    def __init__(self, dashboard, ask):
        """`ask(target)` gives (labels, times, values) of each series, the times in minutes."""
        self.dashboard, self.ask = dashboard, ask
        self.lines = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
        self.figure = pyplot.figure(figsize=(24 * COLUMN, (self.lines + 1.6) * LINE), facecolor=BACKGROUND)
        self.height = self.lines + 1.6
        y = 1 - 0.9 / self.height
        self.figure.text(0.008, y, dashboard["title"], fontsize=12, weight="bold", color=TEXT, va="center")
        self.figure.text(0.992, y, dashboard["description"], fontsize=8, color=MUTED, va="center", ha="right")

    def save(self, path, marks):
        self.marks = marks
        for panel in self.dashboard["panels"]:
            if panel["type"] == "row":
                y = 1 - (panel["gridPos"]["y"] + 1.6 + 0.55) / self.height
                self.figure.text(0.008, y, "▾ " + panel["title"], fontsize=8.5, weight="bold", color=TEXT, va="center")
            else:
                self.draw(panel)
        self.figure.savefig(path, dpi=100, pil_kwargs={"optimize": True}, metadata={"Software": None})
        pyplot.close(self.figure)

    def box(self, panel):
        """The panel's frame and title; the rectangle within, as shares of the figure."""
        place = panel["gridPos"]
        gap_x, gap_y = GAP / 48, GAP / self.height / 2
        left, width = place["x"] / 24 + gap_x / 2, place["w"] / 24 - gap_x
        top = 1 - (place["y"] + 1.6) / self.height - gap_y / 2
        height = place["h"] / self.height - gap_y
        frame = FancyBboxPatch(
            (left, top - height), width, height, boxstyle="square,pad=0", transform=self.figure.transFigure,
            facecolor=PANEL, edgecolor=GRID, linewidth=0.8, zorder=-1,
        )
        self.figure.add_artist(frame)
        self.figure.text(left + 0.006, top - 0.62 / self.height, panel["title"], fontsize=7.5, weight="bold", color=TEXT, va="center")
        return left, top - height, width, height

    def draw(self, panel):
        box = self.box(panel)
        series = [(legend_of(target["legendFormat"], labels), labels, times, values) for target in panel["targets"] for labels, times, values in self.ask(target)]
        kinds = {"stat": self.stat, "timeseries": self.timeseries, "heatmap": self.heatmap, "bargauge": self.bars, "table": self.table}
        unit = panel["fieldConfig"]["defaults"]["unit"]
        if not series:
            left, bottom, width, height = box
            note = panel["fieldConfig"]["defaults"].get("noValue", "no data")
            self.figure.text(left + width / 2, bottom + height * 0.45, note, color=MUTED, ha="center", va="center")
        else:
            kinds[panel["type"]](panel, box, series, unit)

    def stat(self, panel, box, series, unit):
        left, bottom, width, height = box
        _, _, times, values = series[0]
        known = [value for value in values if not math.isnan(value)]
        color = threshold_color(panel, known[-1]) if known else MUTED
        if panel["options"].get("graphMode") == "area" and len(values) > 1:
            axis = self.figure.add_axes((left, bottom, width, height * 0.42))
            axis.fill_between(times, values, color=color, alpha=0.18, linewidth=0)
            axis.plot(times, values, color=color, linewidth=0.7)
            axis.set_axis_off()
            axis.set_xlim(times[0], times[-1])
            axis.set_ylim(0, max(known, default=1) * 1.1 or 1)
        text = human(known[-1] if known else None, unit)
        self.figure.text(left + width / 2, bottom + height * 0.47, text, fontsize=15, weight="bold", color=color, ha="center", va="center")

    def axis(self, box, unit):
        left, bottom, width, height = box
        lines = self.height
        axis = self.figure.add_axes((left + 0.038, bottom + 1.55 / lines, width - 0.046, height - 2.85 / lines), facecolor=PANEL)
        axis.grid(True, color=GRID, linewidth=0.5)
        axis.set_axisbelow(True)
        axis.tick_params(length=0, colors=MUTED, labelsize=6)
        for spine in axis.spines.values():
            spine.set_visible(False)
        axis.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(4))
        axis.yaxis.set_major_formatter(lambda value, _: human(value, unit))
        axis.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(6, integer=True))
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:g} min")
        return axis

    def legend(self, axis, box, handles, labels):
        if not labels:
            return
        left, bottom, width, _ = box
        columns = max(1, min(len(labels), int(width * 24 / (0.6 + 0.085 * max(map(len, labels))))))
        shown = columns * 2
        self.figure.legend(
            handles[:shown], labels[:shown], loc="lower left", bbox_to_anchor=(left + 0.003, bottom - 0.15 / self.height), ncol=columns,
            frameon=False, fontsize=6, labelcolor=TEXT, handlelength=1.0, handletextpad=0.4, columnspacing=0.9, borderpad=0.2, labelspacing=0.2,
        )

    def timeseries(self, panel, box, series, unit):
        axis = self.axis(box, unit)
        stacked = "stacking" in panel["fieldConfig"]["defaults"]["custom"]
        # What is 0 all the time would fill the legend of a stack with nothing.
        if stacked and any(any(values) for *_, values in series):
            series = [one for one in series if any(value > 0 for value in one[3])]
        colors = [PALETTE[place % len(PALETTE)] for place in range(len(series))]
        handles, grid = [], sorted({time for _, _, times, _ in series for time in times})
        base = [0.0] * len(grid)
        for (name, _, times, values), color in zip(series, colors):
            if stacked:
                at = dict(zip(times, values))
                top = [low + (0 if math.isnan(at.get(time, 0)) else at.get(time, 0)) for time, low in zip(grid, base)]
                axis.fill_between(grid, base, top, color=color, alpha=0.35, linewidth=0)
                line, = axis.plot(grid, top, color=color, linewidth=0.8)
                base = top
            else:
                line, = axis.plot(times, values, color=color, linewidth=0.9)
                axis.fill_between(times, values, color=color, alpha=0.07, linewidth=0)
            handles.append(line)
        top = axis.get_ylim()[1]
        limit = panel["fieldConfig"]["defaults"].get("max")
        axis.set_ylim(0, limit * 1.04 if limit and top > limit / 2 else top if top > 0 else 1)
        self.thresholds(panel, axis)
        self.mark(axis)
        axis.set_xlim(grid[0], grid[-1])
        self.legend(axis, box, handles, [name for name, *_ in series])

    def thresholds(self, panel, axis):
        """Dashed, where they are within what is drawn."""
        if panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"] != "dashed":
            return
        low, high = axis.get_ylim()
        for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]:
            if step["value"] is not None and low <= step["value"] <= high:
                axis.axhline(step["value"], color=COLORS[step["color"]], linewidth=0.8, linestyle=(0, (4, 3)))

    def mark(self, axis):
        for time, color in self.marks:
            axis.axvline(time, color=COLORS[color], linewidth=0.6, linestyle=":")

    def heatmap(self, panel, box, series, unit):
        """Counts between two bounds, which the buckets hold summed up."""
        axis = self.axis(box, unit)
        bounds = sorted(((float(labels["le"]), values) for _, labels, _, values in series), key=lambda bound: bound[0])
        times = series[0][2]
        counts, below = [], [0.0] * len(times)
        for _, values in bounds:
            counts.append([max(0.0, value - low) for value, low in zip(values, below)])
            below = values
        rows = range(len(bounds) + 1)
        masked = [[count if count > 0.01 else math.nan for count in row] for row in counts]
        most = max((count for row in counts for count in row), default=1) or 1
        edges = [*times, times[-1] + (times[-1] - times[-2])]
        axis.pcolormesh(edges, list(rows), masked, cmap="Oranges", norm=PowerNorm(0.4, 0, most), linewidth=0, rasterized=True)
        labels = ["0", *(human(bound, unit) if math.isfinite(bound) else "∞" for bound, _ in bounds)]
        axis.yaxis.set_major_locator(matplotlib.ticker.FixedLocator(list(rows)[::2]))
        axis.yaxis.set_major_formatter(lambda value, _: labels[int(value)])
        axis.set_xlim(times[0], times[-1])
        self.figure.text(box[0] + 0.006, box[1] + 0.28 / self.height, f"darker: more a second, at most {human(most, 'ops')}", fontsize=6, color=MUTED)

    def bars(self, panel, box, series, unit):
        left, bottom, width, height = box
        axis = self.figure.add_axes((left + 0.1, bottom + 0.4 / self.height, width - 0.16, height - 1.6 / self.height))
        names, values = [name for name, *_ in series], [values[-1] for *_, values in series]
        axis.barh(range(len(names)), values, color=PALETTE[3], alpha=0.8, height=0.65)
        axis.set_yticks(range(len(names)), names, fontsize=6.5, color=TEXT)
        axis.invert_yaxis()
        for place, value in enumerate(values):
            axis.text(value, place, f" {value:.0f}", va="center", fontsize=6.5, color=TEXT)
        axis.tick_params(length=0)
        axis.set_xticks([])
        for spine in axis.spines.values():
            spine.set_visible(False)

    def table(self, panel, box, series, unit):
        left, bottom, width, height = box
        columns = panel["transformations"][0]["options"]["renameByName"]
        rows = [[labels.get(name, human(values[-1], unit)) for name in columns] for _, labels, _, values in series]
        for line, row in enumerate([list(columns.values()), *rows]):
            y = bottom + height - (1.9 + 0.95 * line) / self.height
            for place, text in enumerate(row):
                x = left + 0.01 + place * (width - 0.02) / len(row)
                self.figure.text(x, y, text[:12], fontsize=7, color=TEXT if line else MUTED, weight="normal" if line else "bold", va="center")
