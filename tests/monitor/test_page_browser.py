"""The page in a real browser, opened from disk: on a phone and at a desk, in the light and the dark."""

import re

import pytest

from mlops_dagster.monitor.page.draw import draw_page
from mlops_dagster.monitor.spec import MonitorSpec
from tests.monitor.pages import facts, full
from tests.serve.browser import CHROMIUM, DRIVER, Browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM or not DRIVER, reason="needs Chromium and its driver"),
]
SIZES = {"phone": {"width": 360, "height": 780}, "desk": {"width": 1_200, "height": 900}}
PAGES = {
    "full": full(),
    "wide": full(300, 200),
    "no champion": facts(champion=None, since=None),
    "nothing declared": facts(spec=MonitorSpec()),
}
# Elements that reach beyond the window and are not inside something that scrolls by itself.
BEYOND = """
return [...document.querySelectorAll("body *")].filter((one) =>
  !one.parentElement.closest(".scroll") && !one.closest("svg") && one.getClientRects().length &&
  (one.getBoundingClientRect().right > document.documentElement.clientWidth + 1 ||
   one.getBoundingClientRect().left < -1)).map((one) => one.outerHTML.slice(0, 80))
"""
# The colour of each text, and the first background behind it that is not see-through.
COLOURS = """
const behind = (one) => {
  for (let at = one; at; at = at.parentElement) {
    const paper = getComputedStyle(at).backgroundColor;
    if (!paper.startsWith("rgba") || paper.endsWith(", 1)")) return paper;
  }
  return "rgb(255, 255, 255)";
};
return [...document.querySelectorAll("body *")]
  .filter((one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
  .filter((one) => one.getClientRects().length && !one.matches(".none"))
  .map((one) => [getComputedStyle(one).color, behind(one), parseFloat(getComputedStyle(one).fontSize),
                 one.outerHTML.slice(0, 90)]);
"""


@pytest.fixture(scope="module", params=list(SIZES))
def browser(request):
    with Browser(**SIZES[request.param]) as opened:
        yield opened


@pytest.fixture(params=["light", "dark"])
def scheme(browser, request) -> str:
    browser.scheme(request.param)
    return request.param


@pytest.fixture(params=list(PAGES))
def address(request, tmp_path) -> str:
    place = tmp_path / "monitoring.html"
    place.write_text(draw_page(PAGES[request.param]), encoding="utf-8")
    return place.as_uri()


def luminance(colour: str) -> float:
    shares = [int(one) / 255 for one in re.findall(r"\d+", colour)[:3]]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(ink: str, paper: str) -> float:
    low, high = sorted((luminance(ink), luminance(paper)))
    return (high + 0.05) / (low + 0.05)


def test_nothing_overflows_each_text_is_readable_and_nothing_is_asked_for(browser, scheme, address):
    browser.open(address)
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.run(wide) == 0
    assert browser.run(BEYOND) == []
    texts = browser.run(COLOURS)
    assert len(texts) > 10
    assert [one for one in texts if contrast(one[0], one[1]) < 4.5] == []
    assert [one for one in texts if one[2] < 11] == []
    dark = luminance(browser.run("return getComputedStyle(document.body).backgroundColor")) < 0.1
    assert dark == (scheme == "dark")
    assert {url.partition(":")[0] for url in browser.urls()} == {"file"}


def test_the_newest_windows_are_seen_first_and_names_stay_in_sight(browser, tmp_path):
    place = tmp_path / "monitoring.html"
    place.write_text(draw_page(full(300, 60)), encoding="utf-8")
    browser.open(place.as_uri())
    seen = """
    const box = document.querySelector(".newest").getBoundingClientRect();
    const row = document.querySelector(".heat tbody tr");
    const name = row.querySelector("th").getBoundingClientRect();
    const last = row.lastElementChild.getBoundingClientRect();
    return [Math.abs(last.right - box.right) < 6, Math.abs(name.left - box.left) < 6]
    """
    assert browser.run(seen) == [True, True]
    assert "Over the limit: feature drift" in browser.text("#state")
