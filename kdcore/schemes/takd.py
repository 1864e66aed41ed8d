"""Teacher assistants: networks of middle size pass the knowledge on."""

from __future__ import annotations

from collections.abc import Iterator

from kdcore.scheme import Between, Phase, taught
from kdcore.sizes import EXAMPLE, Assisted
from kdcore.vocabulary import Paper


class TeacherAssistant(Assisted):
    """A network of middle size learns from the teacher first and then teaches the student.

    When the teacher is much larger, the student may follow a smaller step better (Mirzadeh et al., AAAI 2020,
    https://arxiv.org/abs/1902.03393). In a chain each assistant teaches the next, and its sizes are smaller than those
    above by the same factor; where teacher and student are of different kinds, assistants are narrower teachers. The
    direct way from the teacher to the student is trained beside it, because the detour must beat it.
    """

    title = "Capacity gap: teacher assistant"
    paper = Paper(
        "Mirzadeh, Farajtabar, Li, Levine, Matsukawa, Ghasemzadeh", 2020, "https://arxiv.org/abs/1902.03393",
        "Improved Knowledge Distillation via Teacher Assistant",
    )  # fmt: skip
    provenance = (
        "Paper and authors' code, whose learning rate never reaches its nominal value, whose distillation term is a "
        "mean over classes too, and which reports the best epoch on test; none of that here. Our decision: sizes by "
        "the geometric mean."
    )
    pitfalls = (
        "Every hop costs a training; the same epochs spent on the student itself are the fair comparison.",
        "Where the teacher is small enough to follow, the detour only loses some of what it knows.",
    )
    example = {**EXAMPLE, "scheme": {"is": "takd"}}

    def down(self, between: Between) -> Iterator[Phase]:
        above = "teacher"
        for name in (*self.middle(), "student"):
            yield from taught(name, f"The {name} learns from the {above}", name, above, between)
            above = name
