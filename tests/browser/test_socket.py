"""The WebSocket in a real browser: opened by a page of the app, refused to a page of somebody else."""

from __future__ import annotations

from house import House, dead
from stage import Visitor
from test_watching import SERVER_DIED, becomes

# A page's own reader, as docs/web.md has it, that comes again until all of its jobs have ended.
SOCKET = """([url, job, token]) => {
  window.heard = []
  window.ends = []
  const open = () => {
    const socket = window.socket = new WebSocket(url)
    socket.onopen = () => socket.send(JSON.stringify({ watch: [job], tokens: [token] }))
    socket.onmessage = ({ data }) => heard.push(JSON.parse(data))
    socket.onclose = ({ code, reason }) => {
      ends.push(code)
      if (window.again) setTimeout(open, 100)
    }
  }
  open()
}"""
STATUS = "heard.filter((it) => it.event === 'job.changed').at(-1)?.status"


def address(house: House, host: str = "127.0.0.1") -> str:
    return f"ws://{host}:{house.server.port}/background/ws"


def test_a_page_of_the_app_hears_the_whole_life_of_a_job_under_the_strictest_policy(
    house: House, visitor: Visitor
) -> None:
    job = house.enqueue()
    page = visitor.open(house.page())
    page.evaluate(SOCKET, [address(house), job.id, job.token()])
    becomes(page, f"{STATUS} === 'running'")
    house.tell(job, "progress 40 Loading", "end")
    becomes(page, f"{STATUS} === 'completed'")
    assert page.evaluate("heard.every((it, at) => at === 0 || it.version > heard[at - 1].version)")
    assert house.reports() == []


def test_the_end_arrives_although_the_server_was_killed_meanwhile(house: House, visitor: Visitor) -> None:
    visitor.expects(*SERVER_DIED, "WebSocket connection to .* failed")
    job = house.enqueue()
    page = visitor.open(house.page())
    page.evaluate("window.again = true")
    page.evaluate(SOCKET, [address(house), job.id, job.token()])
    becomes(page, f"{STATUS} === 'running'")
    with dead(house.server):
        becomes(page, "ends.includes(1006)")
        house.tell(job, "end")
        becomes(page, "ends.length > 1")
    becomes(page, f"{STATUS} === 'completed'")
    page.evaluate("window.again = false")


def test_a_page_of_another_origin_opens_none_whatever_cookies_and_tokens_come_with_it(
    house: House, visitor: Visitor
) -> None:
    """Not even of the very server that it came from: the origin is not among those that the site names."""
    visitor.expects("WebSocket connection to .* failed: .*403")
    job, other = house.enqueue(owner="ada"), f"http://app.test:{house.server.port}"
    visitor.context.add_cookies([{"name": "user", "value": "ada", "url": other}])
    page = visitor.open(f"{other}{house.page()}")
    assert (
        page.evaluate("fetch('/background/events').then((it) => it.status)") == 200
    )  # for its reads the cookie counts
    page.evaluate(SOCKET, [address(house, "app.test"), job.id, job.token()])
    becomes(page, "ends.length > 0")
    assert page.evaluate("[heard, ends]") == [[], [1006]]
