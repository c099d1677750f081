"""The page of `ostinato view` in a real browser: every step and kernel, keys, and the console."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest
from click.testing import CliRunner

import view_cases
from browser import Page, browser, find_browser
from ostinato.cli import cli
from ostinato.view.page import page_of

PROGRAM = find_browser()
pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="no Chromium is installed; `apt-get install chromium` brings it"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("page")
    view_cases.dump(made)
    return made


@pytest.fixture(scope="module")
def tab(folder: Path) -> Generator[Page]:
    (region,) = folder.glob("step-*")
    file = region / "0-captured.mlir"
    assert CliRunner().invoke(cli, ["run", str(file), "--stats"]).exit_code == 0
    (folder / "view.html").write_text(page_of(folder))
    assert PROGRAM is not None
    with browser(PROGRAM) as page:
        page.open((folder / "view.html").as_uri())
        yield page


@pytest.fixture
def page(tab: Page) -> Generator[Page]:
    """The page as it is when opened, with the training step, which is the second region."""
    tab.js("document.activeElement.blur()")
    tab.js("document.querySelector('#search').value = ''")
    tab.js("document.querySelector('#search').dispatchEvent(new Event('input'))")
    go(tab, "1/0/ir/-1/0/0")
    yield tab
    assert tab.trouble == []


def go(page: Page, address: str) -> None:
    """Sets the page's address, and waits until it has handled that."""
    page.js(
        f"new Promise(done => {{ const same = location.hash === '#{address}'; "
        "addEventListener('hashchange', () => done(), {once: true}); "
        f"location.hash = '{address}'; "
        "if (same) dispatchEvent(new Event('hashchange')); })"
    )


def address(page: Page) -> str:
    return page.js("document.body.dataset.shown")


def texts(page: Page, selector: str) -> list[str]:
    return page.js(f"[...document.querySelectorAll(`{selector}`)].map(e => e.textContent)")


def count(page: Page, selector: str) -> int:
    return page.js(f"document.querySelectorAll(`{selector}`).length")


STAGES = ["captured", "differentiated", "decomposed", "simplified", "simplified", "fused",
          "kernels", "kernels", "planned"]  # fmt: skip


def test_every_step_and_view_is_shown(page: Page, folder: Path) -> None:
    assert texts(page, "#steps span") == STAGES
    lines: list[int] = []
    for number, stage in enumerate(STAGES):
        page.click(f'#steps [data-step="{number}"]')
        assert texts(page, "#steps [aria-current] span") == [stage]
        page.click('[data-view="ir"]')
        assert count(page, "#ir .row.old, #ir .row.new") == 0
        lines.append(count(page, "#ir .row"))
        page.click('[data-view="changes"]')
        differs = count(page, "#ir .row.old") + count(page, "#ir .row.new")
        assert (differs > 0) == (number not in (0, 4, 7)), stage
        page.click('[data-view="graph"]')
        assert count(page, ".node") > 5 and count(page, ".edge") > 5
    files = sorted(folder.glob("step-*/*.mlir"))
    assert lines == [len(file.read_text().splitlines()) for file in files]


def test_every_kernel_of_every_region_is_shown(page: Page) -> None:
    for number in range(2):
        page.js(f"document.querySelector('#region').value = {number}")
        page.js("document.querySelector('#region').dispatchEvent(new Event('change'))")
        page.press("5")
        names = texts(page, "#kernel-list code")
        assert len(names) >= 3
        for kernel, name in enumerate(names):
            page.click(f'[data-kernel="{kernel}"]')
            assert texts(page, "#kernel h2") == [name]
            nest, source = texts(page, "#kernel .codes .text")
            plain = name.removeprefix("backward-")
            assert f"kernel.func @{plain}(" in nest
            assert f"define void @{plain}(" in source


def test_keys_step_through_passes_and_ops(page: Page) -> None:
    for key, step in (("j", 1), ("ArrowRight", 2), ("k", 1), ("ArrowLeft", 0), ("k", 0)):
        page.press(key)
        assert address(page).startswith(f"1/{step}/ir")
    page.press("ArrowDown")
    page.press("ArrowDown")
    page.press("ArrowUp")
    assert address(page) == "1/0/ir/1/0/0"
    assert count(page, '#ir [aria-selected="true"]#op-1') == 1
    for number, view in enumerate(("changes", "rewrites", "graph", "kernels", "ir"), 2):
        key = str((number - 1) % 5 + 1)
        page.press(key)
        assert address(page) == f"1/0/{view}/1/0/0"
        assert texts(page, '#content [role=tab][aria-selected="true"]')[0].lower() == view
    page.press("Escape")
    assert address(page) == "1/0/ir/-1/0/0"
    page.press("?")
    assert page.js("document.querySelector('#help').open")
    page.press("Escape")
    assert not page.js("document.querySelector('#help').open")


def test_single_rewrites_are_stepped_through(page: Page, folder: Path) -> None:
    (file,) = folder.glob("step-*/rewrites.json")
    recorded = [row for rows in json.loads(file.read_text()).values() for row in rows]
    page.press("3")
    page.press("ArrowDown")
    # The first step was captured, and there is nothing before it.
    for row in recorded:
        (title,) = texts(page, "#rewrite h2")
        on = f" on {row['op']}" if row["op"] else ""
        assert title == f"{row['number']} {row['rewrite']}{on}"
        changed = [line for line in row["changed"] if not line.startswith("@@")]
        assert count(page, "#rewrite .row:not(.gap)") == len(changed)
        assert count(page, "#rewrite .row.new") == sum(line[0] == "+" for line in changed)
        page.press("ArrowDown")
    page.press("ArrowUp")
    assert texts(page, "#rewrite h2")[0].startswith(f"{recorded[-2]['number']} ")
    go(page, "0/3/rewrites")
    assert "OSTINATO_DUMP_REWRITES=1" in texts(page, "#rewrite")[0]


def selected_op(page: Page) -> str:
    (text,) = texts(page, "#ir .selected code")
    return text.strip().partition(" : ")[0]


def test_a_click_shows_the_line_and_what_came_from_it(page: Page) -> None:
    (linear,) = page.js(
        "[...document.querySelectorAll('#ir .row')]"
        ".filter(r => r.textContent.includes('ot.cross_entropy')).map(r => r.id)"
    )
    page.click(f"#{linear} code")
    assert selected_op(page).split(" = ")[1].startswith("ot.cross_entropy")
    (line,) = texts(page, "#source .selected code")
    assert line.strip() == "loss = F.cross_entropy(model(x), y)"
    # The same line has ops of other names at other stages, and leads to them.
    chips = texts(page, "#inspector [data-step] small")
    assert len(chips) == len(STAGES)
    page.press("j")
    page.press("j")
    assert texts(page, "#source .selected code") == [line]
    assert count(page, "#ir .kin") > 3
    # From the source to the ops, one after the other.
    first = selected_op(page)
    page.click("#source .selected")
    page.click("#source .selected")
    assert selected_op(page) != first


def test_search_finds_text_and_lines(page: Page) -> None:
    page.press("/")
    for letter in "gelu":
        page.press(letter)
    assert texts(page, "#found") == ["0 of 1"]
    page.press("Enter")
    assert texts(page, "#found") == ["1 of 1"] and "ot.gelu" in selected_op(page)
    # Keys are letters while one types.
    assert address(page).startswith("1/0/")
    page.js("document.querySelector('#search').value = 'view_cases.py:'")
    page.js("document.querySelector('#search').dispatchEvent(new Event('input'))")
    page.press("Enter", shift=True)
    assert int(texts(page, "#found")[0].rpartition(" ")[2]) > 5


def test_the_graph_folds_ops_and_follows_edges(page: Page) -> None:
    go(page, "1/5/graph/-1/0")
    assert texts(page, "#scopes button") == ["@main"]
    folded = page.js("document.querySelector('.node.folded').dataset.op")
    go(page, f"1/5/graph/{folded}/0")
    page.press("Enter")
    assert texts(page, "#scopes button") == ["@main", "fusion"]
    inside = count(page, ".node")
    page.press("ArrowDown")
    chosen = page.js("document.querySelector('.node.selected').dataset.op")
    assert chosen != folded
    page.press("ArrowDown")
    assert page.js("document.querySelector('.node.selected').dataset.op") != chosen
    assert count(page, ".edge.near") > 0
    page.press("Backspace")
    assert texts(page, "#scopes button") == ["@main"] and count(page, ".node") != inside
    page.press("0")
    page.press("+")
    scale = "document.querySelector('#world').transform.baseVal[1].matrix.a"
    before = page.js(scale)
    page.click('[data-zoom="out"]')
    assert page.js(scale) < before


def test_a_value_is_lit_where_it_is_made_and_read(page: Page) -> None:
    page.js(
        "[...document.querySelectorAll('#ir .row')].find(r => /= ot.gelu/.test(r.textContent))"
        ".querySelector('.value').dispatchEvent(new PointerEvent('pointerover', {bubbles: true}))"
    )
    (value,) = set(texts(page, "#ir .lit"))
    rows = page.js("[...document.querySelectorAll('#ir .row:has(.lit)')].map(r => r.textContent)")
    assert len(rows) >= 2 and any(f"{value} = " in row for row in rows)


def test_statistics_are_shown_where_a_run_recorded_them(page: Page, folder: Path) -> None:
    (region,) = folder.glob("step-*")
    rows = json.loads((region / "0-captured.stats.json").read_text())
    recorded = next(row for row in rows if row["name"] == texts(page, "#ir .value")[-1][1:])
    page.js(
        "[...document.querySelectorAll('#ir .value')].at(-1)"
        ".dispatchEvent(new PointerEvent('pointerover', {bubbles: true}))"
    )
    title = page.js("[...document.querySelectorAll('#ir .value')].at(-1).title")
    figures = ", ".join(f"{key} {recorded[key]}" for key in ("min", "max", "mean", "nan"))
    assert title == f"%{recorded['name']}: {figures}"
    page.js("[...document.querySelectorAll('#ir .row[id]')].at(-1).click()")
    assert title in texts(page, "#inspector code")


def test_everything_is_reached_by_tab_and_has_a_name(page: Page) -> None:
    seen: list[str] = []
    for _ in range(40):
        page.press("Tab")
        seen.append(page.js("document.activeElement.id || document.activeElement.tagName"))
        outline = page.js("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or seen[-1] == "BODY", seen[-1]
    assert {"region", "search", "help-button", "ir"} <= set(seen)
    unnamed = (
        "[...document.querySelectorAll('button, select, input, [role=listbox], [role=tablist]')]"
        ".filter(e => !e.textContent.trim() && !e.ariaLabel && !e.getAttribute('aria-label'))"
        ".map(e => e.outerHTML)"
    )
    assert page.js(unnamed) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(page: Page, scheme: str) -> None:
    """WCAG's contrast of 4.5 between every kind of text and what it stands on."""
    page.call(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    grounds = ("ground", "panel", "chosen", "kin", "new", "old")
    inks = ("ink", "accent", "violet", "brown", "green", "red", "muted")
    assert page.js(CONTRAST % (list(inks), list(grounds))) == []


CONTRAST = """(() => {
  const pen = document.createElement('canvas').getContext('2d');
  const probe = document.body.appendChild(document.createElement('i'));
  const light = (name) => {
    probe.style.color = `var(--${name})`;
    pen.fillStyle = getComputedStyle(probe).color;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...pen.getImageData(0, 0, 1, 1).data].map((c) => {
      const v = c / 255;
      return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const poor = [];
  for (const ink of %s) for (const ground of %s) {
    const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) poor.push(`${ink} on ${ground}: ${contrast.toFixed(2)}`);
  }
  probe.remove();
  return poor;
})()"""
