"""The CSV of a run: the columns of the Parquet file, room for remarks, and nothing that can run."""

import csv
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from samples import inspection

from xai_detect.output.run import save
from xai_detect.output.tables import spreadsheet
from xai_detect.values.findings import Evidence
from xai_detect.values.truth import Fate, Kind, Outcome


def read(folder):
    """The rows as a spreadsheet reads them."""
    with (folder / "evidence.csv").open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def called(*names, source="a.jpg"):
    """An image whose classes have these names."""
    one = inspection(source)
    return replace(one, detections=replace(one.detections, class_names=names))


def test_it_has_the_columns_and_rows_of_the_parquet_file(tmp_path):
    known = Outcome((Fate(Kind.RIGHT, "zebra", 0.8), Fate(Kind.BACKGROUND)), ())
    save([replace(inspection("a.jpg"), outcome=known), inspection("b.jpg", seed=1)], tmp_path)
    table, rows = pq.read_table(tmp_path / "evidence.parquet"), read(tmp_path)
    assert list(rows[0]) == [*table.column_names, "remarks"]
    assert len(rows) == 4
    assert [row["right"] for row in rows] == ["true", "false", "", ""]
    assert {row["remarks"] for row in rows} == {""}
    assert [float(row["score"]) for row in rows] == table["score"].to_pylist()
    assert rows[0]["evidence_detected_ring"] == ""  # unmeasured
    assert rows[0]["evidence_outside"] == "true"
    assert rows[0]["others"] == ""


def test_numbers_without_a_column_are_one_cell(tmp_path):
    strange = Evidence({"wit": 2.0, "margin": -1.5})
    save([replace(inspection(rows=1), evidence=(strange,))], tmp_path)
    (row,) = read(tmp_path)
    assert row["others"] == '{"evidence_wit": 2.0}'
    assert row["evidence_margin"] == "-1.5"  # a number stays one


@pytest.mark.parametrize(
    "name",
    ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1", '=HYPERLINK("http://x","y")'],
)
def test_no_text_is_a_formula(tmp_path, name):
    save([called(name, "knife", source=f"{name}.jpg")], tmp_path)
    for row, told in zip(read(tmp_path), (f"'{name}", "knife"), strict=True):
        assert row["class"] == told
        assert row["source"] == f"'{name}.jpg"
        for cell in row.values():
            assert not cell.startswith(("=", "+", "@", "\t", "\r", "\n"))


@pytest.mark.parametrize("name", ['a,b"c', "두 줄\n이름", "칼", "'quoted", "x=1"])
def test_other_text_comes_back_as_it_is(tmp_path, name):
    save([called(name, "knife")], tmp_path)
    assert [row["class"] for row in read(tmp_path)] == [name, "knife"]


def test_excel_is_told_the_encoding(tmp_path):
    run = save([called("칼", "가위")], tmp_path)
    content = (run.folder / "evidence.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    assert spreadsheet(pq.read_table(run.folder / "evidence.parquet")) == content


def test_a_run_without_detections_has_a_header_alone(tmp_path):
    save([inspection(rows=0)], tmp_path)
    assert read(tmp_path) == []
    assert (tmp_path / "evidence.csv").read_text(encoding="utf-8-sig").startswith("image,source,")
