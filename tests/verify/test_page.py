"""The report as a page."""

import httpx

from openk2.verify import html_page

from .wire.test_endpoint import answering


def test_the_page_escapes_what_the_endpoint_says_and_loads_nothing():
    evil = '<script src="http://evil.example/x.js"></script>'

    def handler(request):
        return httpx.Response(500, text=evil)

    page = html_page(answering(handler))
    assert "<script" not in page
    assert "&lt;script" in page
    assert "http-equiv" not in page
    for attribute in ("src=", "href=", "url(", "@import"):
        assert attribute not in page.replace("src=&quot;", "")
