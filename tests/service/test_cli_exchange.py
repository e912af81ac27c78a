"""``lutra table import`` and ``export``: between stores, and with tables of building blocks."""

import json

from lutra.luts import Store

KEY = "Conv-input:8x8x3-output:4x4x8"


def test_a_table_goes_to_another_store_and_back(lutra, tmp_path):
    lutra("profile", "mcunet_in0", "-d", "null")
    for suffix in ("parquet", "json"):
        exported = lutra("table", "export", "null", f"t.{suffix}")
        rows = int(exported.out.split()[0])
        imported = lutra("table", "import", f"t.{suffix}", "--store", f"{suffix}.db")
        assert (imported.code, imported.out.split(" (")[0]) == (0, f"{rows} rows of null")
        with Store.open(tmp_path / f"{suffix}.db") as copy, Store.open(tmp_path / "rows.db") as store:
            assert copy.table("null") == store.table("null")
    again = lutra("table", "import", "t.parquet")
    assert again.out.endswith(f", {rows} of them there already\n")
    assert lutra("predict", "mcunet_in0", "-d", "null", "--store", "parquet.db").code == 0


def test_blocks_are_imported_listed_and_exported(lutra, tmp_path):
    (tmp_path / "phone.yaml").write_text(f"{KEY}:\n  mean: 1.5\n  count: 10\n")
    assert lutra("table", "import", "phone.yaml", "--image-size", "8", "--name", "pixel").code == 0
    (row,) = lutra("table", "list", "--json").document
    assert (row["name"], row["kind"]) == ("pixel", "imported")
    shown = lutra("table", "show", "pixel").out
    assert f"{KEY}@8" in shown
    assert "1,500.00" in shown
    assert "imported" in shown
    assert lutra("table", "export", "pixel", "p.json", "--format", "fbnet-json").code == 2
    assert lutra("table", "export", "pixel", "p.yaml", "--image-size", "8").out == "1 rows to p.yaml\n"
    assert KEY in (tmp_path / "p.yaml").read_text()


def test_negative_rows_are_refused_or_counted(lutra, tmp_path):
    key = "ConvBlock_H8_W8_Cin3_Cout8_exp6_kernel3_stride2_group{}"
    (tmp_path / "t.json").write_text(json.dumps({key.format(n): n - 1.5 for n in range(1, 5)}))
    words = ("table", "import", "t.json", "--format", "hw-nas-bench")
    refused = lutra(*words)
    assert (refused.code, refused.out) == (2, "")
    assert "1 row is negative" in refused.err
    assert "--drop-negative" in refused.err
    assert lutra("table", "list").out.startswith("no tables yet")
    taken = lutra(*words, "--drop-negative")
    assert taken.out.splitlines()[0].startswith("3 rows of t (")
    assert taken.out.splitlines()[1] == "1 rows left out: negative latency"


def test_a_file_that_disagrees_is_refused_or_replaces(lutra, tmp_path):
    path = tmp_path / "t.csv"
    for mean in (1, 2):
        path.write_text(f"source,key,mean_ms\nphone,{KEY},{mean}\n")
        outcome = lutra("table", "import", "t.csv", "--format", "blocks-csv")
    assert outcome.code == 2
    assert "disagrees with the row that is there already" in outcome.err
    assert "1,000.00" in lutra("table", "show", "phone").out
    assert lutra("table", "import", "t.csv", "--format", "blocks-csv", "--replace").code == 0
    assert "2,000.00" in lutra("table", "show", "phone").out


def test_units_and_sources_are_told(lutra, tmp_path):
    (tmp_path / "t.json").write_text("[null, [10000, 200], [9000]]")
    words = ("table", "import", "t.json", "--format", "fbnet-json")
    assert "--unit" in lutra(*words).err
    assert lutra(*words, "--unit", "us").out.startswith("3 rows of t (")
    (tmp_path / "t.csv").write_text(f"source,key,mean_ms\na,{KEY},1\nb,{KEY},2\n")
    assert "--source" in lutra("table", "import", "t.csv", "--format", "blocks-csv", "--name", "c").err
    assert lutra("table", "import", "t.csv", "--format", "blocks-csv", "--name", "c", "--source", "b").code == 0
    assert "2,000.00" in lutra("table", "show", "c").out
