"""What the film shows, scene by scene."""

import re

from film import until

ORDER, UNKNOWN = "my-order", "nobody-knows"
DASHBOARDS = ["service", "ingest", "rejects"]


def play(film):
    site, admin = start(film)
    publish(film, site)
    look_up(film)
    unknown(film)
    outage(film, site)
    reject(film, admin)
    load(film, site)
    dashboards(film)
    stop(film)


def start(film):
    film.layout("terminal")
    film.caption("waybill: orders from NATS Streaming into Postgres, looked up from memory")
    film.type("make up")
    film.frame(1.5)
    film.caption("make up builds it and starts it with a broker and a Postgres of its own")
    film.enter("make up")
    film.frame(2.5)
    settings = (film.folder / ".waybill/waybill.toml").read_text()
    listen = lambda section: re.search(rf'\[{section}\]\nlisten = "(.+)"', settings).group(1)
    return f"http://{listen('http')}", f"http://{listen('admin')}"


def publish(film, site):
    film.go(f"{site}/")
    film.layout("both")
    film.caption("Publish an order of your own …")
    film.clear()
    film.run("alias waybill='target/release/waybill --config .waybill/waybill.toml'")
    film.run(f"sed 's/b563feb7b2b84b6test/{ORDER}/' data/model.json > mine.json")
    film.run("waybill publish mine.json")
    until(f"{site}/api/v1/orders/{ORDER}", 200)
    film.frame(1.5)


def look_up(film):
    film.caption("… and look it up")
    film.look_up(ORDER)
    film.frame(1.5)
    film.layout("page")
    film.caption("The order for a person; /api/v1/orders gives a program the very bytes that were published")
    film.frame(2.5)
    film.scroll(1)
    film.frame(1.5)


def unknown(film):
    film.layout("both")
    film.caption("An id that nobody has: 404, and what was typed stays")
    film.look_up(UNKNOWN)
    film.frame(3)
    film.caption("In English or Russian; the switch needs no script")
    film.follow("footer a[hreflang=ru]")
    film.frame(2.5)
    film.follow("footer a[hreflang=en]")


def outage(film, site):
    film.clear()
    film.caption("Now Postgres stops …")
    film.run("kill -INT $(head -1 .waybill/postgres/data/postmaster.pid)")
    until(f"{site}/api/v1/orders/{UNKNOWN}", 503)
    film.run("make status")
    film.frame(1)
    film.caption("… and a known order is still answered, from memory")
    film.look_up(ORDER)
    film.frame(2.5)
    film.caption("Of an unknown one it cannot tell now: 503, because 404 would be a guess")
    film.look_up(UNKNOWN)
    film.frame(3)
    film.caption("Postgres comes back, and nothing else has to be done")
    film.run("make up")
    until(f"{site}/api/v1/orders/{UNKNOWN}", 404)
    film.go(f"{site}/orders/{UNKNOWN}")
    film.frame(2)


def reject(film, admin):
    film.clear()
    film.caption("A message that is no order is kept whole, with the reason and the place")
    film.run("""sed 's/"amount": 1817/"amount": "a lot"/' mine.json > wrong.json""")
    film.run("waybill publish wrong.json")
    until(f"{admin}/rejects/1", 200)
    film.run("waybill rejects show 1 | head -6")
    film.frame(3)
    film.caption("The same in a browser, on the admin port")
    film.go(f"{admin}/rejects")
    film.frame(1.5)
    film.follow("main a[href$='/rejects/1']")
    film.frame(3)


def load(film, site):
    film.layout("terminal")
    film.clear()
    film.caption("A short load: lookups by vegeta, then orders that are looked for until they are served")
    film.run(f"waybill load targets --url {site} --output targets.json && mkdir run")
    film.run(
        "for rate in 100 200 400; do\n"
        "  vegeta attack -format=json -targets=targets.json -max-body=0 -timeout=5s \\\n"
        "    -rate=$rate -duration=5s -output=run/$rate.bin\n"
        "done"
    )
    film.run(f"waybill load ingest --rates 50,200 --duration 5s --url {site} --output run")
    # Fails where an objective is broken, as on a machine that has much else to do.
    film.run("waybill load report run")
    film.frame(3)
    film.caption("The report as a page that needs no network; make load makes one, and runs wrk too")
    film.go((film.folder / "run/index.html").as_uri())
    film.layout("page")
    film.frame(3)
    film.scroll(0.5)
    film.frame(1.5)
    film.scroll(1)
    film.frame(1.5)


def dashboards(film):
    film.caption("The dashboards, as make dashboards drew them: two replicas under load and faults")
    for name in DASHBOARDS:
        film.go((film.root / f"docs/dashboards/{name}.png").as_uri())
        # A browser shrinks a picture to its window until it is clicked.
        film.page.click(*[length / 2 for length in film.stage.evaluate("viewSize()")])
        film.page.evaluate("scrollTo(0, 0)")
        film.look()
        film.frame(1.5)
        film.scroll(0.6)
        film.frame(1)


def stop(film):
    film.layout("terminal")
    film.clear()
    film.caption("make down stops all of it and keeps the data")
    film.run("make down")
    film.frame(2.5)
