"""The overview links every category and holds every row of the summary."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pytest

from variad.report.gallery import build_page
from variad.report.pages import build_overview, summary_rows

from .synthetic_study import Study, build_category, summary_frame


class Links(HTMLParser):
    """Collects addresses of links and pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for key, value in attrs if key in ("href", "src") and value]


def overview(tmp_path: Path, summary: pd.DataFrame, categories: tuple[str, ...]) -> Path:
    pages = []
    for category in categories:
        study = build_category(Study(tmp_path, category=category))
        pages.append(tmp_path / "gallery" / study.dataset / category)
        build_page(pages[-1], study.sources())
    figure = tmp_path / "gains.svg"
    figure.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>", "utf-8")
    build_overview(tmp_path / "gallery" / "index.html", pages, summary, figure)
    return tmp_path / "gallery" / "index.html"


def test_links_lead_to_files_whatever_the_names(tmp_path: Path) -> None:
    names = ("mono", "Löt & <b> #1 100%41", "a\"b'c")
    index = overview(tmp_path, summary_frame(), names)
    links = Links()
    links.feed(index.read_text("utf-8"))
    local = [link for link in links.found if not link.startswith("data:")]
    # A card has its page, picture, test images, added images and accepted ones. The twelve rows of "mono" have page,
    # mean and runs, nine of them a gain; the other categories are not in the summary.
    behind = [link for link in local if not link.startswith("#")]
    assert len(behind) == 5 * len(names) + 12 * 3 + 9
    assert all((index.parent / unquote(link.partition("#")[0])).is_file() for link in behind)
    # Name, means, runs and gains of the average lead to its categories' rows, and the
    # cells of a card to theirs.
    assert len(local) - len(behind) == 12 * 3 + 9 + len(names)


def test_every_row_of_the_summary_is_there_with_its_numbers() -> None:
    summary = summary_frame()
    rows = summary_rows(summary)
    assert len(rows) == len(summary)
    # poly, one_shot, image_auroc, generated: mean 83, gain 1.2, interval 0.2 to 3.2.
    row = next(r for r in rows if all(f'"{w}"' in r for w in ("poly", "one_shot", "image_auroc", "generated")))
    text = re.sub(r"<[^>]*>", " ", row)
    assert "83.00" in text
    assert "+1.20" in text
    assert "[+0.20, +3.20]" in text
    assert 'class="interval up"' in row


def test_numbers_lead_to_the_images_behind_them() -> None:
    rows = summary_rows(summary_frame(), {("elpv", "mono")})
    of = {(row["category"], row["scenario"], row["training_set"], row["metric"]): html for row, html in
          zip(summary_frame().to_dict("records"), rows, strict=True)}  # fmt: skip
    links = Links()
    links.feed(of["mono", "few_shot", "generated", "image_auroc"])
    cell = "scenario=few_shot&training_set=generated&detector=patchcore"
    assert links.found == [
        *[f"./elpv/mono/index.html#tests&{cell}&order=wrong_first"] * 2,
        "./elpv/mono/index.html#shots&scenario=few_shot",
        f"./elpv/mono/index.html#tests&{cell}&order=changed_first",
    ]
    average = Links()
    average.feed(of["average", "few_shot", "original", "image_auroc"])
    cell = "scenario=few_shot&training_set=original&detector=patchcore"
    assert average.found == [f"#dataset=elpv&category=&{cell}&metric=image_auroc"] * 3
    poly = Links()
    poly.feed(of["poly", "few_shot", "generated", "image_auroc"])
    assert poly.found == []  # it has no page


def test_metrics_of_pixels_lead_to_the_images_with_masks() -> None:
    row, *_ = summary_rows(summary_frame().assign(metric="pixel_auroc"), {("elpv", "mono")})
    assert "detector=patchcore&amp;label=1&amp;order=wrong_first" in row


def test_only_the_best_training_set_is_bold() -> None:
    rows = summary_rows(summary_frame())
    assert {'data-training-set="generated_tuned"' in row for row in rows if "<strong>" in row} == {True}
    assert sum("<strong>" in row for row in rows) == 9


def test_names_in_the_table_are_escaped() -> None:
    summary = summary_frame().assign(category='<img src=x onerror="alert(1)">')
    assert not any("<img" in row for row in summary_rows(summary))


def test_a_study_without_results_has_an_empty_table(tmp_path: Path) -> None:
    index = overview(tmp_path, summary_frame().iloc[:0], ("mono",))
    assert "<tbody>\n\n      </tbody>" in index.read_text("utf-8")


def test_a_gain_beyond_the_drawing_is_an_arrow_at_its_edge() -> None:
    """The drawing ends where nearly all intervals do; what lies further out must not look as if it ended there."""
    rows = summary_frame().iloc[[9]]
    gains = [*[1.0] * 200, 40.0]
    many = pd.concat([rows.assign(gain=gain, gain_low=gain - 1, gain_high=gain + 1) for gain in gains])
    drawn = [re.search(r'<i class="(dot[^"]*)" style="left:([^%]*)%', row).groups() for row in summary_rows(many)]
    assert drawn[-1] == ("dot right", "100.0") and drawn[0][0] == "dot"


@pytest.mark.parametrize(("size", "shape"), [("792 547", ""), ("792 2330", "tall")])
def test_a_high_figure_is_not_shrunk_until_nobody_can_read_it(tmp_path: Path, size: str, shape: str) -> None:
    (tmp_path / "gains.svg").write_text(f'<svg viewBox="0 0 {size}" xmlns="http://www.w3.org/2000/svg"/>', "utf-8")
    build_overview(tmp_path / "index.html", [], summary_frame(), tmp_path / "gains.svg")
    assert f'class="figure {shape}" id="figure"' in (tmp_path / "index.html").read_text("utf-8")
