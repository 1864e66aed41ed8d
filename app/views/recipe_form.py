"""The form in which a recipe is written: knowledge, scheme, data, networks, budget, all made from the cards."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import state
from app.draft import PARTS, title_of, weight_of, with_method, without_method, without_setting
from app.starting import take_up, write
from app.views.equal_gradients import equal_gradients
from app.views.knobs import explain, knob, plain
from app.views.pair_picker import pairs
from app.views.scheme_form import own_losses, scheme_form
from app.words import FAMILIES, GROUPS, MATCHES, gloss
from kdcore.cards import Card, Catalog
from kdcore.check import Fault
from kdcore.preview import Preview
from kdcore.recipe import Recipe, Training

TABS = {
    "methods": "1 · Knowledge",
    "scheme": "2 · Scheme",
    "data": "3 · Data",
    "networks": "4 · Networks",
    "training": "5 · Budget",
    "text": "As text",
}


def tab_of(where: str) -> str:
    """The tab on which the setting of that path stands."""
    root = where.split(".")[0]
    return TABS.get({"teacher": "networks", "student": "networks", "seed": "training"}.get(root, root), TABS["text"])


def recipe_form(recipe: Recipe, catalog: Catalog, faults: list[Fault], layers: Preview | None) -> Recipe:
    """Draws the form and gives back what was made of the recipe. `layers`: a plan of the same networks, if known."""
    knowledge, scheme, data, networks, budget, text = st.tabs(list(TABS.values()), key="form")
    with knowledge:
        recipe = _methods(recipe, catalog, faults, layers)
    with scheme:
        recipe = scheme_form(recipe, catalog, faults, layers, knobs=_knobs)
    with data:
        recipe = _entry(recipe, "data", "Data set", catalog, faults, columns=2)
    with networks:
        left, right = st.columns(2, gap="medium")
        with left:
            recipe = _entry(recipe, "teacher", "Teacher", catalog, faults, help=gloss("teacher"))
        with right:
            recipe = _entry(recipe, "student", "Student", catalog, faults, help=gloss("student"))
    with budget:
        recipe = _budget(recipe, faults)
    with text:
        recipe = _text(recipe)
    return recipe


def _changed(recipe: Recipe, path: str, before: Any, after: Any) -> Recipe:
    return recipe if after is before or after == before else recipe.with_setting(path, after)


def _entry(
    recipe: Recipe, part: str, label: str, catalog: Catalog, faults: list[Fault], *, help: str = "", columns: int = 1
) -> Recipe:
    """One pick out of a folder, what it is, and its knobs."""
    cards = catalog.folders[PARTS[part]]
    present = getattr(recipe, part).key
    shown = present if present in cards else next(iter(cards))
    chosen = st.selectbox(
        label, list(cards), list(cards).index(shown), key=state.key_of(part),
        format_func=lambda key: cards[key].title, help=help or None,
    )  # fmt: skip
    if chosen != shown:
        recipe = recipe.with_setting(part, chosen)
        state.renew_controls(f"{part}.")
    elif present not in cards:
        explain(faults, part)
        return recipe
    else:
        explain(faults, part)
    card = cards[getattr(recipe, part).key]
    st.caption(card.summary, help=card.why or None)
    where = card.facts.get("where")
    if where:
        st.caption(f":material/folder_open: {where}")
    return _knobs(recipe, part, card, getattr(recipe, part).settings, faults, columns=columns)


def _knobs(
    recipe: Recipe, path: str, card: Card, settings: dict[str, Any], faults: list[Fault], *, columns: int = 1
) -> Recipe:
    """A card's knobs, and those settings that it has no knob for."""
    places = st.columns(columns, gap="medium") if columns > 1 and card.knobs else [st.container()]
    for number, (name, entry) in enumerate(card.knobs.items()):
        with places[number % len(places)]:
            before = settings.get(name, entry.default)
            recipe = _changed(recipe, f"{path}.{name}", before, knob(entry, f"{path}.{name}", before, faults))
    for name in settings:
        if name not in card.knobs:
            explain(faults, f"{path}.{name}")
            if st.button(f"Leave out {plain(name)[:60]}", key=f"drop.{path}.{name[:60]}"):
                return without_setting(recipe, f"{path}.{name}")
    return recipe


def _methods(recipe: Recipe, catalog: Catalog, faults: list[Fault], layers: Preview | None) -> Recipe:
    """The weighted methods, each with its knobs and layers, and one more from any family."""
    cards = catalog.folders["methods"]
    own = own_losses(recipe, catalog)
    if own:
        st.info(own, icon=":material/function:")
    st.caption("The loss is the weighted sum of these methods, averaged over the pictures.")
    explain(faults, "methods")
    for number, part in enumerate(recipe.methods):
        path = f"methods.{number}"
        with st.container(border=True, key=f"box.{path}"):
            named, weighed, out = st.columns([5, 3, 1], vertical_alignment="bottom")
            title = title_of(catalog, "methods", part.method.key)
            card = cards.get(part.method.key)
            with named:
                st.markdown(f"**{plain(title)}**", help=f"{card.summary}\n\n{card.why}" if card else None)
                if card:
                    st.caption(FAMILIES.get(card.facts["family"], (card.facts["family"], ""))[0])
            with out:
                st.button(
                    ":material/delete:", key=f"{path}.remove", help=f"Take {title} out of the sum",
                    on_click=_take_out, args=(recipe, number), type="tertiary",
                )  # fmt: skip
            explain(faults, path)
            if card is None:
                continue
            with weighed:
                before = weight_of(part, catalog)
                after = st.number_input(
                    "Weight", 0.0, 1e7, before, key=state.key_of(f"{path}.weight"), format="%g",
                    step=max(0.1, float(card.facts["weight"]) / 10),
                    help=f"Factor of this method in the sum; {card.facts['weight']:g} is sane here. 0 only watches it.",
                )  # fmt: skip
                recipe = _changed(recipe, f"{path}.weight", before, after)
            explain(faults, f"{path}.weight")
            recipe = _knobs(recipe, path, card, part.method.settings, faults, columns=min(2, max(1, len(card.knobs))))
            if card.facts["matches"] != "nothing" or part.pairs is not None:
                recipe = pairs(recipe, number, card, faults, layers)
    equal_gradients(recipe, catalog, faults)
    _one_more(recipe, catalog)
    return recipe


def _one_more(recipe: Recipe, catalog: Catalog) -> None:
    cards = catalog.folders["methods"]
    there = list(dict.fromkeys(card.facts["family"] for card in cards.values()))
    known = {**{key: (name, what) for key, (name, what, _) in GROUPS.items()}, **FAMILIES}
    families = [family for family in FAMILIES if family in there] + [
        family for family in there if family not in FAMILIES
    ]
    groups = [group for group, (_, _, keys) in GROUPS.items() if any(key in cards for key in keys)]
    family = st.segmented_control(
        "Add knowledge of the type", [*families, *groups], key="add.family",
        format_func=lambda key: known.get(key, (key, ""))[0],
        help="  \n".join(f"**{known[key][0]}**: {known[key][1]}" for key in [*families, *groups] if key in known),
        default="response" if "response" in families else families[0], required=True,
    )  # fmt: skip
    keys = [
        key for key, card in cards.items()
        if (key in GROUPS[family][2] if family in GROUPS else card.facts["family"] == family)
    ]  # fmt: skip
    pick, add = st.columns([3, 1], vertical_alignment="bottom")
    key = pick.selectbox("Method", keys, key="add.method", format_func=lambda key: cards[key].title)
    if key:
        add.button("Add", key="add", icon=":material/add:", on_click=_put_in, args=(recipe, key), width="stretch")
        st.caption(f"{cards[key].summary} Matches {MATCHES[cards[key].facts['matches']]}.")


def _put_in(recipe: Recipe, key: str) -> None:
    write(with_method(recipe, key))


def _take_out(recipe: Recipe, number: int) -> None:
    write(without_method(recipe, number))
    state.renew_controls("methods.")


def _budget(recipe: Recipe, faults: list[Fault]) -> Recipe:
    left, right = st.columns(2, gap="medium")
    for number, (name, entry) in enumerate(Training.knobs.items()):
        with left if number % 2 == 0 else right:
            before = recipe.training.get(name, entry.default)
            recipe = _changed(recipe, f"training.{name}", before, knob(entry, f"training.{name}", before, faults))
    with left:
        seed = st.number_input(
            "Seed", 0, 2**31 - 1, recipe.seed, key=state.key_of("seed"), step=1,
            help="Where chance starts: split, noise, first weights, order. Another seed shows how much was luck.",
        )  # fmt: skip
    return _changed(recipe, "seed", recipe.seed, seed)


def _text(recipe: Recipe) -> Recipe:
    """The recipe as JSON: to keep, to send, to bring in."""
    import json

    st.download_button(
        "Download this recipe", json.dumps(recipe.to_json(), indent=2), f"recipe-{recipe.id}.json", "application/json",
        key="recipe.download", icon=":material/download:", on_click="ignore",
    )  # fmt: skip
    st.code(f"python -m kdcore run recipe-{recipe.id}.json", language="bash")
    with st.form("recipe.bring", border=False):
        st.text_area(
            "Bring in a recipe",
            key="recipe.text",
            height=160,
            max_chars=20_000,
            placeholder='{"version": 1, "data": {"is": "digits"}, …}',
        )
        st.file_uploader("or a file", type="json", key="recipe.file", max_upload_size=1)
        st.form_submit_button("Use this recipe", on_click=_bring_in)
    problem = state.kept("recipe.problem", "")
    if problem:
        st.error(plain(problem), icon=":material/error:")
    with st.expander("The whole recipe as it stands"):
        st.json(recipe.to_json())
    return recipe


def _bring_in() -> None:
    """Reads the pasted or uploaded recipe. Nothing starts."""
    from kdcore.recipe import LONGEST, RecipeError

    upload = state.widget("recipe.file")
    try:
        text = state.widget("recipe.text", "") or ""
        if upload is not None:
            text = upload.read(4 * LONGEST + 4).decode()
        take_up(Recipe.from_text(text))
    except RecipeError as error:
        state.keep("recipe.problem", str(error))
    except UnicodeDecodeError:
        state.keep("recipe.problem", "this file is not text; a recipe is a JSON file")
    else:
        state.keep("recipe.problem", "")


def elsewhere(faults: list[Fault], recipe: Recipe, catalog: Catalog) -> list[Fault]:
    """Faults about settings that no control stands for."""
    shown = {"methods", "seed"} | {f"training.{name}" for name in Training.knobs}
    for part, folder in PARTS.items():
        pick = getattr(recipe, part)
        shown |= {part} | {f"{part}.{name}" for name in pick.settings}
        if pick.key in catalog.folders[folder]:
            shown |= {f"{part}.{name}" for name in catalog.card(folder, pick.key).knobs}
    for number, part_of_sum in enumerate(recipe.methods):
        path = f"methods.{number}"
        shown |= {path, f"{path}.weight", f"{path}.pairs"} | {f"{path}.{name}" for name in part_of_sum.method.settings}
        if part_of_sum.method.key in catalog.folders["methods"]:
            shown |= {f"{path}.{name}" for name in catalog.card("methods", part_of_sum.method.key).knobs}
    return [fault for fault in faults if fault.where not in shown]
