"""What a tab remembers: its run (in its address), how far it has read, small choices. No other file looks there."""

from __future__ import annotations

import atexit
import math
import time
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import streamlit as st

from app.page import as_streamlit, page_of
from kdcore.cards import Catalog
from kdcore.history import History, fold
from kdcore.launch import Desk
from kdcore.recipe import Recipe
from kdcore.runs import Run, Shelf, UnknownRun, default_root

READ = 6
"""Runs whose history a tab keeps in memory."""
ENDED = 64
"""Histories of finished runs that the server keeps for all tabs: nothing is written to them any more."""
SHARED = 8
"""Things made of a run that are kept for tabs that have read as far."""
WATCHED = 5.0
"""Seconds for which a tab that has looked at a run counts as one that watches it."""
LATE = 2.0
"""Seconds in which a browser may still send the address that it had before a choice."""


def shelf() -> Shelf:
    """The shelf of runs: env KDLAB_RUNS, or ./runs. One per server."""
    return _shelf(str(default_root()))


def desk() -> Desk:
    """The app's side of the warm workers. One per server; closed when the server ends."""
    return _desk(str(default_root()))


def catalog() -> Catalog:
    """Every card there is. Asked of a worker once per server."""
    return _catalog(str(default_root()))


def catalog_at_hand() -> Catalog | None:
    """The same where no worker has to be asked for it, else None: for what a page can do without."""
    return desk().catalog_at_hand()


@st.cache_resource(show_spinner=False, max_entries=8)
def _shelf(root: str) -> Shelf:
    return Shelf(Path(root).resolve())


@st.cache_resource(show_spinner=False, max_entries=8)
def _desk(root: str) -> Desk:
    found = Desk(_shelf(root))
    atexit.register(found.close)
    return found


@st.cache_resource(show_spinner="Reading what there is …", max_entries=8)
def _catalog(root: str) -> Catalog:
    return _desk(root).catalog()


def chosen_run() -> Run | None:
    """The run that the address names, or the one this tab looked at last (which the address then says); None without.

    A run that is not there is none; `wrong_run` then says why.
    """
    named = st.query_params.get("run") or kept("run", "")
    if not named:
        return None
    try:
        found = shelf().run(str(named)[:60])
    except UnknownRun:
        if "run" not in st.query_params:
            keep("run", "")
        return None
    keep("run", found.id)
    if st.query_params.get("run") != found.id:
        st.query_params["run"] = found.id
    return found


def wrong_run() -> str:
    """One sentence on why the run in the address cannot be shown, or ""."""
    named = st.query_params.get("run")
    if not named:
        return ""
    try:
        shelf().run(str(named)[:60])
    except UnknownRun as error:
        return str(error)
    return ""


def choose_run(run_id: str) -> None:
    """Makes this the run that the tab looks at, in its address too; "" for none."""
    keep("run", run_id)
    keep("refused", {})
    if run_id:
        st.query_params["run"] = run_id
    elif "run" in st.query_params:
        del st.query_params["run"]


def from_address(name: str) -> str:
    """What the address says under this name, or ""."""
    return str(st.query_params.get(name, ""))[:200]


def here() -> dict[str, str]:
    """Everything that the address of this page says."""
    return {name: value[:2000] for name, value in st.query_params.to_dict().items()}


def to_address(name: str, value: str) -> None:
    """Writes it into the address of this page; "" takes it out."""
    if value and st.query_params.get(name) != value:
        st.query_params[name] = value
    elif not value and name in st.query_params:
        del st.query_params[name]


def selected(name: str) -> str:
    """What is chosen on any panel under this name ("picture", "class", "layers", "epoch" …) as the address says it, ""
    for nothing. It comes from a stranger's link, too: whoever draws it checks it and drops it (`select(name, "")`).

    It holds over sections and pages, and is written into the address of the page that asks for it.
    """
    ours = str(kept(f"choice.{name}", ""))
    named = from_address(name)[:40]
    if named == ours:
        return ours
    before, when = kept(f"choice.{name}.before", ("", -math.inf))
    late = name in st.query_params and named == before and time.monotonic() - when < LATE
    if name in st.query_params and not late:
        _choose(name, named)
        renew_controls(f"choice.{name}")
        return named
    to_address(name, ours)
    return ours


def select(name: str, value: object) -> None:
    """Chooses it for all panels, in the address too; "" or None for nothing. Its controls are drawn anew with it."""
    text = "" if value is None else str(value)
    if text == str(kept(f"choice.{name}", "")) == from_address(name):
        return
    _choose(name, text)
    renew_controls(f"choice.{name}")


def take(name: str, key: str, says: Callable[[Any], str] = str) -> None:
    """As `select`, for the callback of the control of that key: its value, as `says` writes it, is chosen.

    Not if another control stands in its place by now: until the page that has the new one is drawn, whatever else
    happens in the browser sends the old one's value along, which would take back what was chosen on another panel.
    """
    if key == key_of(key.partition("~")[0]):
        _choose(name, says(widget(key)))


def refuse(name: str, why: str) -> None:
    """Drops what is chosen under this name, and keeps the sentence that says why until something else is chosen."""
    select(name, "")
    complain(name, why)


def complain(name: str, why: str) -> None:
    """Keeps the sentence that says why what the address says under this name is not shown."""
    keep("refused", {**kept("refused", {}), name: why})


def forgive(name: str) -> None:
    """Lets go of that sentence: something else was chosen."""
    keep("refused", {other: why for other, why in kept("refused", {}).items() if other != name})


def refused(name: str) -> str:
    """That sentence, or ""."""
    return str(kept("refused", {}).get(name, ""))


def choice_key(name: str, more: str = "") -> str:
    """The key of a control that shows what `selected(name)` is; `more` tells such controls apart."""
    return key_of(f"choice.{name}{'.' if more else ''}{more}")


def _choose(name: str, text: str) -> None:
    if text != kept(f"choice.{name}", ""):
        keep(f"choice.{name}.before", (str(kept(f"choice.{name}", "")), time.monotonic()))
    keep(f"choice.{name}", text)
    forgive(name)
    to_address(name, text)


def history_of(run: Run) -> History:
    """What the run has come to. Only what was written since the last call is read; the same object is given back.

    A finished run's is read once for all tabs.
    """
    read: dict[tuple[str, float], tuple[int, History]] = st.session_state.setdefault("kept.histories", {})
    key = (run.id, run.created)
    ended = _ended()
    shared = (str(run.folder), run.created)
    since, history = read.pop(key) if key in read else ended.get(shared, (0, History()))
    events, since = run.events(since)
    read[key] = (since, fold(events, history))
    if history.outcome == "finished":
        ended[shared] = (since, history)
        while len(ended) > ENDED:
            ended.pop(next(iter(ended)), None)
    while len(read) > READ:
        read.pop(next(iter(read)))
    return history


def shared(run: Run, what: tuple[Hashable, ...], make: Callable[[], Any]) -> Any:
    """What `make` makes of all that was read of the run so far: made once for all tabs that have read as far.

    `what` tells apart what is made; nobody may change it afterwards.
    """
    read: dict[tuple[str, float], tuple[int, History]] = st.session_state.get("kept.histories", {})
    since, _ = read.get((run.id, run.created), (-1, None))
    if since < 0:
        return make()
    made = _shared()
    key = (str(run.folder), run.created, since, what)
    found = made.get(key)
    if found is None:
        found = made[key] = make()
        while len(made) > SHARED:
            made.pop(next(iter(made)), None)
    return found


@st.cache_resource(show_spinner=False)
def _shared() -> dict[Hashable, Any]:
    return {}


@st.cache_resource(show_spinner=False)
def _ended() -> dict[tuple[str, float], tuple[int, History]]:
    return {}


def watchers(run: Run) -> int:
    """How many tabs of this server watch the run; the one that asks is one of them for the next seconds."""
    now, watching = time.monotonic(), _watching()
    tab = st.session_state.setdefault("kept.tab", uuid4().hex)
    watching[run.id, run.created, tab] = now
    for key, seen in list(watching.items()):
        if now - seen > WATCHED:
            watching.pop(key, None)
    return sum(key[:2] == (run.id, run.created) for key in list(watching))


@st.cache_resource(show_spinner=False)
def _watching() -> dict[tuple[str, float, str], float]:
    return {}


def recipe_from_address() -> Recipe | None:
    """The recipe that the address carries, or None. Raises RecipeError for one that cannot be read."""
    text = st.query_params.get("recipe")
    return Recipe.from_text(text) if text else None


def recipe_to_address(recipe: Recipe) -> None:
    """Writes the recipe into the address of this page, in place of a run that says it."""
    text = recipe.to_text()
    if st.query_params.get("recipe") != text:
        said = {name: value for name, value in st.query_params.to_dict().items() if name != "run"}
        st.query_params.from_dict({**said, "recipe": text})


def address(page_key: str, **params: str) -> str:
    """The full link to a page with these parameters, as someone else can open it."""
    page = page_of(page_key)
    here = urlsplit(st.context.url or "http://localhost:8501/")
    base = here.path.rsplit("/", 1)[0]
    path = "" if as_streamlit(page).url_path == "" else page.url_path
    query = f"?{urlencode(params)}" if params else ""
    return f"{here.scheme}://{here.netloc}{base}/{path}{query}"


def go(page_key: str, *, run: str | None = None, recipe: Recipe | None = None) -> NoReturn:
    """Opens a page; ends this script run. With a run or a recipe, the page opens on it."""
    params: dict[str, str | Sequence[str]] = {}
    if run is not None:
        keep("run", run)
        params["run"] = run
    if recipe is not None:
        params["recipe"] = recipe.to_text()
    st.switch_page(as_streamlit(page_of(page_key)), query_params=params)


def kept(name: str, default: Any = None) -> Any:
    """A small thing that this tab keeps over reruns and page switches."""
    return st.session_state.get(f"kept.{name}", default)


def keep(name: str, value: Any) -> None:
    """Keeps it."""
    st.session_state[f"kept.{name}"] = value


def widget(key: str, default: Any = None) -> Any:
    """The present value of the widget of that key."""
    return st.session_state.get(key, default)


def set_widget(key: str, value: Any) -> None:
    """Sets a widget's value; before the widget is drawn in this script run, or in a callback."""
    st.session_state[key] = value


def key_of(path: str) -> str:
    """The key of the control that sets this path: the path itself, numbered anew each time `renew_controls` met it.

    Controls take their value from the recipe and are never written to: a value set from here reaches the browser with
    one script run only, and if the next run overtakes it, the control shows its lowest value and sends that back.
    """
    times = sum(count for prefix, count in kept("renewed", {}).items() if path.startswith(prefix))
    return f"{path}~{times}" if times else path


def renew_controls(prefix: str) -> None:
    """All controls whose path begins so are drawn as new ones from now on, with the recipe's values."""
    renewed = dict(kept("renewed", {}))
    renewed[prefix] = renewed.get(prefix, 0) + 1
    keep("renewed", renewed)


def dark() -> bool:
    """Whether the page is dark at the moment."""
    return getattr(st.context.theme, "type", "light") == "dark"
