# SPDX-License-Identifier: Apache-2.0
"""A made fleet as `enclayer dashboard` tells it, served with its page: for a picture without waiting for half an hour."""
import http.server
import json
import math
import random
import threading


def use(asked, claimed, mapped, quotes, refused=0):
    return {"asked_mib": asked, "claimed_mib": claimed, "mapped_mib": mapped, "quotes_per_minute": quotes,
            "refused_per_minute": refused}


def fleet(nodes=700):
    chance = random.Random(7)
    teams = ["bank", "vault", "ledger", "health", "search"]
    words = ["scorer", "gateway", "signer", "worker", "store", "broker"]
    out = []
    for i in range(nodes):
        epc, pods = chance.choice([8192, 16384, 65536]), []
        load = chance.choice([0.2, 0.45, 0.6, 0.75, 0.85])
        for k in range(chance.randint(2, 9)):
            asked = min(max(4, round(epc * load * chance.uniform(0.04, 0.21))), max(1, epc - sum(pod["asked_mib"] + pod["claimed_mib"] for pod in pods)))
            claimed = asked if chance.random() < 0.25 else 0
            asked = 0 if claimed else asked
            mapped, quotes = round((asked + claimed) * chance.uniform(0.3, 0.97)), chance.choice([0, 0, 2, 6, 20])
            containers = [{"name": "enclave", **use(asked, 0, None, quotes)}] if asked else []
            pods.append({"namespace": chance.choice(teams), "name": f"{chance.choice(words)}-{k}", "containers": containers,
                         **use(asked, claimed, mapped, quotes)})
        sums = [sum(pod[key] or 0 for pod in pods) for key in use(0, 0, 0, 0)]
        out.append({"name": f"sgx-{'abc'[i % 3]}-{i:03}", "epc_mib": epc, "wait_p99_seconds": chance.choice([0.002, 0.005, 0.01]),
                    "waiting": 0, "pods": pods, **use(*sums)})
    out[17]["wait_p99_seconds"], out[17]["waiting"] = 2.5, 41
    out[204]["refused_per_minute"] = 1200
    out[350]["pods"][0]["mapped_mib"] = out[350]["mapped_mib"] = out[350]["asked_mib"] + out[350]["claimed_mib"] + 900
    return out


def state(nodes=700):
    nodes = fleet(nodes)
    made = sum(node["quotes_per_minute"] for node in nodes)
    chance = random.Random(8)
    history = [{"age_seconds": age, "quotes_per_minute": made * (0.8 + 0.2 * math.cos(age / 300)) + chance.uniform(-60, 60),
                "refused_per_minute": 1200 if age < 240 else 0,
                "wait_p99_seconds": (2.5 if age < 300 else 0.01) if not 900 < age < 1000 else None}
               for age in range(1790, -1, -10)]
    links = [{"link": "quote helper", "standing": "wrong", "why": "on sgx-c-017 41 requests wait, the longest for 2.5 s",
              "next": "kubectl -n enclayer-system logs -l app.kubernetes.io/name=enclayer-quote-helper"},
             {"link": "Quoting Enclave", "standing": "wrong", "why": "quotes of sgx-a-204 reach TCB status OutOfDate only",
              "next": "enclayer show"}]
    links += [{"link": name, "standing": standing, "why": "as it should be", "next": ""} for name, standing in
              [("cluster", "ok"), ("add-on", "ok"), ("images", "ok"), ("admission", "ok"), ("nodes", "ok"), ("SGX", "ok"),
               ("device plugin", "ok"), ("DRA driver", "ok"), ("attestation service", "off"), ("container runtime", "unknown")]]
    return {"usage": {"nodes": nodes, "pending": {"pods": 3, "asked_mib": 24576}, "daemons": {"asked": 1400, "answered": 1398},
                      "age_seconds": None, "notes": ["quote helpers on sgx-b-301, sgx-c-302 did not answer within 5 s"]},
            "doctor": {"links": links, "age_seconds": 12, "trouble": ""}, "history": history}


class Served(http.server.ThreadingHTTPServer):
    """The page and a state, on a port of its own."""

    def __init__(self, page, said):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps(said).encode() if self.path.endswith("state.json") else page
                self.send_response(200)
                self.send_header("Content-Type", "application/json" if body is not page else "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/"
