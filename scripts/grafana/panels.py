"""Building blocks of the dashboards: panels, their queries, and the dashboard around them.

A dashboard is a list of rows; a row is a title and panels, which are laid out from left to right
in Grafana's grid of 24 columns.
"""

# Every series is selected by all variables. `pod` and `namespace` exist on Kubernetes only: their
# "All" is `.*`, which also matches a series without the label.
SELECTED = 'namespace=~"$namespace", job=~"$job", instance=~"$instance", pod=~"$pod"'
SOURCE = {"type": "prometheus", "uid": "$datasource"}
REPLICA = "{{instance}} {{pod}}"


def series(name, *matchers):
    """A selector of `name` by the variables, and by further matchers."""
    return f"{name}{{{', '.join((SELECTED, *matchers))}}}"


def rate(name, *matchers):
    return f"rate({series(name, *matchers)}[$__rate_interval])"


def increase(name, *matchers, window="$__range"):
    return f"increase({series(name, *matchers)}[{window}])"


def total(query, *labels):
    """The sum of a query over all replicas, by these labels."""
    return f"sum by ({', '.join(labels)}) ({query})" if labels else f"sum({query})"


def share(part, whole):
    """Empty, not NaN, where there is nothing of which to take a share."""
    return f"{part} / ({whole} > 0)"


def quantile(q, buckets, *matchers, by=()):
    """A percentile of a histogram, by these labels."""
    return f"histogram_quantile({q}, {total(rate(buckets, *matchers), 'le', *by)})"


def quantiles(buckets, *matchers, by=(), of=(0.5, 0.99)):
    """Percentiles of a histogram, by these labels, each with its legend."""
    labels = "".join(f" {{{{{label}}}}}" for label in by)
    return [(quantile(q, buckets, *matchers, by=by), f"p{q * 100:g}{labels}") for q in of]


def steps(first, *changes):
    """Thresholds: the colour from the lowest value on, and where it changes."""
    colors = [{"color": first, "value": None}]
    return colors + [{"color": color, "value": value} for value, color in changes]


def panel(kind, title, description, unit, queries, *, width, height, runbook=None, thresholds=None, **more):
    """What panels of every kind have. `queries` is one, or pairs of a query and its legend."""
    if isinstance(queries, str):
        queries = [(queries, title)]
    defaults = {"unit": unit, "color": {"mode": more.get("color", "thresholds" if kind != "timeseries" else "palette-classic")}}
    defaults["thresholds"] = {"mode": "absolute", "steps": thresholds or steps("green")}
    defaults |= {key: more[key] for key in ("min", "max", "decimals", "noValue") if key in more}
    links = [{"title": runbook, "url": f"${{runbooks}}{runbook}.md", "targetBlank": True}] if runbook else []
    made = {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "gridPos": {"w": width, "h": height},
        "links": links,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": more.get("options", {}),
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": SOURCE, "expr": query, "legendFormat": legend}
            | ({"format": more["format"]} if "format" in more else {})
            | ({"instant": True, "range": False} if more.get("instant") else {})
            for place, (query, legend) in enumerate(queries)
        ],
    }
    if "custom" in more:
        defaults["custom"] = more["custom"]
    if "transformations" in more:
        made["transformations"] = more["transformations"]
    return made


REDUCE = {"calcs": ["lastNotNull"], "fields": "", "values": False}


def stat(title, description, unit, query, *, width=4, **more):
    """One number, coloured by its thresholds."""
    # What looks at the whole range is the same at every step: one answer will do.
    once = "$__range" in query
    options = {"reduceOptions": REDUCE, "graphMode": "none" if once else "area", "colorMode": "value", "textMode": "value"}
    return panel("stat", title, description, unit, query, width=width, height=4, options=options, instant=once, **more)


def graph(title, description, unit, queries, *, width=8, stacked=False, **more):
    """Lines over time; thresholds are drawn as dashed lines."""
    custom = {"lineWidth": 1, "fillOpacity": 30 if stacked else 8, "showPoints": "never"}
    custom["thresholdsStyle"] = {"mode": "dashed" if more.get("thresholds") else "off"}
    if stacked:
        custom["stacking"] = {"mode": "normal", "group": "A"}
    options = {
        "legend": {"displayMode": "list", "placement": "bottom"},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    more.setdefault("min", 0)
    return panel("timeseries", title, description, unit, queries, width=width, height=8, custom=custom, options=options, **more)


def heatmap(title, description, query, *, width=8, **more):
    """How many observations of a histogram fell where, over time."""
    options = {
        "calculate": False,
        "yAxis": {"unit": "s"},
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
        "cellGap": 1,
        "tooltip": {"mode": "single"},
    }
    return panel("heatmap", title, description, "s", [(query, "{{le}}")], width=width, height=8, options=options, format="heatmap", **more)


def bars(title, description, unit, query, legend, *, width=8, **more):
    """A bar for each series, over the time shown."""
    options = {"reduceOptions": REDUCE, "orientation": "horizontal", "displayMode": "basic"}
    return panel("bargauge", title, description, unit, [(query, legend)], width=width, height=8, options=options, instant=True, min=0, **more)


def table(title, description, unit, query, columns, *, width=16, **more):
    """The labels of an instant query, and its value."""
    organize = {"excludeByName": {"Time": True}, "renameByName": columns}
    options = {"cellHeight": "sm"}
    transformations = [{"id": "organize", "options": organize}]
    return panel(
        "table", title, description, unit, query, width=width, height=4,
        options=options, format="table", instant=True, transformations=transformations, **more,
    )
