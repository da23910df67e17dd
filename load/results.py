"""The files of a report besides what `waybill load report` writes."""

import html
import json

STYLE = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}td,th{padding:.2rem 1rem .2rem 0;text-align:left}"


def ids(targets, path):
    """Writes the ids that vegeta's targets ask for to `path`, one a line."""
    lines = targets.read_text().splitlines()
    path.write_text("".join(json.loads(line)["url"].rpartition("/")[2] + "\n" for line in lines))
    return path


def remove_bulk(directory):
    """Removes what the report was made of: hundreds of megabytes, which it sums up."""
    for pattern in ("*.bin", "ingest-*.ndjson", "targets.json", "known.json", "ids"):
        for path in directory.glob(pattern):
            path.unlink()


def write_index(directory):
    """Lists all reports below `directory`, the newest first."""
    rows = []
    for page in sorted(directory.glob("*/index.html"), reverse=True):
        run = page.parent / "run.json"
        facts = json.loads(run.read_text()) if run.exists() else {}
        cells = [html.escape(facts.get(name, "")) for name in ("commit", "cores", "machine")]
        name = html.escape(page.parent.name)
        rows.append(f'<tr><td><a href="{name}/index.html">{name}</a>' + "".join(f"<td>{cell}" for cell in cells))
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Load reports</title><style>{STYLE}</style>'
    table = "<table><tr><th>When<th>Commit<th>Cores<th>Machine\n" + "\n".join(rows) + "\n</table>"
    (directory / "index.html").write_text(f"{head}\n<h1>Load reports</h1>\n{table}\n")
