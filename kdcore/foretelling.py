"""What a scheme can say of its cast before the run: with a teacher that another run has trained. Nothing is trained."""

from __future__ import annotations

from dataclasses import replace

from kdcore.foundation import Foundations, key_of, nothing
from kdcore.preview import Foretold
from kdcore.recipe import Recipe
from kdcore.stage import Losses, set_stage


def foretell(recipe: Recipe, laid: Foundations = nothing) -> Foretold:
    """What the recipe's scheme says of its cast; roles whose training `laid` knows stand as it left them.

    A scheme's first phases count, as long as only labels and settings decide them. Raises RecipeError, DataError.
    """
    stage = set_stage(recipe)
    if not stage.scheme.foretells:
        return Foretold()
    between, trained, waits = Losses(stage), set[str](), list[str]()
    for number, phase in enumerate(stage.scheme.phases(stage.cast, between)):
        key = key_of(stage, phase, number)
        if not key or recipe.parent is not None:  # a fork's networks are as its parent left them
            break
        learner, found = phase.turns[0].learner, laid(key)
        if found is None:
            waits.append(key)
        else:
            stage.cast[learner].load_state_dict(found.weights)
            trained.add(learner)
    return replace(stage.scheme.foretell(stage.cast, between, trained), waits=waits)
