"""The table of what is measured: the work, its unit, and the target that the project set itself."""

import dataclasses


@dataclasses.dataclass
class Target:
    """gatehouse's figure divided by that of `beside` stays below `limit`; `beside` is a program's
    name, "best" for the cheapest peer, or "" for a figure in the scenario's own unit."""

    beside: str
    limit: float

    def text(self, unit):
        if not self.beside:
            return f"under {self.limit:g} {unit}"
        return f"{self.limit:.2f} of {'best peer' if self.beside == 'best' else self.beside}"


@dataclasses.dataclass
class Scenario:
    name: str
    title: str
    kind: str  # pass, plaintext, terminate, mtls
    unit: str  # what the figure counts, as it is printed
    load: dict  # options of the load client; lists are flags
    targets: list
    is_bulk: bool = False
    hold: str = ""  # a memory scenario: silent or idle connections
    in_quick: bool = True
    scale_by: str = "connections"  # what a quick run does less of

    def load_options(self, share):
        """The same work, less of it: what scale_by names is multiplied by the share."""
        options = dict(self.load)
        options[self.scale_by] = max(1, int(options[self.scale_by] * share))
        return options

    def has_tls_floor(self):
        """The bare program takes little from clients."""
        return self.is_handshake() or (self.is_bulk and "send" not in self.load)

    def is_handshake(self):
        return self.kind in ("terminate", "mtls") and not self.is_bulk and not self.hold

    def unit_count(self, result):
        return result["bytes"] / 1e9 if self.is_bulk else result["units"]

    def figure(self, cpu_ns, result):
        """us per unit, or ms per GB."""
        return cpu_ns / (1e6 if self.is_bulk else 1e3) / self.unit_count(result)


def beside(program, limit):
    return Target(program, limit)


def under(limit):
    return Target("", limit)


def _bulk(kind, name, title, flows, targets, gigabytes=1.0, in_quick=True, **more):
    def one(way, option):
        each = int(gigabytes * 1e9 / flows)
        load = {"connections": flows, "flows": flows, "receive": 1, option: each, **more}
        plural = "flows" if flows > 1 else "flow"
        return Scenario(
            f"{name}{way}-{flows}",
            f"{title}, {way}, {flows} {plural}",
            kind,
            "ms CPU/GB",
            load,
            targets[way],
            is_bulk=True,
            in_quick=in_quick,
            scale_by=option,
        )

    return [one("down", "receive"), one("up", "send")]


def _ping_pong(size, in_quick):
    return Scenario(
        f"message-{size}",
        f"ping-pong of {size} B and back, 100 flows",
        "pass",
        "us CPU/message",
        {"connections": 100, "flows": 100, "send": size, "receive": size, "rounds": 400},
        [beside("best", 0.90)],
        scale_by="rounds",
        in_quick=in_quick,
    )


def _handshake(name, title, limit, count=2000, kind="terminate", **more):
    load = {"connections": count, "flows": 32, **more}
    targets = [beside("best", limit), beside("floor", 1.10)]
    return Scenario(name, title, kind, "us CPU/handshake", load, targets)


def _held(name, title, kind, hold, limit, **more):
    load = {"connections": 4000, "flows": 64, "hold": hold, **more}
    return Scenario(name, title, kind, "bytes each", load, [under(limit)], hold=hold)


def _plaintext(first):
    return Scenario(
        f"conn-{first}",
        f"the same with the first bytes of {first}, on a port that serves TLS, http and ssh",
        "plaintext",
        "us CPU/connection",
        {"connections": 8000, "flows": 64, "first": first},
        [beside("sslh", 0.50)],
        in_quick=False,
    )


HALF = {way: [beside("best", 0.50)] for way in ("down", "up")}

SCENARIOS = [
    Scenario(
        "conn",
        "connection, hello, one-byte answer, close",
        "pass",
        "us CPU/connection",
        {"connections": 8000, "flows": 64},
        [beside("haproxy", 0.95), beside("floor", 1.10)],
    ),
    Scenario(
        "conn-16k",
        "the same with a 16 KB answer",
        "pass",
        "us CPU/connection",
        {"connections": 8000, "flows": 64, "receive": 16384},
        [beside("best", 0.95)],
    ),
    _plaintext("ssh"),
    _plaintext("http"),
    *_bulk("pass", "bulk-", "passthrough bulk", 1, HALF, in_quick=False),
    *_bulk("pass", "bulk-", "passthrough bulk", 16, HALF),
    *_bulk("pass", "bulk-", "passthrough bulk", 100, HALF, in_quick=False),
    _ping_pong(100, True),
    _ping_pong(1460, False),
    _ping_pong(16384, False),
    _held("idle-pass", "idle passthrough connection", "pass", "idle", 1024),
    _held("idle-silent", "connection that has sent no hello", "pass", "silent", 614),
    _handshake("tls13-full", "full TLS 1.3 handshake", 0.85, tls="1.3"),
    _handshake("tls13-resumed", "resumed TLS 1.3", 0.87, tls="1.3", resume=True),
    _handshake("tls12-full", "full TLS 1.2 handshake", 0.90, tls="1.2"),
    _handshake("tls12-resumed", "resumed TLS 1.2", 0.87, 4000, tls="1.2", resume=True),
    _handshake("mtls", "mutual TLS 1.3 with an ACL, full", 0.90, 1500, kind="mtls", tls="1.3"),
    *_bulk(
        "terminate",
        "tls-",
        "terminated bulk",
        16,
        {"down": [beside("best", 0.65), beside("floor", 1.10)], "up": [beside("best", 0.95)]},
        gigabytes=0.5,
        tls="1.3",
    ),
    _held("idle-tls", "idle terminated connection", "terminate", "idle", 15360, tls="1.3"),
]
