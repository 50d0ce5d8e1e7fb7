"""The page at `/` in a real browser: wide and on a phone."""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.serve.browser import CHROMIUM, DRIVER, Browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM or not DRIVER, reason="needs Chromium and its driver"),
]
PHONE = {"width": 390, "height": 844}


def ask(browser: Browser, address: str) -> str:
    """Open the page, press the button; give the answer that it shows."""
    browser.open(address)
    browser.click("button")
    browser.wait_for(lambda: browser.text("#answer"), what="an answer")
    return browser.text("#answer")


@pytest.mark.parametrize("size", [{}, PHONE], ids=["wide", "phone"])
def test_the_example_is_answered_with_its_id_and_the_traffic_shows(address, size, tmp_path):
    with Browser(**size) as browser:
        told = ask(browser, address)
        assert re.search(r"prediction [01] · probability 0\.\d+", told), told
        assert re.search(r"version 1, id [0-9a-f]{32}-0", told), told
        assert browser.text("h1") == "parcels version 1"
        browser.wait_for(lambda: "median" in browser.text("#told"), what="traffic")
        assert browser.run("return document.querySelectorAll('#bars rect').length") > 0
        wide = "return document.documentElement.scrollWidth - window.innerWidth"
        assert browser.run(wide) <= 0
        hosts = {urlsplit(url).hostname for url in browser.urls() if url.startswith("http")}
        place = os.environ.get("PICTURES")
        browser.picture(Path(place or tmp_path) / f"endpoint{'-phone' if size else ''}.png")
    assert hosts == {"127.0.0.1"}


def test_a_value_that_does_not_fit_is_told_beside_the_form(address):
    with Browser() as browser:
        browser.open(address)
        browser.type('input[name="size"]', "abc")
        browser.click("button")
        browser.wait_for(lambda: browser.text("#answer"), what="an answer")
        assert "column 'size' is 'abc'; needed is a number" in browser.text("#answer")
