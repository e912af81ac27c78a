"""The field's tables of building blocks: what is written comes back, and bad files are refused by row and column."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lutra.luts.blocktable import Block, BlockTable
from lutra.luts.exchange import BlockFormat, BlockOptions, formats, read_blocks, write_blocks
from lutra.networks.errors import LutraError, TableFileError, UnknownNameError

OFA = "expanded_conv-input:112x112x16-output:56x56x24-expand:{}-kernel:3-stride:2-idskip:0-se:0-hs:1"
TF_NAS = "MBInvertedResBlock_112_16_0_24_k3_s2_relu/{}"
HW_NAS = "ConvBlock_H112_W112_Cin16_Cout24_exp6_kernel3_stride2_group{}"
KEYS = {"ofa-yaml": OFA, "blocks-csv": OFA, "fbnet-json": "3/ir_k3_e{}", "tf-nas": TF_NAS, "hw-nas-bench": HW_NAS}
FULL = ("ofa-yaml", "blocks-csv")  # formats with a place for deviations and counts
BLOCK_FORMATS = sorted(name for name, form in formats().items() if isinstance(form, BlockFormat))


def make_table(name: str, count: int = 4) -> BlockTable:
    more: dict[str, Any] = {"std_ns": 1e4, "count": 100} if name in FULL else {}
    return BlockTable(
        "phone", (Block(key=KEYS[name].format(n), latency_ns=1e6 * n, **more) for n in range(1, count + 1))
    )


def save(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def numbers(table: BlockTable) -> dict[str, tuple[float, float | None, int | None]]:
    return {block.subject_key: (block.latency_ns, block.std_ns, block.count) for block in table}


def test_every_format_is_tried() -> None:
    assert set(KEYS) == set(BLOCK_FORMATS)


@pytest.mark.parametrize("name", BLOCK_FORMATS)
@pytest.mark.parametrize("suffix", [".json", ".parquet"])
def test_what_is_written_comes_back(tmp_path: Path, name: str, suffix: str) -> None:
    if suffix == ".parquet" and name != "tf-nas":
        suffix = ".txt"
    path, table = tmp_path / f"phone{suffix}", make_table(name)
    assert write_blocks(path, table, format=name) == len(table)
    found = read_blocks(path, name)
    assert found.dropped == {}
    assert [item.source for item in found.tables] == ["phone"]
    assert numbers(found.tables[0]) == numbers(table)
    assert all(block.attributes for block in found.tables[0])
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", sorted(set(BLOCK_FORMATS) - {"blocks-csv"}))
def test_keys_of_others_are_not_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / "t.json"
    for block in (Block(key="something", latency_ns=1), Block(key=KEYS[name].format(1), latency_ns=1, image_size=224)):
        with pytest.raises(TableFileError) as caught:
            write_blocks(path, BlockTable("phone", [block]), format=name)
        assert caught.value.path == str(path)
        assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_formats_are_found_by_suffix_or_name(tmp_path: Path) -> None:
    write_blocks(tmp_path / "t.yml", make_table("ofa-yaml"))
    assert len(read_blocks(tmp_path / "t.yml").tables[0]) == 4
    with pytest.raises(UnknownNameError, match="unknown format 'xls'"):
        read_blocks(tmp_path / "t.yml", "xls")
    with pytest.raises(TableFileError, match="csv is no format of building blocks"):
        read_blocks(tmp_path / "t.csv")
    with pytest.raises(TableFileError, match="unknown format"):
        read_blocks(tmp_path / "t.xls")


# -- what files say ----------------------------------------------------------------------------------------


def test_yaml_in_both_styles_with_a_variance(tmp_path: Path) -> None:
    text = "Conv-input:8x8x3-output:4x4x8:\n  count: 949\n  mean: 4.39\n  var: 0.16\n"
    (block,) = read_blocks(save(tmp_path, "t.yaml", text)).tables[0]
    assert (block.latency_ns, block.std_ns, block.count) == (pytest.approx(4.39e6), pytest.approx(4e5), 949)
    (block,) = read_blocks(save(tmp_path, "u.yaml", "{Conv-input:8x8x3-output:4x4x8: {mean: 1e-1}}\n")).tables[0]
    assert (block.latency_ns, block.std_ns, block.count) == (1e5, None, None)


def test_image_size_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    write_blocks(path, make_table("ofa-yaml"))
    assert read_blocks(path, options=BlockOptions(image_size=160)).tables[0].image_sizes == (160,)


def test_csv_of_several_devices(tmp_path: Path) -> None:
    text = f"source,key,mean_us,image_size\na,{OFA.format(1)},5,160\nb,{OFA.format(1)},6,224\n"
    path = save(tmp_path, "t.csv", text)
    one, two = read_blocks(path, "blocks-csv").tables
    assert (one.source, two.source, two.sum_ns([OFA.format(1)])) == ("a", "b", 6000)
    assert [t.source for t in read_blocks(path, "blocks-csv", BlockOptions(source="b")).tables] == ["b"]
    with pytest.raises(TableFileError, match="no device 'c'") as caught:
        read_blocks(path, "blocks-csv", BlockOptions(source="c"))
    assert caught.value.hint == "known: a, b"


def test_fbnet_lists_null_layers_and_names(tmp_path: Path) -> None:
    us = BlockOptions(unit="us")
    (bare,) = read_blocks(save(tmp_path, "a.json", "[null, [10000, 20000.5], [3000]]"), "fbnet-json", us).tables
    assert numbers(bare) == {"1/op0": (1e7, None, None), "1/op1": (2.00005e7, None, None), "2/op0": (3e6, None, None)}
    document = {"unit": "ms", "device": "pi", "ops": ["ir_k3_e6_s2", "skip"], "layers": [[10, 0.2], [5]]}
    (named,) = read_blocks(save(tmp_path, "b.json", json.dumps(document)), "fbnet-json").tables
    assert named.source == "pi"
    block = named.get("0/ir_k3_e6_s2")
    assert block is not None
    assert block.attributes == {"layer": 0, "op": "ir_k3_e6_s2", "kernel": 3, "expand": 6, "stride": 2}
    write_blocks(tmp_path / "c.json", bare, format="fbnet-json")
    assert json.loads((tmp_path / "c.json").read_text())["layers"][0] is None


def test_hw_nas_bench_by_metric(tmp_path: Path) -> None:
    key = HW_NAS.format(1)
    document = {"pixel3_latency": {key: 4.5}, "fpga_latency": {key: 2}, "fpga_energy": {key: 9}}
    found = read_blocks(save(tmp_path, "t.json", json.dumps(document)), "hw-nas-bench")
    assert {table.source: table.sum_ns([key]) for table in found.tables} == {"pixel3": 4.5e6, "fpga": 2e6}
    assert found.dropped == {"energy": 1}
    (flat,) = read_blocks(save(tmp_path, "edge.json", json.dumps({key: 1})), "hw-nas-bench").tables
    assert flat.source == "edge"


def test_tf_nas_by_width_with_base(tmp_path: Path) -> None:
    key, _, _ = TF_NAS.partition("/")
    document = {"base": 2.5, key: {"16": 1.5, "32": 2.0}}
    (table,) = read_blocks(save(tmp_path, "t.json", json.dumps(document)), "tf-nas").tables
    assert table.sum_ns(["base", f"{key}/32"]) == 4.5e6
    block = table.get(f"{key}/16")
    assert block is not None
    assert block.attributes["mid"] == 16


# -- units ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("unit", "factor"), [("ns", 1e6), ("us", 1e3), ("s", 1e-3)])
def test_a_unit_that_cannot_be_is_refused_until_it_is_told(tmp_path: Path, unit: str, factor: float) -> None:
    path = save(tmp_path, "t.json", json.dumps({HW_NAS.format(n): n * factor for n in (1, 2, 3)}))
    with pytest.raises(TableFileError, match="no building block takes") as caught:
        read_blocks(path, "hw-nas-bench")
    assert "--unit" in str(caught.value.hint)
    (table,) = read_blocks(path, "hw-nas-bench", BlockOptions(unit=unit)).tables
    assert table.sum_ns([HW_NAS.format(2)]) == pytest.approx(2e6)


@pytest.mark.parametrize(("column", "factor"), [("mean_ns", 1), ("mean_us", 1e3), ("mean_ms", 1e6), ("mean_s", 1e9)])
def test_units_of_columns_are_honoured(tmp_path: Path, column: str, factor: float) -> None:
    path = save(tmp_path, "t.csv", f"key,{column},std_ns,count\n{OFA.format(1)},3,2,9\n")
    (block,) = read_blocks(path, "blocks-csv").tables[0]
    assert (block.latency_ns, block.std_ns, block.count) == (3 * factor, 2, 9)
    with pytest.raises(TableFileError, match="leave --unit out"):
        read_blocks(path, "blocks-csv", BlockOptions(unit="us" if column != "mean_us" else "ms"))


def test_no_unit_is_guessed(tmp_path: Path) -> None:
    path = save(tmp_path, "t.csv", f"key,mean\n{OFA.format(1)},3\n")
    with pytest.raises(TableFileError, match="does not say its unit"):
        read_blocks(path, "blocks-csv")
    assert read_blocks(path, "blocks-csv", BlockOptions(unit="us")).tables[0].sum_ns([OFA.format(1)]) == 3000
    with pytest.raises(TableFileError, match="does not say which unit"):
        read_blocks(save(tmp_path, "t.json", "[[1, 2]]"), "fbnet-json")
    with pytest.raises(UnknownNameError, match="unknown unit 'h'"):
        read_blocks(path, "blocks-csv", BlockOptions(unit="h"))


# -- bad input -----------------------------------------------------------------------------------------------

K = OFA.format(1)
J = HW_NAS.format(1)
BAD: dict[str, tuple[str, str, str, int | None, str | None]] = {
    "yaml: no mean": ("ofa-yaml", f"{K}:\n  count: 3\n", "has no mean", 1, "mean"),
    "yaml: std and var": ("ofa-yaml", f"{K}:\n  mean: 1\n  std: 1\n  var: 1\n", "both std and var", 1, "mean"),
    "yaml: no number": ("ofa-yaml", f"{K}:\n  mean: fast\n", "no finite number", 1, "mean"),
    "yaml: infinite": ("ofa-yaml", f"{K}:\n  mean: .inf\n", "no finite number", 1, "mean"),
    "yaml: nan": ("ofa-yaml", f"{K}:\n  mean: nan\n", "no finite number", 1, "mean"),
    "yaml: negative": ("ofa-yaml", f"{K}:\n  mean: -1\n", "1 row is negative", 1, "mean"),
    "yaml: negative spread": ("ofa-yaml", f"{K}:\n  mean: 1\n  var: -1\n", "a spread of -1e", 1, "var"),
    "yaml: half a count": ("ofa-yaml", f"{K}:\n  mean: 1\n  count: 1.5\n", "no integer", 1, "count"),
    "yaml: no count": ("ofa-yaml", f"{K}:\n  mean: 1\n  count: 0\n", "the count of", 1, "mean"),
    "yaml: disagreeing key": (
        "ofa-yaml",
        f"{K}:\n  mean: 1\n{K}:\n  mean: 2\n",
        "disagrees with its row in row 1",
        3,
        "mean",
    ),
    "yaml: field twice": ("ofa-yaml", f"{K}:\n  mean: 1\n  mean: 2\n", "stands there twice", 3, "mean"),
    "yaml: unknown field": ("ofa-yaml", f"{K}:\n  average: 1\n", "unknown field 'average'", 2, "average"),
    "yaml: malformed key": ("ofa-yaml", "conv:\n  mean: 1\n", "malformed key 'conv'", 1, None),
    "yaml: alias": ("ofa-yaml", f"{K}: &a\n  mean: 1\nb: *a\n", "a Alias where", 3, None),
    "yaml: a list": ("ofa-yaml", "- 1\n", "is no table of blocks", 1, None),
    "yaml: nested": ("ofa-yaml", f"{K}:\n  mean: [1]\n", "is no table of blocks", 2, None),
    "yaml: two documents": ("ofa-yaml", f"{K}:\n  mean: 1\n---\na: 1\n", "is no table of blocks", 3, None),
    "yaml: no yaml": ("ofa-yaml", "a: [}\n", "is not YAML", 1, None),
    "yaml: control character": ("ofa-yaml", "a\x00b: 1\n", "is not YAML", None, None),
    "yaml: empty": ("ofa-yaml", "", "is no table of blocks", 1, None),
    "csv: no key": ("blocks-csv", "mean_ms\n1\n", "has no column key", 1, "key"),
    "csv: no mean": ("blocks-csv", f"key\n{K}\n", "has no column mean", 1, "mean"),
    "csv: two means": ("blocks-csv", f"key,mean_ms,mean_us\n{K},1,1\n", "both hold the mean", 1, None),
    "csv: column twice": ("blocks-csv", f"key,key\n{K},{K}\n", "the header is", 1, None),
    "csv: short line": ("blocks-csv", f"key,mean_ms\n{K},1\n{K}\n", "1 cells under 2 columns", 3, None),
    "csv: negative": ("blocks-csv", f"key,mean_ms\n{K},-2\n", "a latency of -2 ms", 2, "mean_ms"),
    "csv: empty latency": ("blocks-csv", f"key,mean_ms\n{K},\n", "'' is no finite number", 2, "mean_ms"),
    "csv: disagreeing": ("blocks-csv", f"key,mean_ms\n{K},1\n{K},2\n", "in row 2", 3, "mean_ms"),
    "csv: contradiction": ("blocks-csv", f"key,mean_ms,kernel\n{K},1,5\n", "but the key says '3'", 2, "kernel"),
    "csv: image size": ("blocks-csv", f"key,mean_ms,image_size\n{K},1,big\n", "no finite number", 2, "image_size"),
    "csv: open quote": ("blocks-csv", f'key,mean_ms\n"{K},1\n', "is not CSV", None, None),
    "csv: empty": ("blocks-csv", "", "is empty", 1, None),
    "csv: header only": ("blocks-csv", "key,mean_ms\n", "has no blocks", None, None),
    "fbnet: no list": ("fbnet-json", '{"unit": "ms"}', "has no list of layers", None, "layers"),
    "fbnet: unknown unit": ("fbnet-json", '{"unit": "h", "layers": [[1]]}', "unknown unit 'h'", None, "unit"),
    "fbnet: text": ("fbnet-json", '{"unit": "ms", "layers": [["x"]]}', "no finite number", 1, "op0"),
    "fbnet: number": ("fbnet-json", '{"unit": "ms", "layers": [[1], 3]}', "is no layer", 2, None),
    "fbnet: more than ops": (
        "fbnet-json",
        '{"unit": "ms", "ops": ["a"], "layers": [[1, 2]]}',
        "2 latencies for 1",
        1,
        None,
    ),
    "fbnet: disagreeing": ("fbnet-json", '{"unit": "ms", "layers": [{"a": 1, "a": 2}]}', "disagrees", 1, "a"),
    "fbnet: no device": ("fbnet-json", '{"unit": "ms", "device": 3, "layers": [[1]]}', "no name", None, "device"),
    "fbnet: nothing": ("fbnet-json", '{"unit": "ms", "layers": [null]}', "has no blocks", None, None),
    "tf-nas: no widths": ("tf-nas", f'{{"{TF_NAS[:-3]}": 1}}', "no latencies by width", None, TF_NAS[:-3]),
    "tf-nas: no width": ("tf-nas", f'{{"{TF_NAS[:-3]}": {{"x": 1}}}}', "'x' is no width", None, TF_NAS[:-3]),
    "tf-nas: a list": ("tf-nas", "[]", "is no object", None, None),
    "tf-nas: malformed": ("tf-nas", '{"a": {"1": 1}}', "malformed key 'a'", None, "a"),
    "hw: malformed": ("hw-nas-bench", '{"x": 1}', "malformed key 'x'", None, "x"),
    "hw: no number": ("hw-nas-bench", f'{{"{J}": null}}', "None is no finite number", None, J),
    "hw: nan": ("hw-nas-bench", f'{{"{J}": NaN}}', "nan is no finite number", None, J),
    "hw: disagreeing": ("hw-nas-bench", f'{{"{J}": 1, "{J}": 2}}', "disagrees", None, J),
    "hw: metric": ("hw-nas-bench", f'{{"pixel3": {{"{J}": 1}}}}', "is no metric", None, "pixel3"),
    "hw: no json": ("hw-nas-bench", '{\n"a": }', "is not JSON", 2, None),
    "hw: huge integer": ("hw-nas-bench", f'{{"{J}": {"9" * 400}}}', "is no finite number", None, J),
    "hw: deep": ("hw-nas-bench", "[" * 100_000, "is not usable JSON", None, None),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_by_row_and_column(tmp_path: Path, case: str) -> None:
    name, text, problem, row, column = BAD[case]
    path = save(tmp_path, "t.json", text)
    with pytest.raises(TableFileError) as caught:
        read_blocks(path, name)
    assert problem in caught.value.message
    assert (caught.value.path, caught.value.row, caught.value.column) == (str(path), row, column)
    assert caught.value.hint


def test_equal_duplicates_are_one(tmp_path: Path) -> None:
    path = save(tmp_path, "t.json", f'{{"{J}": 1, "{J}": 1.0}}')
    assert len(read_blocks(path, "hw-nas-bench").tables[0]) == 1


def test_negative_rows_are_dropped_and_counted_when_asked(tmp_path: Path) -> None:
    path = save(tmp_path, "t.json", json.dumps({HW_NAS.format(n): n - 2.5 for n in range(1, 7)}))
    with pytest.raises(TableFileError, match="2 rows are negative"):
        read_blocks(path, "hw-nas-bench")
    found = read_blocks(path, "hw-nas-bench", BlockOptions(drop_negative=True))
    assert (len(found.tables[0]), found.dropped) == (4, {"negative latency": 2})


@pytest.mark.parametrize("name", BLOCK_FORMATS)
def test_files_that_are_none(tmp_path: Path, name: str) -> None:
    latin = tmp_path / "latin"
    latin.write_bytes(b"\xff\xfe\xe9")
    for path in (tmp_path / "absent", tmp_path, latin):
        with pytest.raises(TableFileError):
            read_blocks(path, name)


# -- fuzz ----------------------------------------------------------------------------------------------------


def text_of(name: str, folder: Path) -> str:
    path = folder / "good.json"
    write_blocks(path, make_table(name), format=name)
    return path.read_text()


def read_or_refuse(path: Path, name: str) -> None:
    try:
        found = read_blocks(path, name, BlockOptions(drop_negative=True))
    except LutraError as error:
        assert error.message  # noqa: PT017  # either is right
    else:
        assert all(len(table) for table in found.tables)


@pytest.mark.parametrize("name", BLOCK_FORMATS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_altered_files_are_read_or_refused(tmp_path: Path, name: str, data: st.DataObject) -> None:
    text = text_of(name, tmp_path)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 20)))
    tokens = st.sampled_from(
        ["-1", "1e999", "NaN", "{", "}", "[", "]", ":", "\n", '"', ",", "&a ", "*a", "!!x ", "null"]
    )
    middle = data.draw(st.text(max_size=5) | tokens)
    save(tmp_path, "t.json", text[:start] + middle + text[end:].replace("\udfff", ""))
    read_or_refuse(tmp_path / "t.json", name)


@pytest.mark.parametrize("name", BLOCK_FORMATS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(content=st.binary(max_size=200))
def test_any_bytes_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    for suffix in (".json", ".parquet"):
        path = tmp_path / f"t{suffix}"
        path.write_bytes(content)
        read_or_refuse(path, name)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.just(J), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(document=json_values)
def test_any_json_is_read_or_refused(tmp_path: Path, document: Any) -> None:
    path = save(tmp_path, "t.json", json.dumps(document))
    for name in BLOCK_FORMATS:
        read_or_refuse(path, name)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(cells=st.lists(st.lists(st.text(max_size=6) | st.just(K), min_size=2, max_size=3), max_size=4))
def test_any_csv_is_read_or_refused(tmp_path: Path, cells: list[list[str]]) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([["key", "mean_ms"], *cells])
    path = tmp_path / "t.csv"
    path.write_bytes(out.getvalue().encode("utf-8", "replace"))
    read_or_refuse(path, "blocks-csv")


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    return lambda size: monkeypatch.setattr("lutra.luts.exchange.files.MAX_TEXT_BYTES", size)


def test_files_beyond_the_limit(tmp_path: Path, small_limit: Callable[[int], None]) -> None:
    path = save(tmp_path, "t.json", json.dumps({J: 1}))
    small_limit(10)
    with pytest.raises(TableFileError, match="more than 10"):
        read_blocks(path, "hw-nas-bench")
