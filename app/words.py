"""The field's words, each explained in a sentence: shown on hover where a word first stands. No Streamlit."""

from __future__ import annotations

WORDS: dict[str, str] = {
    "distillation": "Training a small network (the student) to imitate a larger or better one (the teacher).",
    "teacher": "The network that knows: larger, or trained on more. The student learns from its answers.",
    "student": "The small network that learns, from the teacher and usually from the labels too.",
    "student alone": "The same student, same start and budget, but without a teacher: the fair comparison.",
    "dark knowledge": "What a teacher's small probabilities tell: this seven looks a little like a one.",
    "logit": "A network's raw score for a class, before the softmax turns the scores into probabilities.",
    "temperature": "Divides the logits before the softmax: above 1 the small probabilities become visible.",
    "soft labels": "The teacher's probabilities for all classes, in place of one right answer.",
    "hint layer": "A teacher's layer whose features the student is to reproduce.",
    "guided layer": "The student's layer that is led towards the hint layer.",
    "connector": "A small learned layer that makes the student's features comparable with the teacher's shape.",
    "scheme": "Who teaches whom, and when: a frozen teacher, two that learn together, one that teaches itself.",
    "multiply-accumulates": "Multiplications with an addition that the network needs for one picture: its work.",
    "parameters": "The numbers that a network learns.",
    "epoch": "One pass over all training pictures.",
    "validation": "Pictures held out of training to measure progress. The test pictures are used once, at the end.",
    "points": "Percentage points: 90 % is three points more than 87 %.",
}

FAMILIES: dict[str, tuple[str, str]] = {
    "labels": ("Labels", "Learns from the labels alone; no teacher is asked."),
    "response": ("Response", "The student imitates the teacher's answers: its logits or probabilities."),
    "feature": ("Feature", "The student imitates what the teacher's inner layers show."),
    "relation": ("Relation", "The student imitates how the teacher relates pictures to one another."),
    "parameter": ("Parameter", "The student takes over the teacher's weights."),
    "gradient": ("Gradient", "The student imitates how the teacher's answer changes with the picture."),
}
"""Family of a method -> its name and what its knowledge is."""

GROUPS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "attention": (
        "Attention-based", "Where a network looks, or who is to learn from whom, is an attention map.",
        ("at", "at_grad", "semckd", "afd_attn", "afd_channel", "cankd", "lwm"),
    ),
    "graph": (
        "Graph-based", "Pictures are the vertices of a graph, their likeness its edges; the graph is passed on.",
        ("rkd", "irg", "hkd", "cc", "sp", "pkt"),
    ),
}  # fmt: skip
"""Methods of several families that surveys name together: name, what they share, their keys."""

KINDS: dict[str, tuple[str, str]] = {
    "offline": ("Offline", "A teacher is trained first, frozen, and then teaches."),
    "online": ("Online", "Networks learn together and teach one another meanwhile; no finished teacher is needed."),
    "self": ("Self", "A network is its own teacher: its deeper part, its past, or another view of the picture."),
    "multi-teacher": ("Multi-teacher", "Several teachers speak; the scheme says how much each counts."),
    "capacity gap": ("Capacity gap", "For a student that is much smaller than its teacher: steps in between."),
    "semi-supervised": ("Semi-supervised", "A teacher labels pictures that nobody has labelled."),
    "cross-modal": ("Cross-modal", "The teacher sees another kind of picture than the student."),
    "data-free": ("Data-free", "The student never sees a real picture; pictures are made from the teacher."),
    "adversarial": ("Adversarial", "A discriminator learns to tell student from teacher, the student to deceive it."),
    "quantised": ("Quantised", "The student computes with few bits."),
    "lifelong": ("Lifelong", "Classes come one task after another; the old network teaches the new one not to forget."),
    "robustness": ("Robustness and privacy", "Distillation against attacks, or to keep private data private."),
    "architecture search": ("Architecture search", "The teacher helps to choose the student's architecture."),
}
"""Kind of a scheme -> its name and what such schemes have in common, in the order of the picker."""

MATCHES: dict[str, str] = {
    "nothing": "no layers: it compares outputs",
    "one": "one student layer with one teacher layer",
    "each": "student and teacher layers, pair by pair",
    "all": "every chosen student layer with every chosen teacher layer",
}

READS: dict[str, str] = {
    "labels": "the labels",
    "logits": "the logits",
    "maps": "feature maps",
    "preacts": "feature maps before their activation",
    "embedding": "the embedding, which the classifier reads",
    "inputs": "slopes on the pictures",
    "classifier": "the classifier's weights",
    "parameters": "all learned weights",
    "second": "a second view of each picture",
}


def gloss(*words: str) -> str:
    """One help text that explains these words, for a widget's or a heading's `help`."""
    return "\n\n".join(f"**{word}**: {WORDS[word]}" for word in words)
