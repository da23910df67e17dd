"""The dashboard around the panels: variables, annotations, links, and the layout."""

from panels import SOURCE, series

COLUMNS = 24


def variable(name, of, all_value):
    """A variable whose values are those of a label, among what was chosen before it."""
    chosen = ", ".join(f'{other}=~"${other}"' for other in of)
    query = f"label_values(waybill_build_info{{{chosen}}}, {name})" if of else f"label_values(waybill_build_info, {name})"
    return {
        "type": "query",
        "name": name,
        "label": name.title(),
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": all_value,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "sort": 1,
    }


VARIABLES = [
    {"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus", "current": {}},
    variable("namespace", (), ".*"),
    variable("job", ("namespace",), ".+"),
    variable("instance", ("namespace", "job"), ".+"),
    variable("pod", ("namespace", "job", "instance"), ".*"),
    # The chart puts the base of the runbooks' addresses here.
    {"type": "constant", "name": "runbooks", "label": "Runbooks", "query": "docs/runbooks/", "hide": 2},
]


def annotation(name, color, query, title, step="60s"):
    return {
        "name": name,
        "datasource": SOURCE,
        "enable": True,
        "iconColor": color,
        "expr": query,
        "titleFormat": title,
        "step": step,
    }


BUILD = series("waybill_build_info")
ANNOTATIONS = [
    # A restarted process and a new pod alike: each is young for a minute.
    annotation("Starts", "blue", f"time() - {series('process_start_time_seconds')} < 60", "{{instance}} {{pod}} started"),
    annotation(
        "Rollouts",
        "purple",
        f"count by (version, commit) ({BUILD}) unless count by (version, commit) ({BUILD} offset 1m)",
        "version {{version}} {{commit}}",
    ),
]

LINKS = [
    {"type": "dashboards", "title": "waybill", "tags": ["waybill"], "asDropdown": False, "includeVars": True, "keepTime": True},
    {"type": "link", "title": "Runbooks", "url": "${runbooks}", "icon": "doc", "targetBlank": True},
]


def laid_out(rows):
    """Panels from left to right, the next line below the highest of the last."""
    panels, top = [], 0
    for title, row in rows:
        panels.append({"type": "row", "title": title, "collapsed": False, "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1}, "panels": []})
        left, top, height = 0, top + 1, 0
        for panel in row:
            place = panel["gridPos"]
            if left + place["w"] > COLUMNS:
                left, top, height = 0, top + height, 0
            panels.append(panel | {"gridPos": {"x": left, "y": top, **place}})
            left, height = left + place["w"], max(height, place["h"])
        top += height
    return [{"id": number, **panel} for number, panel in enumerate(panels, 1)]


def dashboard(name, description, rows, marks=()):
    """`marks` are annotations besides those that all dashboards have."""
    return {
        "uid": f"waybill-{name}",
        "title": f"waybill / {name}",
        "description": description,
        "tags": ["waybill"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "graphTooltip": 1,
        "templating": {"list": VARIABLES},
        "annotations": {"list": [*ANNOTATIONS, *marks]},
        "links": LINKS,
        "panels": laid_out(rows),
    }
