"""A component whose data change while its script is still being loaded stands there all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import ROOT

LASTING = (ROOT / "app" / "live" / "lasting.js").read_text(encoding="utf-8")
COMPONENTS = sorted(path for path in (ROOT / "app").glob("*/*.js") if "._kdlab.update(" in path.read_text("utf-8"))
# What Streamlit does with calls that pile up while the script is being loaded: it makes them all, not always in their
# order, and calls what an overtaken one gave back; what the newest gave back is called once the component has gone.
OVERTAKEN = """async ([script, order]) => {
    const { default: call } = await import(URL.createObjectURL(new Blob([script], { type: 'text/javascript' })));
    const [, kind, name] = script.match(/querySelector\\("([.#])([a-z-]+)"\\)/), parent = document.createElement('div');
    const root = document.createElement('div');
    root[kind === '#' ? 'id' : 'className'] = name;
    let shown = 0, ended = 0;
    root._kdlab = { update(data) { shown = data; }, end() { ended += 1; root.remove(); } };
    parent.append(root);
    document.body.append(parent);
    const component = { parentElement: parent, setTriggerValue() {}, setStateValue() {} };
    const newest = Math.max(...order), over = [];
    let last;
    for (const data of order) {
        const end = call({ ...component, data });
        if (data === newest) last = end; else over.push(Promise.resolve(end).then((end) => end()));
    }
    await Promise.all(over);
    const stayed = [shown, ended];
    await new Promise((done) => setTimeout(done, 20));
    parent.remove();
    last();
    return [...stayed, ended];
}"""


def test_every_component_is_looked_at() -> None:
    assert [path.stem for path in COMPONENTS] == ["canvas", "film", "gallery", "live", "small"]


@pytest.mark.parametrize("order", [(1, 2), (2, 1), (3, 1, 2), (1, 3, 2)], ids=str)
@pytest.mark.parametrize("path", COMPONENTS, ids=lambda path: path.stem)
def test_a_call_that_was_overtaken_neither_ends_the_component_nor_leaves_its_data(
    chromium, path: Path, order: tuple[int, ...]
) -> None:  # type: ignore[no-untyped-def]
    page = chromium.new_page()
    shown, early, ended = page.evaluate(OVERTAKEN, [f"{LASTING}\n{path.read_text('utf-8')}", order])
    page.close()
    assert (shown, early, ended) == (max(order), 0, 1)
