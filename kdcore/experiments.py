"""Ready-made first experiments: recipes in which distillation shows within seconds, and what to watch for. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from kdcore.recipe import Part, Pick, Recipe


@dataclass(frozen=True)
class Experiment:
    """One start that is ready to go."""

    key: str
    title: str
    watch: str
    """One sentence on what to watch for."""
    seconds: float
    """About how long it takes on one thread of a small CPU."""
    icon: str
    """A Material symbol, ":material/…:"."""
    recipe: Recipe


_TEACHER = Pick("plain", {"width": 32, "stage_count": 2})
_SOFT = Part(Pick("kd", {"temperature": 2.0}))

EXPERIMENTS: tuple[Experiment, ...] = (
    Experiment(
        "noisy-labels",
        "60 % wrong labels",
        "The student alone memorises the wrong labels and falls back; taught by the teacher's soft labels it keeps climbing, "
        "though the teacher saw the same wrong labels.",
        6.0,
        ":material/blur_on:",
        Recipe(),
    ),
    Experiment(
        "few-labels",
        "Ten labels per class",
        "The student gets a tenth of the labels; for all other digits it only hears what the teacher thinks, and that is enough.",
        6.0,
        ":material/content_cut:",
        Recipe(data=Pick("digits", {"labelled": 0.09}), teacher=_TEACHER, methods=(Part(Pick("ce")), _SOFT)),
    ),
    Experiment(
        "digit-never-seen",
        "The digit it never saw",
        "No three is ever shown to the student; after its bias is set right it knows most of them, from how the teacher "
        "rates other digits as a bit like a three.",
        6.0,
        ":material/visibility_off:",
        Recipe(data=Pick("digits", {"hidden_class": 3}), teacher=_TEACHER),
    ),
    Experiment(
        "two-moons",
        "Boundaries in the plane",
        "With six labels in a plane the student alone draws a straight cut; open Look inside and see the teacher's bent boundary "
        "appear in the student.",
        6.0,
        ":material/moving:",
        Recipe(
            data=Pick("toy2d", {"labelled": 0.02}),
            teacher=Pick("mlp", {}),
            methods=(Part(Pick("ce")), _SOFT),
        ),
    ),
)

DEFAULT = EXPERIMENTS[0]
"""What the big button starts."""
