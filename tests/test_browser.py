"""The timings page in a real browser: what it shows, not what it says. Skipped without Chromium."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from pipshim.progress.timings import render
from tests.support.histories import many, one

if TYPE_CHECKING:
    from pathlib import Path

    from pipshim.progress.event_timeline import History

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: chromium)")

PROBE = """
<pre id="seen"></pre>
<script>
window.addEventListener("load", () => {
  const shown = (one) => one.checkVisibility() && one.getClientRects().length > 0;
  const box = (one) => { const b = one.getBoundingClientRect();
    return { left: b.left, right: b.right, top: b.top, width: b.width, height: b.height }; };
  const names = () => all("#table tbody tr").filter(shown).map((one) => one.cells[0].textContent);
  const seen = {};
  %s
  document.getElementById("seen").textContent = JSON.stringify(seen);
});
</script>
"""


def browse(directory: Path, history: History, probe: str, *settings: str, width: int = 1200) -> Any:
    """Open a page in Chromium, run a piece of JavaScript in it, and give what it noted."""
    text = render(
        history,
        [(history.now / 2, 0.5), (history.now, 1.0)],
        command="sync",
        began="today",
        cores=4,
    )
    page = directory / "page.html"
    page.write_text(text.replace("</html>", f"{PROBE % probe}</html>"), encoding="utf-8")
    dom = dump(directory, page, *settings, width=width)
    found = re.search(r'<pre id="seen">(.*?)</pre>', dom, re.DOTALL)
    assert found is not None
    return json.loads(html.unescape(found[1]))


def dump(directory: Path, page: Path, *settings: str, width: int = 1200) -> str:
    assert CHROMIUM is not None
    return subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--virtual-time-budget=2000",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={directory / 'profile'}",
            f"--window-size={width},900",
            *settings,
            "--dump-dom",
            page.as_uri(),
        ],
        check=True,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    ).stdout


def test_a_bar_stands_where_its_time_is(tmp_path: Path) -> None:
    seen = browse(
        tmp_path,
        one(),
        """
        seen.track = box(document.querySelector(".package .track"));
        seen.bars = all(".package .bar").map((one) => [one.className, box(one)]);
        seen.colors = all(".package .bar").map((one) => getComputedStyle(one).backgroundColor);
        seen.title = document.querySelector(".package .bar.wheel").title;
        seen.graphs = all("svg").map(box);
        """,
    )
    track, bars = seen["track"], dict(seen["bars"])
    # built from second 4 to 124 of 125
    wheel = bars["bar wheel"]
    assert wheel["left"] == pytest.approx(track["left"] + track["width"] * 4 / 125, abs=1)
    assert wheel["right"] == pytest.approx(track["left"] + track["width"] * 124 / 125, abs=1)
    assert wheel["height"] > 10
    assert set(seen["colors"]) == {"rgb(201, 138, 0)"}  # no-isolation
    assert seen["title"] == "natten 0.17.5\nwheel: 2m 00s, from 4.0 s"
    assert [(one["left"], one["width"]) for one in seen["graphs"]] == [
        (track["left"], track["width"])
    ] * 2


@pytest.mark.parametrize("count", [1, 500])
@pytest.mark.parametrize("width", [500, 1200])
def test_the_page_fits_and_every_row_is_seen(tmp_path: Path, count: int, width: int) -> None:
    seen = browse(
        tmp_path,
        many(count),
        """
        seen.page = [document.documentElement.scrollWidth, innerWidth];
        seen.rows = rows.filter(shown).length;
        seen.lines = names().length;
        seen.heights = [...new Set(rows.map((one) => box(one).height))];
        seen.escaped = all(".package .bar").filter((one) =>
          box(one).left < box(one.parentNode).left - 1
          || box(one).right > box(one.parentNode).right + 3).length;
        """,
        width=width,
    )
    assert seen["page"][0] <= seen["page"][1]
    assert (seen["rows"], seen["lines"]) == (count, count)
    assert len(seen["heights"]) == 1
    assert seen["escaped"] == 0


def test_the_table_is_sorted_by_a_click_and_sieved_by_name(tmp_path: Path) -> None:
    seen = browse(
        tmp_path,
        many(12),
        """
        const click = (name) => heads.find((one) => one.textContent === name)
          .querySelector("button").click();
        const column = (number) =>
          all("#table tbody tr").map((one) => one.cells[number].textContent);
        click("total"); seen.up = column(6).map(Number);
        click("total"); seen.down = column(6).map(Number);
        click("package"); seen.names = column(0);
        filter.value = "SOURCE-1"; filter.dispatchEvent(new Event("input"));
        seen.sieved = names();
        seen.rows = rows.filter(shown).map((one) => one.dataset.name);
        filter.value = ""; slow.click();
        seen.slow = names().length;
        """,
    )
    assert len(seen["up"]) == 12
    assert seen["up"] == sorted(seen["up"])
    assert seen["down"] == sorted(seen["up"], reverse=True)
    assert seen["names"] == [*(f"lib-{n}" for n in range(8)), *(f"source-{n}" for n in range(4))]
    assert seen["sieved"] == seen["rows"] == ["source-1"]
    assert 0 < seen["slow"] < 12


def test_it_follows_the_colours_of_the_desktop(tmp_path: Path) -> None:
    probe = """
        const style = getComputedStyle(document.body);
        seen.colors = [style.backgroundColor, style.color];
    """
    light = browse(tmp_path, one(), probe, "--blink-settings=preferredColorScheme=1")
    dark = browse(tmp_path, one(), probe, "--blink-settings=preferredColorScheme=0")
    assert light["colors"] == ["rgb(255, 255, 255)", "rgb(28, 32, 36)"]
    assert dark["colors"] == ["rgb(20, 22, 26)", "rgb(230, 232, 235)"]


def test_pointing_at_a_package_shows_what_it_waited_for(tmp_path: Path) -> None:
    seen = browse(
        tmp_path,
        many(60),
        """
        const row = rows.find((one) => one.dataset.waits);
        row.dispatchEvent(new MouseEvent("mouseenter"));
        seen.near = all(".near").map((one) => one.dataset.id);
        seen.wanted = [row.dataset.id, row.dataset.waits];
        const far = rows.find((one) => !one.classList.contains("near"));
        seen.opacity = [row, far].map((one) => getComputedStyle(one).opacity);
        row.dispatchEvent(new MouseEvent("mouseleave"));
        seen.after = getComputedStyle(far).opacity;
        """,
    )
    assert set(seen["wanted"]) <= set(seen["near"])
    assert seen["opacity"] == ["1", "0.25"]
    assert seen["after"] == "1"


def test_without_javascript_there_is_the_table(tmp_path: Path) -> None:
    history = many(12)
    page = html.escape(render(history, [], command="sync", began="today", cores=4))
    frame = f'<iframe sandbox="allow-same-origin" width="1000" height="800" srcdoc="{page}">'
    seen = browse(
        tmp_path,
        one(),
        f"""
        const holder = document.createElement("div");
        holder.innerHTML = {json.dumps(frame)};
        document.body.append(holder);
        const inner = holder.firstChild;
        inner.addEventListener("load", () => {{
          const root = inner.contentDocument;
          seen.ran = root.documentElement.classList.contains("js");
          seen.tools = shown(root.querySelector(".tools"));
          seen.lines = all("#table tbody tr", root).filter(shown).length;
          seen.rows = all(".package", root).filter(shown).length;
          document.getElementById("seen").textContent = JSON.stringify(seen);
        }});
        """,
    )
    assert seen == {"ran": False, "tools": False, "lines": 12, "rows": 12}
