"""The page and its files: complete, self-contained, and readable by other programs."""

from __future__ import annotations

import base64
import csv
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NoReturn
from xml.etree import ElementTree

import msgspec
import numpy as np
import pytest

from resetsgd.campaign.judgement import Judgement
from resetsgd.campaign.prediction import Prediction
from resetsgd.campaign.report import write_report
from resetsgd.errors import OutputError

FIGURES = (
    "accuracy_against_probability",
    "mean_against_probability",
    "survival",
    "u_shape",
)


class Page(HTMLParser):
    """Tags, addresses and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        loading = ("src", "href", "srcset", "data", "poster", "action")
        self.loads += [str(value) for name, value in attrs if name in loading]
        if tag not in ("meta", "img", "br", "link", "input"):
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if any(tag in ("td", "th") for tag in self._open):
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def page(unbroken: Any) -> Page:
    assert unbroken.result.report == unbroken.folder / "report.html"
    return Page(unbroken.result.report.read_text(encoding="utf-8"))


def test_page_loads_nothing(page: Page, unbroken: Any) -> None:
    assert len(page.loads) == 4 and page.tags.count("img") == 4
    assert all(load.startswith("data:image/svg+xml;base64,") for load in page.loads)
    assert not {"script", "link", "iframe", "object", "embed"} & {*page.tags}
    text = unbroken.result.report.read_text(encoding="utf-8")
    assert "http://" not in text and "https://" not in text
    assert "url(" not in text and "@import" not in text


def test_pictures_in_the_page_are_the_files_beside_it(page: Page, unbroken: Any) -> None:
    shown = {base64.b64decode(load.partition(",")[2]) for load in page.loads}
    assert shown == {(unbroken.folder / f"{name}.svg").read_bytes() for name in FIGURES}


def test_page_says_the_verdict_and_everything_it_rests_on(
    page: Page, unbroken: Any, small: Any
) -> None:
    result = unbroken.result
    text = " ".join(page.text.split())
    assert result.sentence in text and result.status in text
    assert result.prediction.reason in text
    assert "Negative control" in text
    cells = {row[0]: row[1] for row in page.rows if len(row) == 2}
    for name, value in msgspec.to_builtins(small).items():
        assert cells[name] == str(value), name
    for name in ("resetsgd", "python", "numpy", "scipy", "torch", "scikit-learn"):
        assert cells[name]
    for name, digest in result.prediction.made_from.items():
        assert cells[name] == digest
    assert cells["prediction.json"] == result.judgement.prediction_sha256


def test_tables_hold_every_point(page: Page, unbroken: Any) -> None:
    points = [row for row in page.rows if len(row) == 9]
    assert points[0][0] == "quantity"
    assert len(points) == 1 + len(unbroken.result.judgement.points)
    for row, point in zip(points[1:], unbroken.result.judgement.points, strict=True):
        assert row[0] == point.quantity and row[1] == f"{point.probability:.4f}"
        assert row[4] == f"{point.z:+.2f} s.e." and row[7:] == [
            str(point.runs),
            str(point.censored),
        ]
    resets = [row for row in page.rows if len(row) == 3]
    assert resets[0] == ["probability", "resets", "expected"]
    assert len(resets) == 1 + len(unbroken.result.prediction.planned)


def test_no_field_of_the_page_was_left_open(page: Page) -> None:
    text = page.text[page.text.index("Does resetting help") :]
    assert not {"nan", "inf", "None", "nan%", "inf%"} & {*text.split()}
    assert "{" not in text and "}" not in text


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_there_as_png_and_svg(unbroken: Any, name: str) -> None:
    png = (unbroken.folder / f"{name}.png").read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n") and png.endswith(b"IEND\xaeB`\x82")
    assert ElementTree.parse(unbroken.folder / f"{name}.svg").getroot().tag.endswith("svg")


def test_folder_holds_nothing_half_written(unbroken: Any) -> None:
    names = {path.name for path in unbroken.folder.iterdir()}
    pictures = {f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg")}
    numbers = {"prediction.json", "prediction.csv", "verdict.json", "verdict.csv"}
    noise = {"noise-train.json", "noise-validation.json"}
    assert names == pictures | numbers | noise | {"report.html", "store.sqlite"}


def refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def numbers(value: Any) -> list[Any]:
    """All leaves of a JSON value."""
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in numbers(part)]
    if isinstance(value, list):
        return [leaf for part in value for leaf in numbers(part)]
    return [value]


@pytest.mark.parametrize(
    ("name", "kind"), [("prediction.json", Prediction), ("verdict.json", Judgement)]
)
def test_json_is_strict_and_complete(unbroken: Any, name: str, kind: type) -> None:
    text = (unbroken.folder / name).read_bytes()
    leaves = numbers(json.loads(text, parse_constant=refuse))
    assert None not in leaves  # what an infinity or NaN would have become
    found = unbroken.result.prediction if kind is Prediction else unbroken.result.judgement
    assert msgspec.json.decode(text, type=kind) == found


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True))


def test_csv_holds_the_numbers_of_the_json(unbroken: Any) -> None:
    prediction, judgement = unbroken.result.prediction, unbroken.result.judgement
    curve = table(unbroken.folder / "prediction.csv")
    assert [float(row["probability"]) for row in curve] == prediction.probabilities
    assert [float(row["mean"]) for row in curve] == prediction.mean.value
    assert [float(row["accuracy_high"]) for row in curve] == prediction.accuracy.high
    for row in curve:
        assert float(row["mean_low"]) <= float(row["mean"]) <= float(row["mean_high"])
    rows = table(unbroken.folder / "verdict.csv")
    assert [row["quantity"] for row in rows] == [p.quantity for p in judgement.points]
    np.testing.assert_array_equal(
        [float(row["z"]) for row in rows], [p.z for p in judgement.points]
    )


def test_an_unwritable_report_is_refused(unbroken: Any, small: Any, tmp_path: Path) -> None:
    from resetsgd.campaign import report

    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"report\.html"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "_picture", lambda *_: "")
        _rewrite(tmp_path / "file", unbroken, small)


def _rewrite(folder: Path, unbroken: Any, small: Any) -> None:
    """The report of the finished run, into another folder."""
    import sqlite3

    from resetsgd.campaign.digits import DigitsExperiment
    from resetsgd.campaign.store import Store
    from resetsgd.estimation.traces import from_traces

    database = sqlite3.connect(unbroken.folder / "store.sqlite")
    (plan,) = database.execute("SELECT text FROM plan").fetchone()
    database.close()
    result = unbroken.result
    with Store(unbroken.folder, plan) as store:
        cells: Any = {
            name: store.get(name)
            for name in ("reference", "free", "measured 0", "measured 1", "measured 2")
        }
    traces = cells["free"].arrays["validation"]
    write_report(
        folder,
        settings=small,
        versions={},
        reference=cells["reference"],
        free=cells["free"],
        sample=from_traces(traces, threshold=result.prediction.target, direction="above"),
        prediction=result.prediction,
        judgement=result.judgement,
        measured=[cells[f"measured {i}"] for i in range(3)],
        manifests=DigitsExperiment(small).manifests,
    )
