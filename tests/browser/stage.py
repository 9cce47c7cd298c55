"""One Chromium for the whole test run, and those who visit with it: each has a profile of their own, with tabs.

What goes wrong in a page is remembered: errors on its console, exceptions nobody caught, dialogs, requests to other
hosts. A test that expects one of them says so.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Playwright,
    Request,
    expect,
    sync_playwright,
)

from private_server import Missing, find

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# Quiet: it asks no other host for anything by itself. app.test is this machine by a name that is no secure context.
ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP app.test 127.0.0.1",
]  # fmt: skip
# Chromium obeys the last list of these only, so first come those that Playwright would leave out. Then the address bar
# that is a page of its own: nobody sees it, and for each visitor it cost as much as all the rest.
LEFT_OUT = [
    "AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable", "LensOverlay", "MediaRouter", "PaintHolding", "ThirdPartyStoragePartitioning",
    "AvoidCorsURLLoaderRestartOnRedirect", "OptimizationHints", "NetworkTimeServiceQuerying", "AimEnabled",
    "PreconnectToSearch",
    "WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "WebUIOmniboxFullPopup",
]  # fmt: skip
HOSTS = ("127.0.0.1", "app.test")
# ms until a test gives up that waits for a page, or expects something of it: slowness alone fails nothing.
PATIENCE = 30_000
expect.set_options(timeout=PATIENCE)


class Stage:
    """Chromium and what drives it.

    The driver's loop counts as running in this thread for as long as it lives, which would break every other test that
    runs a loop of its own; so it counts only between come() and go().
    """

    def __init__(self) -> None:
        program = find(*PROGRAMS)
        if program is None:
            raise Missing(
                "Chromium is not on this machine (Debian: apt-get install chromium; macOS: brew install chromium)"
            )
        self._driver: Playwright = sync_playwright().start()
        self._loop = asyncio._get_running_loop()
        arguments = [*ARGUMENTS, f"--disable-features={','.join(LEFT_OUT)}"]
        self.browser: Browser = self._driver.chromium.launch(executable_path=program, args=arguments)

    def come(self) -> None:
        asyncio._set_running_loop(self._loop)

    def go(self) -> None:
        asyncio._set_running_loop(None)

    def close(self) -> None:
        self.come()
        self.browser.close()
        self._driver.stop()
        self.go()


class Visitor:
    """Somebody with a browser. `wrong` is what went wrong in their tabs."""

    def __init__(self, browser: Browser, base_url: str, **options: Any) -> None:
        self.context: BrowserContext = browser.new_context(base_url=base_url, **options)
        self.context.set_default_timeout(PATIENCE)
        self.requests: list[str] = []
        self.unanswered: set[Request] = set()
        self.wrong: list[str] = []
        self._expected: list[str] = []
        self.context.on("console", self._on_console)
        self.context.on("weberror", lambda error: self.wrong.append(f"not caught: {error.error}"))
        self.context.on("dialog", self._on_dialog)
        self.context.on("request", self._on_request)
        self.context.on("requestfinished", self._on_answer)
        self.context.on("requestfailed", self._on_answer)

    def open(self, path: str) -> Page:
        """A new tab at this address."""
        page = self.context.new_page()
        page.on("crash", lambda _: self.wrong.append("the tab crashed"))
        page.goto(path)
        return page

    def expects(self, *patterns: str) -> None:
        """What matches one of these is nothing wrong."""
        self._expected += patterns

    def close(self) -> None:
        """Close all tabs. Fails if anything went wrong that was not expected."""
        self.context.close()
        unexpected = [each for each in self.wrong if not any(re.search(one, each) for one in self._expected)]
        assert not unexpected, "\n".join(unexpected)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"console: {message.text} ({message.location.get('url')})")

    def _on_dialog(self, dialog: Dialog) -> None:
        self.wrong.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def _on_request(self, request: Request) -> None:
        url = request.url
        self.requests.append(url)
        self.unanswered.add(request)
        if urlsplit(url).hostname not in HOSTS:
            self.wrong.append(f"a request to another host: {url}")

    def _on_answer(self, request: Request) -> None:
        self.unanswered.discard(request)


NewVisitor = Callable[..., Visitor]
