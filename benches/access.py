"""What a lookup that hits costs more with tokens and with the audit log."""

import contextlib
import hashlib
import pathlib

import common
import lookup

TOKEN = "q7Zk0hXv3mTn8cRb1yLwEo5sJdUfAiGp2xNtVaKeWuM"

# Of the size that identity providers give out, good until 2096 for whoever trusts this public key;
# its private one was thrown away.
JWKS = '{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "bench", "x": "q153S09RSKcN04WbWX27LgIzeQlWYDF283kGSWlrNBE"}]}'
JWT = (
    "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCIsImtpZCI6ImJlbmNoIn0.eyJpc3MiOiJodHRwczovL2xvZ2luLmV4YW1wbGUiLCJh"
    "dWQiOlsid2F5YmlsbCIsImFjY291bnQiXSwiZXhwIjo0MDAwMDAwMDAwLCJpYXQiOjE4MDAwMDAwMDAsImp0aSI6IjRkN2I3YjBl"
    "LTRjOWItNGE1MS05YTNiLTVkOWNiYmZkMWI1OCIsInN1YiI6ImYxYTNjOWU2LTFkMGYtNGY2Yy04YTYxLTBhNmYyZjBkMWM1NSIs"
    "ImF6cCI6IndlYiIsInByZWZlcnJlZF91c2VybmFtZSI6ImNsZXJrIiwiZW1haWwiOiJjbGVya0BleGFtcGxlLm9yZyIsInNjb3Bl"
    "Ijoib3BlbmlkIHByb2ZpbGUgZW1haWwgb3JkZXJzOnJlYWQifQ.ewSY_sC7KI9P2Gbi3kmMZIA8c4MMO-6zFkI34fk8m49muyLDr"
    "FxPSl-gjNXtyfIuWDwoDmRACMSxM_AcUty5Bw"
)


def tokens(directory, scope):
    """The settings with which TOKEN has this scope."""
    file = directory / f"{scope.replace(':', '-')}.toml"
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    file.write_text(f"[[token]]\nname = 'bench'\nsha256 = '{digest}'\nscopes = ['{scope}']\n")
    return {"WAYBILL_ACCESS__MODE": "tokens", "WAYBILL_ACCESS__TOKENS_FILE": str(file)}


def jwt(directory):
    """The settings with which JWT is good."""
    file = directory / "jwks.json"
    file.write_text(JWKS)
    return {
        "WAYBILL_ACCESS__MODE": "jwt",
        "WAYBILL_ACCESS__ISSUER": "https://login.example",
        "WAYBILL_ACCESS__AUDIENCE": "waybill",
        "WAYBILL_ACCESS__JWKS_FILE": str(file),
    }


def audit(directory, overflow):
    """The settings with which each lookup is recorded in a file."""
    return {
        "WAYBILL_AUDIT__TARGET": "file",
        "WAYBILL_AUDIT__FILE": str(directory / f"audit-{overflow}.ndjson"),
        "WAYBILL_AUDIT__ON_OVERFLOW": overflow,
    }


def run(rounds=5):
    uid, document = lookup.order_of_one_kilobyte()
    path = f"/api/v1/orders/{uid}"
    with common.scratch() as scratch, contextlib.ExitStack() as stack:
        directory = pathlib.Path(scratch)
        # The name, the settings, and the token that is sent.
        contenders = {
            "none": ("`access.mode = none`", {}, None),
            "tokens": ("`tokens`", tokens(directory, "orders:read"), TOKEN),
            "jwt": (f"`jwt`, a token of {len(JWT)} bytes", jwt(directory), JWT),
            "masked": ("`tokens`, the order masked", tokens(directory, "orders:read:masked"), TOKEN),
            "block": ("audit log in a file, `on_overflow = block`", audit(directory, "block"), None),
            "refuse": ("the same, `refuse`", audit(directory, "refuse"), None),
        }

        def measure(settings, token):
            _, port, _ = stack.enter_context(common.replica(core=0, WAYBILL_HTTP__WORKERS="1", **settings))
            return lambda: lookup.wrk(port, path, token=token)

        found = common.rounds(
            rounds, {name: measure(settings, token) for name, (_, settings, token) in contenders.items()}
        )
    spent = {name: [value[0] for value in values] for name, values in found.items()}
    least = common.statistics.median(spent["none"])
    print("### The same lookup with tokens and with the audit log\n")
    common.table(
        ("settings", "µs of its core a request", "requests a second", "of the µs without"),
        *(
            (
                title,
                common.middle(spent[name], 2),
                common.middle([value[1] for value in found[name]], 0),
                f"{common.statistics.median(spent[name]) / least:.2f}",
            )
            for name, (title, _, _) in contenders.items()
        ),
    )
