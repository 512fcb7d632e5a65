"""The one schema of the package: fields, aliases, slots, searching, printing."""

import pickle

import numpy as np
import pytest

from forcedphot.catalog.schema import Field, Schema
from forcedphot.errors import ConfigurationError, UnknownFieldError


@pytest.fixture
def schema() -> Schema:
    schema = Schema()
    schema.add_field("id", "int64", "unique ID")
    schema.add_field("coord_ra", "Angle", "position in ra/dec")
    schema.add_field("base_PsfFlux_instFlux", "D", "flux of the PSF model", "count")
    schema.add_field("base_PsfFlux_flag", "Flag", "general failure")
    schema.add_field("base_PsfFlux_flag_edge", "bool", "close to the edge")
    schema.add_field("base_PsfFluxes", "ArrayF", "several", "count", 3)
    schema.add_field("name", "String", "what people call it", size=8)
    schema.set_alias("slot_PsfFlux", "base_PsfFlux")
    schema.set_alias("old", "slot_PsfFlux")
    return schema


def test_types_have_two_names(schema: Schema) -> None:
    assert [field.type for field in schema] == ["L", "Angle", "D", "Flag", "Flag", "ArrayF", "String"]
    assert [field.dtype for field in schema] == ["int64", "float64", "float64", "bool", "bool", "float32", "str"]
    assert schema["coord_ra"].unit == "rad"


def test_a_field_is_found_by_name_and_by_alias(schema: Schema) -> None:
    item = schema.find("slot_PsfFlux_instFlux")
    assert item.key == item.field.getName() == "base_PsfFlux_instFlux"
    assert (item.field.getUnits(), item.field.getDoc()) == ("count", "flux of the PSF model")
    assert item.field.getTypeString() == "D"
    assert schema.find("old_flag").field is schema["base_PsfFlux_flag"]
    assert schema.find("id") == ("id", Field("id", "int64", "unique ID"))


def test_the_longest_alias_wins_and_a_field_hides_aliases() -> None:
    schema = Schema([Field("a_x", "int32"), Field("b_x", "int32"), Field("slot_y", "int32")])
    schema.set_alias("slot", "a")
    schema.set_alias("slot_B", "b")
    assert schema.resolve("slot_x") == "a_x"
    assert schema.resolve("slot_B_x") == "b_x"
    assert schema.resolve("slot_y") == "slot_y"


def test_what_is_missing_is_named_with_what_is_similar(schema: Schema) -> None:
    with pytest.raises(
        UnknownFieldError, match=r"no field 'base_PsfFlux_flux'; similar ones are .*instFlux"
    ) as caught:
        schema.find("base_PsfFlux_flux")
    # Processes hand errors to each other.
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    with pytest.raises(KeyError, match="it has 7 others"):
        schema.find("Ω")


def test_aliases_in_circles_end() -> None:
    schema = Schema([Field("x", "int32")], {"a": "b", "b": "a"})
    with pytest.raises(UnknownFieldError):
        schema.find("a_x")


def test_names(schema: Schema) -> None:
    assert schema.getNames() == set(schema.getOrderedNames()) == {field.name for field in schema}
    assert schema.getOrderedNames()[:2] == ["id", "coord_ra"]
    assert schema.aliases_of("base_PsfFlux_flag") == ["slot_PsfFlux_flag"]


def test_extract_finds_names_and_aliases(schema: Schema) -> None:
    assert list(schema.extract("base_PsfFlux_*")) == [
        "base_PsfFlux_instFlux",
        "base_PsfFlux_flag",
        "base_PsfFlux_flag_edge",
    ]
    assert list(schema.extract("slot_*_flag")) == ["slot_PsfFlux_flag"]
    assert list(schema.extract("id", "coord_?a")) == ["id", "coord_ra"]
    assert list(schema.extract(regex="base_PsfFlux_flag.*")) == ["base_PsfFlux_flag", "base_PsfFlux_flag_edge"]
    assert schema.extract("slot_PsfFlux_flag")["slot_PsfFlux_flag"].key == "base_PsfFlux_flag"


def test_it_prints_as_the_pipelines_do(schema: Schema) -> None:
    lines = str(schema).splitlines()
    assert lines[0] == "Schema("
    assert lines[3] == (
        '    Field[\'D\'](name="base_PsfFlux_instFlux", doc="flux of the PSF model", units="count"),'
    )
    assert lines[6].endswith('units="count", size=3),')
    assert lines[-2:] == ["    'slot_PsfFlux'->'base_PsfFlux'", ")"]


def test_slots(schema: Schema) -> None:
    assert schema.slots == {"PsfFlux": "base_PsfFlux"}
    assert schema.getAliasMap() == schema.aliases == {"slot_PsfFlux": "base_PsfFlux", "old": "slot_PsfFlux"}


def test_equality_is_of_fields_and_aliases(schema: Schema) -> None:
    copy = schema.copy()
    assert copy == schema
    copy.set_alias("slot_Shape", "x")
    assert copy != schema
    other = schema.copy()
    other.add_field("more", "F", "one more")
    assert other != schema
    assert "more" not in schema
    assert schema.subset(["slot_PsfFlux_flag", "id"]).getOrderedNames() == ["base_PsfFlux_flag", "id"]
    assert schema != "a schema"


def test_a_field_is_declared_once(schema: Schema) -> None:
    with pytest.raises(ConfigurationError, match="declared twice"):
        schema.add_field("id", "int64", "again")


def test_arrays_to_fill() -> None:
    fields = [
        Field("f", "float32"),
        Field("i", "int32"),
        Field("b", "bool"),
        Field("s", "str", size=4),
        Field("a", "float64", size=2),
        Field("v", "uint8", size=0),
    ]
    columns = Schema(fields).allocate(3)
    assert {name: (values.dtype.name, values.shape) for name, values in columns.items()} == {
        "f": ("float32", (3,)),
        "i": ("int32", (3,)),
        "b": ("bool", (3,)),
        "s": ("str128", (3,)),
        "a": ("float64", (3, 2)),
        "v": ("object", (3,)),
    }
    assert np.isnan(columns["f"]).all()
    assert np.isnan(columns["a"]).all()
    assert [len(row) for row in columns["v"]] == [0, 0, 0]
