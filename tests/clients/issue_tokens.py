"""Makes keys and JSON Web Tokens with joserfc: a JSON object a line in, one out.

{"make": "EC", "kid": "a"}                              -> {"jwk": {...}, "pem": "..."}
{"sign": "a", "header": {"alg": "ES256"}, "claims": {}} -> {"token": "..."}
{"nest": "a", "header": {"alg": "ES256"}, "token": ""}  -> {"token": "..."}
{"hmac": "secret", "header": {}, "claims": {}}          -> {"token": "..."}
"""

import base64
import hashlib
import hmac
import json
import sys

from joserfc import jws, jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

ALGORITHMS = ["ES256", "ES384", "Ed25519", "EdDSA", "RS256", "PS256"]
MAKE = {
    "EC": lambda: ECKey.generate_key("P-256"),
    "P-384": lambda: ECKey.generate_key("P-384"),
    "OKP": lambda: OKPKey.generate_key("Ed25519"),
    "RSA": lambda: RSAKey.generate_key(2048),
}
keys = {}


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def answer(ask):
    if "make" in ask:
        key = keys[ask["kid"]] = MAKE[ask["make"]]()
        jwk = {**key.as_dict(private=False), "kid": ask["kid"], "use": "sig"}
        return {"jwk": jwk, "pem": key.as_pem(private=False).decode()}
    if "sign" in ask:
        token = jwt.encode(ask["header"], ask["claims"], keys[ask["sign"]], algorithms=ALGORITHMS)
    elif "nest" in ask:
        token = jws.serialize_compact(
            ask["header"], ask["token"], keys[ask["nest"]], algorithms=ALGORITHMS
        )
    else:
        # No library signs with a public key as the secret.
        parts = [encoded(json.dumps(ask[part]).encode()) for part in ("header", "claims")]
        message = ".".join(parts)
        digest = hmac.new(ask["hmac"].encode(), message.encode(), hashlib.sha256).digest()
        token = f"{message}.{encoded(digest)}"
    return {"token": token}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
