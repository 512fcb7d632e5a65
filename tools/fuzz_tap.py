"""Send hostile requests to a running TAP service: fuzz_tap.py URL [REQUESTS [SEED]]; the URL is without /tap.

Exits with 1 if one was answered as a fault of the service, or not at all in time.
"""

import random
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

SECONDS_PER_REQUEST = 30.0
LEAK = "root:x:0:0"
"""What no answer may have: it is in /etc/passwd."""

_ENDLESS = (
    "SELECT COUNT(*) FROM TAP_SCHEMA.columns a, TAP_SCHEMA.columns b, TAP_SCHEMA.columns c, TAP_SCHEMA.columns d, "
    "TAP_SCHEMA.columns e, TAP_SCHEMA.columns f WHERE SIN(a.column_index * b.column_index + f.column_index) > 2"
)
_QUERIES = (
    "SELECT TOP 5 * FROM TAP_SCHEMA.tables",
    "SELECT table_name, COUNT(*) AS n FROM TAP_SCHEMA.columns GROUP BY table_name ORDER BY n DESC",
    "SELECT t.table_name FROM TAP_SCHEMA.tables t JOIN TAP_SCHEMA.columns c ON c.table_name = t.table_name",
    "SELECT DISTANCE(POINT('ICRS', 1, 2), POINT('ICRS', 3, 4)) AS d FROM TAP_SCHEMA.schemas",
    "SELECT POINT(400, 100), CIRCLE(0, 91, -1), POLYGON(0, 0, 1, 1, 2, 2) FROM TAP_SCHEMA.schemas",
    "WITH a AS (SELECT 1 AS x FROM TAP_SCHEMA.schemas) SELECT x FROM a UNION SELECT 2 FROM TAP_SCHEMA.schemas",
    "SELECT * FROM TAP_UPLOAD.t",
    "SELECT 1/0, POWER(10, 999), EXP(1e9), CAST('x' AS INTEGER) FROM TAP_SCHEMA.schemas",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT content FROM read_text('/etc/passwd')",
    "COPY (SELECT 1) TO '/tmp/stolen'",
    "ATTACH '/etc/passwd' AS a",
    "INSTALL httpfs; LOAD httpfs",
    "SELECT getenv('HOME') FROM TAP_SCHEMA.schemas",
    "SELECT 1; DROP TABLE TAP_SCHEMA.tables",
    "SELECT 1 FROM TAP_SCHEMA.tables -- '",
    "SELECT '" + "x" * 50_000 + "' FROM TAP_SCHEMA.schemas",
    "SELECT " + "(" * 300 + "1" + ")" * 300,
    "SELECT " + "ABS(" * 55 + "1" + ")" * 55 + " FROM TAP_SCHEMA.schemas",
    "SELECT " + "SQRT(" * 40 + "1" + ")" * 40 + " FROM TAP_SCHEMA.schemas",
    "SELECT 1" + " + 1" * 3000 + " FROM TAP_SCHEMA.schemas",
    "SELECT 1 FROM TAP_SCHEMA.schemas WHERE 1 = 1" + " OR 1 = 1" * 500,
    "SELECT *" + ", *" * 300 + " FROM TAP_SCHEMA.columns",
    "",
)
_WORDS = (
    "SELECT",
    "FROM",
    "*",
    "(",
    ")",
    "'",
    '"',
    ",",
    "--",
    ";",
    "NULL",
    "TOP",
    "-1",
    "1e999",
    "\x00",
    "☆",
    "{}",
    "%s",
)
_TEXTS = (
    "",
    " ",
    "0",
    "-1",
    "1",
    "99999999999999999999",
    "1e5",
    "NaN",
    "\x00",
    "\x0b\x1f\ufffe",
    "☆é𝄞",
    "'; DROP TABLE x; --",
    "<script>alert(1)</script>",
    "../../../etc/passwd",
    "file:///etc/passwd",
    "%2e%2e/%00",
    "x" * 5000,
    "RUN",
    "ABORT",
    "DELETE",
    "ADQL",
    "ADQL-2.1",
    "doQuery",
    "csv",
    "fits",
    "parquet",
    "votable/td",
    "tsv",
    "2999-01-01T00:00:00Z",
    "2000-02-31",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "COMPLETED",
    "PENDING",
    "t,param:part",
    "t,param:",
    "t,http://127.0.0.1:1/x",
    ",,;;,",
    "t,param:part;t,param:part",
    "{0}{1}%n%s",
)
_NAMES = (
    *(
        "QUERY",
        "LANG",
        "MAXREC",
        "FORMAT",
        "RESPONSEFORMAT",
        "UPLOAD",
        "RUNID",
        "PHASE",
        "ACTION",
        "WAIT",
        "AFTER",
    ),
    *("LAST", "DESTRUCTION", "EXECUTIONDURATION", "REQUEST", "VERSION", "detail", "nonsense"),
)
_BELOW_A_JOB = (
    *("phase", "executionduration", "destruction", "quote", "owner", "error", "parameters", "results"),
    *("results/result", "results/other", "parameters/QUERY"),
)
_TABLE = (
    '<?xml version="1.0"?><VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>'
    '<FIELD name="id" datatype="long"/><FIELD name="text" datatype="char" arraysize="*"/><DATA><TABLEDATA>'
    "<TR><TD>1</TD><TD>a</TD></TR><TR><TD>2</TD><TD/></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
)
_TYPES = (
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "multipart/form-data; boundary=",
    "application/json",
    "text/xml; charset=nonsense",
    "x" * 300,
)
_HEADERS = {
    "Authorization": ("Bearer", "Bearer x", "Basic eDp5", "Basic %%", "Negotiate"),
    "Range": ("bytes=0-1", "bytes=-5", "bytes=9-1", "bytes=0-0,1-1,2-2", "lines=1"),
    "Accept": ("*/*", "text/html", "x"),
    "Sec-Fetch-Site": ("cross-site", "same-origin", "none"),
    "X-Forwarded-Host": ("evil.example",),
    "If-Range": ("x",),
}
_METHODS = {"GET": 9, "POST": 18, "DELETE": 1, "HEAD": 1, "OPTIONS": 1, "PATCH": 1, "PUT": 1}
"""How often each is taken."""

_JOB = re.compile(r"/tap/async/([0-9a-f]+)$")


@dataclass
class Fuzzer:
    """Makes requests, sends them, and keeps account of the answers.

    Parameters
    ----------
    client
        Of httpx's kind; redirects are not followed.
    random
        Where chance comes from.
    endless
        Further arguments of requests that end only when the service or the client has enough.
    """

    client: Any
    random: random.Random
    endless: dict[str, Any] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0
    slowest_request: str = ""
    jobs: list[str] = field(default_factory=lambda: ["nothing"])

    def send(self, timeout: type[Exception] | tuple[type[Exception], ...] = ()) -> None:
        """Send a request; that the client has enough of an endless query is no fault."""
        request = self._request()
        began = time.monotonic()
        try:
            answer = self.client.request(**request)
        except timeout as error:
            if "timeout" not in request:
                self.faults.append(f"{type(error).__name__}: {str(request)[:500]}")
            self.statuses[0] += 1
            return
        if (took := time.monotonic() - began) > self.slowest:
            self.slowest, self.slowest_request = took, str(request)[:300]
        self.statuses[answer.status_code] += 1
        if answer.status_code == 500 or answer.status_code > 503 or LEAK in answer.text:
            self.faults.append(f"{answer.status_code}: {str(request)[:500]}")
        if job := _JOB.search(answer.headers.get("location", "")):
            self.jobs = [*self.jobs[-20:], job[1]]

    def _request(self) -> dict[str, Any]:
        chance = self.random
        path = self._path()
        method = chance.choices(sorted(_METHODS), [_METHODS[name] for name in sorted(_METHODS)])[0]
        asked = self._parameters()
        request: dict[str, Any] = {"method": method, "url": path, "headers": {}}
        for name in chance.sample(sorted(_HEADERS), chance.choice([0, 0, 0, 1, 2])):
            request["headers"][name] = chance.choice(_HEADERS[name])
        kind = chance.random()
        if method in ("GET", "HEAD", "DELETE", "OPTIONS") or kind < 0.15:
            request["params"] = asked
        elif kind < 0.55:
            request["data"] = asked
        elif kind < 0.8:
            request["data"] = {**asked, "UPLOAD": "t,param:part"}
            request["files"] = {"part": ("part", self._table())}
        else:
            request["content"] = self._bytes()
            request["headers"]["Content-Type"] = chance.choice(_TYPES)
        if chance.random() < 0.01:
            request = {"method": "GET", "url": "/tap/sync", "params": {"QUERY": _ENDLESS}, **self.endless}
        return request

    def _path(self) -> str:
        job = self.random.choice(self.jobs)
        known = [
            *["/tap/sync"] * 16,
            *["/tap/async"] * 10,
            f"/tap/async/{job}",
            *(f"/tap/async/{job}/{name}" for name in _BELOW_A_JOB),
            "/tap/tables",
            f"/tap/tables/{quote(self.random.choice(_TEXTS)[:200], safe='')}",
            "/tap/availability",
            "/tap/capabilities",
            "/tap/examples",
            "/tap",
            "/tap//sync",
            "/tap/../etc/passwd",
            "/tap/%2e%2e/%2e%2e/etc/passwd",
            f"/tap/async/{quote(self.random.choice(_TEXTS)[:200], safe='')}",
            f"/{quote(self.random.choice(_TEXTS)[:200])}",
        ]
        return self.random.choice(known)

    def _parameters(self) -> dict[str, Any]:
        chance = self.random
        asked: dict[str, Any] = {}
        if chance.random() < 0.7:
            asked["QUERY"] = self._query()
        if chance.random() < 0.3:
            asked |= {"PHASE": "RUN", "EXECUTIONDURATION": "1"}
        for name in chance.sample(_NAMES, chance.choice([0, 0, 1, 2, 3])):
            text = chance.choice(_TEXTS)
            if name == "WAIT" and text.strip("-0123456789") == "":
                text = "0"  # a wait is no hang
            asked["".join(chance.choice([sign.lower(), sign]) for sign in name)] = text
        return asked

    def _query(self) -> str:
        chance = self.random
        words = chance.choice(_QUERIES).split(" ")
        if len(words) < 100:
            for _ in range(chance.choice([0, 0, 1, 2, 5])):
                at = chance.randrange(len(words) + 1)
                words[at : at + chance.randrange(2)] = chance.choices(_WORDS, k=chance.randrange(3))
        return " ".join(words)

    def _table(self) -> bytes:
        table = bytearray(_TABLE.encode())
        for _ in range(self.random.choice([0, 0, 1, 3])):
            at = self.random.randrange(len(table))
            table[at : at + self.random.randrange(4)] = self.random.randbytes(self.random.randrange(3))
        return bytes(table)

    def _bytes(self) -> bytes:
        chance = self.random
        return chance.choice(
            [
                chance.randbytes(chance.randrange(200)),
                b"QUERY=%FF%FE%00&LANG=%",
                b"&".join([b"a=b"] * 500),
                b'--x\r\nContent-Disposition: form-data; name="QUERY"\r\n\r\nSELECT',
                b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n",
                b'--x\r\nContent-Disposition: form-data; name="UPLOAD"; filename="a"\r\n\r\nt,param:a\r\n',
                b"{" * 1000,
            ]
        )


def main(arguments: Sequence[str]) -> int:
    """Do it; return the exit status."""
    import httpx

    url, *numbers = arguments
    count, seed = [int(number) for number in numbers] + [5000, 1][len(numbers) :]
    with httpx.Client(base_url=url, timeout=SECONDS_PER_REQUEST) as client:
        fuzzer = Fuzzer(client, random.Random(seed), {"timeout": 1.0})  # noqa: S311 - that it repeats is what is wanted
        began = time.monotonic()
        for _ in range(count):
            fuzzer.send((httpx.HTTPError, OSError))
        answers = ", ".join(f"{status}: {number}" for status, number in sorted(fuzzer.statuses.items()))
        took = f"{time.monotonic() - began:.0f} s, the slowest {fuzzer.slowest:.1f} s"
        sys.stdout.write(f"{count} requests in {took} ({fuzzer.slowest_request})\nanswers by status: {answers}\n")
        alive = client.get("/tap/availability").status_code == 200
    for fault in fuzzer.faults:
        sys.stdout.write(f"{fault}\n")
    return int(bool(fuzzer.faults) or not alive)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
