"""The page without its script: browsing, queries, results, plots, jobs, mistakes and tokens."""

import re
import threading
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import httpx
import pyarrow as pa
import pytest

from forcedphot.tap.engine import Engine, Limits
from forcedphot.tap.holdings import HeldColumn, HeldSchema, HeldTable, HoldingsSnapshot
from forcedphot.tap.page import kept_results
from forcedphot.tap.tables import memory_table

from .conftest import HOSTILE, ROWS, Jobs, ListedJob, MemoryHoldings, Settings, TestClient, make_app

ALL = "SELECT objectId, coord_ra, coord_dec, r_psfMag, band FROM dp1.Object ORDER BY objectId"


class Document(HTMLParser):
    """What a browser would see: elements, and the text of those that are asked for."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.append((self._open[-1], data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


@pytest.fixture
def client(holdings: MemoryHoldings) -> TestClient:
    return TestClient(make_app(holdings))


def ask(client: TestClient, query: str, **further: str) -> httpx.Response:
    answer: httpx.Response = client.post("/query", data={"query": query, **further})
    return answer


def test_the_root_shows_tables_and_examples(client: TestClient) -> None:
    page = client.get("/").text
    assert 'href="/tables/dp1.Object"' in page
    assert "Objects of the coadds." in page
    assert "All objects" in page
    assert "SELECT * FROM dp1.Object</textarea>" in page
    assert client.get("/", params={"query": "SELECT 1 <"}).text.count("SELECT 1 &lt;</textarea>") == 1


def test_a_table_shows_its_columns(client: TestClient) -> None:
    page = client.get("/tables/DP1.object").text
    for text in ("coord_ra", "deg", "pos.eq.ra;meta.main", "Right ascension", "5 columns"):
        assert text in page
    assert client.get("/tables/dp1.nothing").status_code == 404


@pytest.mark.parametrize(
    ("text", "found", "not_found"),
    [
        ("psfmag", "r_psfMag", "coord_ra<"),
        ("right ASCENSION", "coord_ra", "r_psfMag"),
        ("pos.eq", "coord_dec", "r_psfMag"),
        ("coadds", "dp1.Object", "r_psfMag"),
        ("nothing like it", "0 tables have this", "dp1.Object"),
    ],
)
def test_a_search_finds_columns_by_all_that_is_known_of_them(
    client: TestClient, text: str, found: str, not_found: str
) -> None:
    page = client.get("/tables", params={"search": text}).text
    assert found in page
    assert not_found not in page


def test_a_query_leads_to_its_result(client: TestClient) -> None:
    answer = ask(client, ALL)
    assert [step.status_code for step in answer.history] == [303]
    page = Document(answer.text)
    assert "250 rows" in answer.text
    heads = [text for text in page.text("th") if text.strip()]
    assert heads == ["objectId", "coord_ra", "coord_dec", "r_psfMag", "band"]
    values = page.text("td")
    assert values[0] == "611254385447534870"
    assert ALL in page.text("textarea")[0]
    assert "deg" in page.text("span")
    downloads = [button["value"] for button in page.all("button") if button.get("name") == "RESPONSEFORMAT"]
    assert downloads == ["votable", "csv", "fits", "parquet"]
    hidden = {field["name"]: field["value"] for field in page.all("input") if field.get("type") == "hidden"}
    assert hidden["QUERY"] == ALL
    assert "/tap/sync" in [form["action"] for form in page.all("form")]


def test_results_have_pages(client: TestClient) -> None:
    first = ask(client, ALL)
    seen = []
    for number in (1, 2, 3):
        page = Document(client.get(first.url.path, params={"page": number}).text)
        seen += [text for text in page.text("td") if text.startswith("6112543854475")]
    assert seen == [str(611254385447534870 + number) for number in range(ROWS)]
    for odd in ("0", "99", "x", "-1", "9" * 5000, "²"):
        assert client.get(first.url.path, params={"page": odd}).status_code == 200


def test_only_the_first_rows_are_kept(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_results, "MAX_ROWS", 100)
    assert "The first 100 rows; there are more" in ask(client, ALL).text
    monkeypatch.setattr(kept_results, "_MAX_BYTES", 1000)
    rows = re.search(r"The first (\d+) rows; there", ask(client, ALL).text)
    assert rows is not None
    assert 1 <= int(rows.group(1)) < 100


def test_only_the_last_results_are_kept(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_results, "_MAX_RESULTS", 2)
    paths = [ask(client, f"SELECT {number} AS n FROM dp1.Hostile").url.path for number in range(3)]
    assert [client.get(path).status_code for path in paths] == [404, 200, 200]
    assert "no longer kept" in client.get(paths[0]).text
    assert len(set(paths)) == 3
    monkeypatch.setattr(kept_results, "_MAX_BYTES_OF_ALL", 15_000)
    paths = [ask(client, ALL).url.path for _ in range(2)]
    assert [client.get(path).status_code for path in paths] == [404, 200]


def test_mistakes_are_marked(client: TestClient) -> None:
    query = "SELECT objectId,\r\n  r_psfMa FROM dp1.Object -- \N{GRINNING FACE}"
    answer = ask(client, query)
    assert answer.status_code == 400
    page = Document(answer.text)
    assert page.text("mark") == ["r_psfMa"]
    assert "similar ones are r_psfMag" in answer.text
    assert "Line 2, column 3" in answer.text
    (box,) = [attributes for tag, attributes in page.elements if attributes.get("id") == "mistake"]
    assert (box["data-start"], box["data-end"]) == ("19", "26")
    assert "\N{GRINNING FACE}" in page.text("textarea")[0]
    (area,) = page.all("textarea")
    assert area["aria-invalid"] == "true"


def test_places_count_as_browsers_do(client: TestClient) -> None:
    answer = ask(client, "SELECT '\N{GRINNING FACE}', nothing FROM dp1.Object")
    (box,) = [attributes for _, attributes in Document(answer.text).elements if attributes.get("id") == "mistake"]
    assert (box["data-start"], box["data-end"]) == ("13", "20")


@pytest.mark.parametrize(
    "query", ["", "SELECT", "DROP TABLE dp1.Object", "x" * 300_000, "SELECT '", "\0", "SELECT (" * 99]
)
def test_what_is_no_query_is_refused(client: TestClient, query: str) -> None:
    answer = ask(client, query)
    assert answer.status_code == 400
    assert "The query was not run" in answer.text


def test_a_query_that_takes_too_long_is_stopped(holdings: MemoryHoldings) -> None:
    client = TestClient(make_app(holdings, Settings(sync_limits=Limits(seconds=0.3))))
    answer = ask(
        client,
        "SELECT COUNT(*) FROM dp1.Object a, dp1.Object b, dp1.Object c, dp1.Object d "
        "WHERE SIN(a.coord_ra * b.coord_ra + c.coord_ra - d.coord_ra) > 2",
    )
    assert answer.status_code == 400
    assert "more than 0.3 seconds" in answer.text


def test_queries_wait_for_their_turn(holdings: MemoryHoldings, monkeypatch: pytest.MonkeyPatch) -> None:
    busy, most = [0], [0]
    original = kept_results.run

    def counted(*arguments: object) -> object:
        busy[0] += 1
        most[0] = max(most[0], busy[0])
        try:
            return original(*arguments)  # type: ignore[arg-type]
        finally:
            busy[0] -= 1

    monkeypatch.setattr("forcedphot.tap.page.routes.run", counted)
    codes: list[int] = []
    with TestClient(make_app(holdings)) as client:
        threads = [threading.Thread(target=lambda: codes.append(ask(client, ALL).status_code)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert codes == [200] * 8
    assert most[0] <= 2


@pytest.mark.parametrize(
    "choice",
    [
        {"x": "coord_ra", "y": "coord_dec", "sky": "1"},
        {"x": "objectId", "y": "r_psfMag", "flip_y": "1", "flip_x": "1"},
        {"x": "r_psfMag"},
        {"x": "r_psfMag", "dark": "1"},
        {"x": "nothing", "y": "band"},
        {},
    ],
)
def test_plots(client: TestClient, choice: dict[str, str]) -> None:
    plot = client.get(f"{ask(client, ALL).url.path}/plot.svg", params=choice)
    assert plot.status_code == 200
    assert plot.headers["content-type"] == "image/svg+xml"
    assert len(plot.content) < 400_000
    assert ET.fromstring(plot.content).tag.endswith("svg")  # noqa: S314


def test_plots_are_drawn_once(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def draw(*arguments: object) -> bytes:
        drawn.append(arguments)
        return b"<svg/>"

    monkeypatch.setattr("forcedphot.tap.page.plots.draw", draw)
    path = f"{ask(client, ALL).url.path}/plot.svg"
    for _ in range(3):
        client.get(path, params={"x": "r_psfMag"})
    client.get(path, params={"x": "coord_ra"})
    assert len(drawn) == 2


def test_what_cannot_be_plotted_has_no_plot(client: TestClient) -> None:
    for query in ("SELECT band FROM dp1.Object", "SELECT objectId FROM dp1.Object WHERE objectId < 0"):
        answer = ask(client, query)
        assert "plot.svg" not in answer.text
        assert client.get(f"{answer.url.path}/plot.svg").status_code == 404
    assert client.get("/results/unknown/plot.svg").status_code == 404


def test_magnitudes_point_down_at_first(client: TestClient) -> None:
    page = Document(ask(client, "SELECT coord_ra, r_psfMag FROM dp1.Object").text)
    (flip,) = [field for field in page.all("input") if field.get("name") == "flip_y"]
    assert "checked" in flip


def test_nothing_that_is_shown_becomes_markup(client: TestClient) -> None:
    jobs = Jobs({None: [ListedJob(HOSTILE, "ERROR", [("QUERY", HOSTILE)], HOSTILE)]})
    client.app.state.jobs = jobs  # type: ignore[attr-defined]
    pages = [
        client.get("/"),
        client.get("/", params={"query": f"{HOSTILE}</textarea><script>alert(4)</script>"}),
        client.get("/tables", params={"search": HOSTILE}),
        client.get("/tables", params={"search": "script"}),
        client.get("/tables/dp1.Hostile"),
        client.get(f"/tables/{HOSTILE.replace('/', '')}"),
        client.get("/jobs"),
        ask(client, "SELECT * FROM dp1.Hostile"),
        ask(client, f"{HOSTILE}</textarea><script>alert(4)</script>"),
        ask(client, "SELECT text FROM dp1.Hostile"),
    ]
    for page in pages:
        document = Document(page.text)
        assert [script.get("src") for script in document.all("script")] == ["/page/page.js"]
        assert all(not (image.get("src") or "").startswith("x") for image in document.all("img"))
        attributes = [name for _, given in document.elements for name in given]
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert not [link for link in document.all("a") if (link.get("href") or "").startswith("javascript")]
        assert "49" not in "".join(text for tag, text in document.texts if tag in ("p", "code", "h3"))
    result = pages[7]
    assert HOSTILE in Document(result.text).text("td")


def test_hostile_names_are_plotted_as_shapes(client: TestClient) -> None:
    path = ask(client, "SELECT * FROM dp1.Hostile").url.path
    for name in (HOSTILE, "$\\frac{"):
        plot = client.get(f"{path}/plot.svg", params={"x": name})
        assert plot.status_code == 200
        drawing = ET.fromstring(plot.content)  # noqa: S314
        assert not [element.tag for element in drawing.iter() if "script" in element.tag or "text" in element.tag]


def test_the_browser_is_told_to_run_nothing_else(client: TestClient) -> None:
    for answer in (
        client.get("/"),
        client.get("/tables"),
        client.get("/jobs"),
        ask(client, "SELECT"),
        ask(client, ALL),
    ):
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert "unsafe" not in str(policy)
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "http" not in re.sub(r'href="data:,"', "", answer.text).replace("http-equiv", "")


def test_links_are_those_of_the_web(client: TestClient) -> None:
    answer = ask(client, "SELECT 'http' || '://example.org/a?b=1&c=\"2' AS url, text FROM dp1.Hostile")
    links = [link["href"] for link in Document(answer.text).all("a")]
    assert 'http://example.org/a?b=1&c="2' in links
    assert not [link for link in links if link and link.startswith("javascript")]


def test_files_of_the_page(client: TestClient) -> None:
    assert "javascript" in client.get("/page/page.js").headers["content-type"]
    assert "prefers-color-scheme: dark" in client.get("/page/style.css").text
    for odd in ("/page/../routes.py", "/page/%2e%2e/routes.py", "/page/..%2froutes.py"):
        assert client.get(odd).status_code == 404


def test_everything_has_a_label(client: TestClient) -> None:
    for page in (client.get("/"), ask(client, ALL), client.get("/jobs"), client.get("/tables")):
        document = Document(page.text)
        labelled = {label.get("for") for label in document.all("label")}
        ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        for field in (*document.all("textarea"), *document.all("input"), *document.all("select")):
            is_wrapped = field.get("name") in ("x", "y", "sky", "flip_x", "flip_y", "RESPONSEFORMAT")
            assert field.get("type") == "hidden" or is_wrapped or field.get("id") in labelled
        assert all("alt" in image for image in document.all("img"))
        referenced = [given["aria-labelledby"] for _, given in document.elements if "aria-labelledby" in given]
        assert set(referenced) <= set(ids)
        assert [status.get("id") for status in document.all("p") if status.get("role") == "status"] == ["status"]


def test_jobs_are_listed_with_links_to_results(holdings: MemoryHoldings) -> None:
    jobs = [ListedJob("abc", "COMPLETED", [("QUERY", ALL)]), ListedJob("def", "EXECUTING", [("QUERY", ALL)])]
    page = TestClient(make_app(holdings, jobs=Jobs({None: jobs}))).get("/jobs").text
    assert 'href="/tap/async/abc/results/result"' in page
    assert "/tap/async/def/results" not in page
    assert 'href="/tap/async/def"' in page
    assert "data-active" in page
    for waiting in (Jobs(), Jobs({None: [ListedJob("ghi", "PENDING", [])]})):
        assert "data-active" not in TestClient(make_app(holdings, jobs=waiting)).get("/jobs").text


def test_without_its_token_nothing_is_shown_or_run(holdings: MemoryHoldings) -> None:
    jobs = Jobs({"ann": [ListedJob("abc", "COMPLETED", [("QUERY", ALL)])], None: [ListedJob("x", "ERROR", [])]})
    client = TestClient(make_app(holdings, Settings(tokens={"s3cret": "ann", "other": "bob"}), jobs))
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic %%%"}, {"authorization": "é"}):
        sent = {name: value.encode() for name, value in headers.items()}
        assert "dp1.Object" not in client.get("/", headers=sent).text
        assert "coord_ra" not in client.get("/tables/dp1.Object", headers=sent).text
        assert client.get("/jobs", headers=sent).status_code == 401
        answer = client.post("/query", data={"query": ALL}, headers=sent)
        assert answer.status_code == 401
        assert "asks for a token" in answer.text
    for headers in ({"authorization": "Bearer s3cret"}, {"authorization": "Basic dXNlcjpzM2NyZXQ="}):
        assert "dp1.Object" in client.get("/", headers=headers).text
        assert "/tap/async/abc" in client.get("/jobs", headers=headers).text
        assert client.post("/query", data={"query": ALL}, headers=headers).status_code == 200
    assert ask(client, ALL, **{"token": "s3cret"}).status_code == 200
    assert ask(client, ALL, **{"token": "é"}).status_code == 401
    assert 'name="token" type="password"' in client.get("/").text


def test_forms_of_other_sites_are_refused(client: TestClient) -> None:
    answer = client.post("/query", data={"query": ALL}, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
    assert client.post("/query", data={"query": ALL}, headers={"sec-fetch-site": "same-origin"}).status_code == 200
    # what browsers send to addresses that are neither https nor of their own machine, unless the page forbids it
    assert client.post("/query", data={"query": ALL}, headers={"origin": "http://evil.example"}).status_code == 403
    assert client.post("/query", data={"query": ALL}, headers={"origin": "http://testserver"}).status_code == 200
    assert client.get("/").headers["referrer-policy"] == "same-origin"


def test_odd_requests_are_answered(client: TestClient) -> None:
    for path in (
        "/tables/%ff",
        "/tables/%ed%a0%80",
        "/tables?search=%ed%a0%80%00%ff",
        "/results/%00/plot.svg?x=%ff",
        "/?query=%ed%a0%80%00",
        "/jobs?x=%ff",
    ):
        assert client.get(path).status_code in (200, 404)
    form = {"content-type": "application/x-www-form-urlencoded"}
    parts = {"content-type": "multipart/form-data; boundary=x"}
    file = b'--x\r\nContent-Disposition: form-data; name="query"; filename="a"\r\n\r\nSELECT 1\r\n--x--\r\n'
    for body, headers in (
        (b"query=%ff%00", form),
        (b"query=\xff\xfe", form),
        (b"&&&=&=", form),
        (b"query=SELECT+%ed%a0%80", form),
        (b"garbage", parts),
        (file, parts),
        (b"{}", {"content-type": "application/json"}),
    ):
        assert client.post("/query", content=body, headers=headers).status_code == 400
    assert client.get("/query").status_code == 405


def test_the_page_works_below_a_path(holdings: MemoryHoldings) -> None:
    client = TestClient(make_app(holdings), root_path="/survey")
    page = client.get("/survey/").text
    assert 'src="/survey/page/page.js"' in page
    assert 'action="/survey/query"' in page


def test_names_are_put_into_the_query_as_it_must_have_them() -> None:
    data = pa.table({"ra": [1.0], "size": [1], "flux.r": [1.0]})
    engine = Engine([memory_table("dp1.Odd", data)])
    source = engine.tables["dp1.odd"]
    held = HeldTable(source, "", tuple(HeldColumn(column) for column in source.columns.values()))
    snapshot = HoldingsSnapshot((HeldSchema("dp1", "", (held,)),), (), [], engine)
    page = Document(TestClient(make_app(MemoryHoldings(snapshot))).get("/tables/dp1.Odd").text)
    names = [code["data-name"] for code in page.all("code") if "data-name" in code]
    assert names == ["dp1.Odd", "ra", '"size"', '"flux.r"']
    with engine.query(f"SELECT {', '.join(filter(None, names[1:]))} FROM {names[0]}") as result:
        assert result.read_all().num_rows == 1
