"""A mixed load of people with different habits, for locust; `bench/release.py` starts it and judges what it records.

Alone: `RECORDS=/tmp/records locust -f bench/locustfile.py --headless -u 40 -r 40 -t 30s --host http://127.0.0.1:8080`.
Each request is a line of RECORDS: kind, session, when it began and ended (seconds, the machine's monotonic clock),
status (0: none came), colour, endpoint, mark, and whether the body was as long as it has to be.
"""

import itertools
import os
import random
import time
from typing import Any, ClassVar

from locust import FastHttpUser, events, task

RECORDS = open(os.environ.get("RECORDS", os.devnull), "w", buffering=1 << 16, encoding="utf-8")  # noqa: PTH123, SIM115
NUMBERS = itertools.count(1)
LARGE = 262_144
UPLOAD = os.urandom(32_768)


@events.quitting.add_listener
def close(**_: Any) -> None:
    """What was recorded is on disk before locust ends."""
    RECORDS.close()


class Person(FastHttpUser):
    """Asks without pause, over one kept connection."""

    abstract = True
    kind: ClassVar[str]

    def ask(self, path: str, *, kind: str = "", session: int = 0, length: int = 4, **more: Any) -> None:
        """One request and its line. An error that a bad canary itself answered is no failure of the proxy."""
        began = time.monotonic()
        with self.client.request(more.pop("method", "GET"), path, catch_response=True, name=self.kind, **more) as got:
            ended = time.monotonic()
            fields = got.headers or {}
            colour = fields.get("x-colour", "-")
            is_whole = len(got.content or b"") == length and fields.get("x-received") == str(len(more.get("data", b"")))
            if got.status_code == 500 and colour == "canary":
                got.success()
            elif got.status_code != 200 or not is_whole:
                got.failure(f"{got.status_code}, {'whole' if is_whole else 'not whole'}")
        seen = (colour, fields.get("x-endpoint", "-"), fields.get("x-mark", "-"), int(is_whole))
        row = (kind or self.kind, session, f"{began:.6f}", f"{ended:.6f}", got.status_code, *seen)
        RECORDS.write("\t".join(map(str, row)) + "\n")


class Shopper(Person):
    """Drawn anew with each request."""

    weight = 4
    kind = "shop"

    @task(8)
    def look(self) -> None:
        self.ask(f"/shop/goods/{random.randrange(2000)}")

    @task(1)
    def wait(self) -> None:
        self.ask("/shop/slow")

    @task(1)
    def send(self) -> None:
        self.ask("/shop/upload", method="POST", data=UPLOAD)


class Tester(Person):
    """Of the cohort that sees green, whatever the split says."""

    weight = 1
    kind = "cohort"

    @task
    def look(self) -> None:
        self.ask("/shop/goods/1", headers={"X-Cohort": "beta"})


class Member(Person):
    """Keeps a cookie, and with it a colour, until leaving; then somebody else comes."""

    weight = 3
    kind = "member"
    session = 0

    @task
    def look(self) -> None:
        is_new = not self.session or random.random() < 0.05
        if is_new:
            self.client.cookiejar.clear()
            self.session = next(NUMBERS)
        self.ask(f"/member/{self.session}", kind="entry" if is_new else "member", session=self.session)


class Visitor(Person):
    """Of a service that is flipped as a whole."""

    weight = 2
    kind = "flip"

    @task(9)
    def look(self) -> None:
        self.ask("/flip/page")

    @task(1)
    def load(self) -> None:
        self.ask("/flip/large", length=LARGE)


class Caller(Person):
    """Of a service whose endpoints come and go."""

    weight = 2
    kind = "pair"

    @task(5)
    def look(self) -> None:
        self.ask("/pair/page")

    @task(1)
    def wait(self) -> None:
        self.ask("/pair/slow")


class Buyer(Person):
    """Of the service that is being released."""

    weight = 3
    kind = "release"

    @task
    def buy(self) -> None:
        self.ask("/release/buy", length=4)
