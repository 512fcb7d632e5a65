"""What the service says of itself: availability, capabilities, tables, examples."""

from xml.etree import ElementTree

from forcedphot.tap.functions import FUNCTIONS
from forcedphot.tap.service.capabilities import UDFS
from forcedphot.tap.service.formats import FORMATS, find_format

from .conftest import TestClient

_ADQL_2_1 = (
    "abs acos asin atan atan2 avg ceiling coalesce cos cot count degrees exp floor log log10 lower max min mod pi "
    "power radians rand round sin sqrt sum tan truncate upper"
)


def tree(client: TestClient, path: str) -> ElementTree.Element:
    answer = client.get(path)
    assert answer.status_code == 200
    return ElementTree.fromstring(answer.text)  # noqa: S314 - our own


def test_the_service_is_available(client: TestClient) -> None:
    assert tree(client, "/tap/availability").find("{*}available").text == "true"


def test_all_functions_of_our_own_are_declared() -> None:
    declared = {form.partition("(")[0].lower() for form in UDFS}
    assert declared == set(FUNCTIONS) - set(_ADQL_2_1.split())


def test_capabilities_name_formats_that_there_are(client: TestClient) -> None:
    formats = tree(client, "/tap/capabilities").findall(".//outputFormat")
    assert len(formats) == len(FORMATS)
    for declared in formats:
        mime = declared.find("mime").text
        for alias in [*declared.findall("alias"), declared.find("mime")]:
            assert find_format(alias.text).media_type == mime


def test_capabilities_name_where_the_service_is(client: TestClient) -> None:
    urls = [url.text for url in tree(client, "/tap/capabilities").iter("accessURL")]
    assert urls[0] == "http://127.0.0.1/tap"
    assert {"http://127.0.0.1/tap/tables", "http://127.0.0.1/tap/examples"} < set(urls)


def test_tables_are_described(client: TestClient) -> None:
    tables = {table.find("name").text: table for table in tree(client, "/tap/tables").iter("table")}
    assert {"dp1.Object", "dp1.Visit", "TAP_SCHEMA.columns"} < set(tables)
    columns = {column.find("name").text: column for column in tables["dp1.Object"].iter("column")}
    assert columns["g_psfFlux"].find("description").text == "Flux of a PSF & more"
    assert columns["g_psfFlux"].find("unit").text == "nJy"
    assert columns["coord_ra"].find("dataType").text == "double"
    assert tables["dp1.Visit"].find("foreignKey/targetTable").text == "dp1.Object"
    assert '"size"' in {column.find("name").text for column in tables["TAP_SCHEMA.columns"].iter("column")}


def test_tables_can_be_listed_without_columns(client: TestClient) -> None:
    short = tree(client, "/tap/tables?detail=min")
    assert len(list(short.iter("table"))) == 7
    assert not list(short.iter("column"))
    assert client.get("/tap/tables?detail=some").status_code == 400


def test_one_table_is_described(client: TestClient) -> None:
    assert tree(client, "/tap/tables/DP1.object").find("name").text == "dp1.Object"
    assert client.get("/tap/tables/dp1.Nothing").status_code == 404


def test_examples_run(client: TestClient) -> None:
    page = tree(client, "/tap/examples")
    queries = [item.text for item in page.iter() if item.get("property") == "query"]
    assert queries == ["SELECT TOP 10 * FROM dp1.Object WHERE g_psfFlux < 10"]
    assert client.get("/tap/sync", params={"QUERY": queries[0]}).status_code == 200
