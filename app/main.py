"""The app's entry: `streamlit run app/main.py`. Finds the pages and shows the one that the address names."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import streamlit as st  # noqa: E402

from app import live  # noqa: E402
from app.page import as_streamlit, pages  # noqa: E402


@st.cache_resource(show_spinner=False)
def _settle() -> None:
    """Once per server: moves what was imported out of the collector's sight, which makes each collection short."""
    import gc

    pages()
    gc.collect()
    gc.freeze()


st.set_page_config(page_title="KD Lab", page_icon=str(ROOT / "app" / "icon.svg"), layout="wide")
_settle()
st.html(Path(__file__).parent / "style.css")
live.warm_up()
st.navigation([as_streamlit(page) for page in pages()], position="top").run()
