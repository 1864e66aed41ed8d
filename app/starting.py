"""The recipe of this tab: taken up, remembered, started, or found to have run to the end already. No drawing."""

from __future__ import annotations

from app import state
from kdcore.experiments import DEFAULT
from kdcore.recipe import Recipe
from kdcore.run import Run

ROOTS = ("data", "teacher", "student", "scheme", "methods.", "training.", "seed")
"""How the keys of the form's controls begin."""
KNOWN = 50


def draft() -> Recipe:
    """The recipe that is being written in this tab."""
    return state.kept("draft", DEFAULT.recipe)


def begun() -> bool:
    """Whether a recipe was written or taken up in this tab."""
    return bool(state.kept("recipe.known", ()))


def known(recipe: Recipe) -> bool:
    """Whether this tab wrote or took up this recipe before: then its address is no new link."""
    return recipe.to_text() in state.kept("recipe.known", ())


def write(recipe: Recipe) -> None:
    """Keeps what the form made of the recipe; what a link brought is the tab's own from then on."""
    state.keep("draft", recipe)
    state.keep("recipe.linked", False)
    if not known(recipe):
        state.keep("recipe.known", (*state.kept("recipe.known", ()), recipe.to_text())[-KNOWN:])


def take_up(recipe: Recipe, *, linked: bool = False) -> None:
    """Makes this the recipe on the page, from outside the form. `linked`: it came with an address."""
    write(recipe)
    state.keep("recipe.linked", linked)
    for root in ROOTS:
        state.renew_controls(root)


def hand_over(recipe: Recipe) -> None:
    """Opens Begin with this recipe of a run from within the app: in the form, which stands first there then."""
    take_up(recipe)
    state.keep("begin.form_first", True)
    state.go("begin", recipe=recipe)


def finished_run(recipe: Recipe) -> Run | None:
    """The run of exactly this recipe, by this version of the code, that went to its end; None without."""
    for run in state.shelf().runs():
        if run.id.split("-")[0] == recipe.id and run.state() == "finished":
            return run
    return None


def start(recipe: Recipe) -> str:
    """Hands the recipe to a worker; the run's id. An equal run that is there already is given back instead.

    Raises LaunchError with a sentence.
    """
    return state.desk().launch(recipe)
