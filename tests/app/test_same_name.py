"""Same name, different loss: on an empty shelf, on really trained runs, and where its buttons lead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from app import state
from app.charts import forms as chart
from app.views.form_weight import reweighted
from kdcore.answers.forms import Forms
from kdcore.cards import Catalog
from kdcore.catalog import PROBES, catalog
from kdcore.conventions import FORMS
from kdcore.events import Snapshot
from kdcore.revive import revive
from kdcore.run import Run
from tests.app.asking import Answering, on_pictures, stills, words

RECIPES = {
    "logits": on_pictures(methods=[{"is": "ce"}, {"is": "logit_regression", "form": "half_sum", "weight": 0.02}])
}


@pytest.fixture(autouse=True)
def every_card(monkeypatch: pytest.MonkeyPatch) -> None:
    found = catalog()
    monkeypatch.setattr(state, "catalog", lambda: found)


@pytest.fixture
def trained(written: Callable[..., Run]) -> Run:
    return written()


def page() -> None:
    from app.screens import same_name

    same_name.show()


def look() -> None:
    from app.screens import look

    look.show()


def opened() -> AppTest:
    test = AppTest.from_function(page, default_timeout=60).run()
    assert not test.exception, test.exception
    return test


def chosen(test: AppTest, start: str) -> Any:
    (found,) = [box for box in test.selectbox if (box.key or "").startswith(start)]
    return found


def test_an_empty_shelf_shows_every_form_and_leads_to_begin(desk: Answering, gone: list) -> None:
    test = opened()
    assert [latex.value.strip("$\n ") for latex in test.latex] == [form.formula for form in FORMS["kd"]]
    assert "gradient ÷ C" in words(test)
    test.button(key="same.begin").click().run()
    assert gone == [("begin", {})]


@pytest.mark.parametrize("key", FORMS)
def test_every_method_is_drawn_on_a_finished_run(key: str, trained: Run) -> None:
    test = opened()
    test.selectbox(key="same.method").set_value(key).run()
    assert not test.exception
    (table,) = test.dataframe
    assert table.value["form"].tolist() == [form.name for form in FORMS[key]]
    assert len(stills(test)) == 1
    assert "times ours" in words(test)


def test_a_run_is_listed_with_its_id_first_which_no_list_cuts(trained: Run) -> None:
    for box in (
        chosen(opened(), "same.run."),
        chosen(AppTest.from_function(look, default_timeout=60).run(), "look.run."),
    ):
        (label,) = box.options
        assert label.startswith(f"{trained.id[:4]} · ce + logit")


def test_a_run_opens_with_a_method_that_it_used(trained: Run) -> None:
    assert opened().selectbox(key="same.method").value == "logit_regression"


def test_the_weight_is_rescaled_by_the_exact_factor_and_opens_begin(trained: Run, gone: list) -> None:
    test = opened()
    assert "0.02 of this form pulls as hard as **0.1 of ours**" in words(test), "times C/2 of ten classes"
    test.button(key="same.use").click().run()
    ((there, params),) = gone
    assert there == "begin"
    (part,) = [part for part in params["recipe"].methods if part.method.key == "logit_regression"]
    assert part.weight == pytest.approx(0.1)
    assert "form" not in part.method.settings, "our own form"
    assert test.session_state["kept.draft"] == params["recipe"]


def test_this_very_form_is_taken_with_its_knobs_and_weight(trained: Run, gone: list) -> None:
    test = opened()
    test.selectbox(key="same.method").set_value("at").run()
    test.number_input[0].set_value(300.0).run()
    test.button(key="same.very").click().run()
    part = gone[0][1]["recipe"].methods[-1]
    assert (part.method.key, part.method.settings, part.weight) == ("at", {"form": "paper"}, 300.0)


def test_another_weight_moves_the_result(trained: Run) -> None:
    test = opened()
    test.number_input[0].set_value(2.0).run()
    assert "2 of this form pulls as hard as **10 of ours**" in words(test)


def test_a_form_that_does_not_fit_is_left_out_with_its_reason(trained: Run) -> None:
    test = opened()
    test.selectbox(key="same.method").set_value("at").run()
    assert "needs equal channels" in words(test)
    assert "Without the mean over channels" not in chosen(test, "same.which.at").options


def test_a_run_without_a_taught_student_says_so_and_still_shows_the_formulas(written: Callable[..., Run]) -> None:
    written(said=lambda event: None if isinstance(event, Snapshot) else event)
    test = opened()
    assert "no snapshot of a student" in words(test)
    assert test.latex


def test_reweighted_adds_a_method_that_the_recipe_lacks() -> None:
    found = reweighted(RECIPES["logits"], "at", 5.0, {"form": "paper"}).methods[-1]
    assert (found.method.key, found.method.settings, found.weight) == ("at", {"form": "paper"}, 5.0)


def measured(trained: Run, key: str) -> Forms:
    snapshot = trained.history().snapshots[-1].name
    answer = PROBES["conventions"](method=key).ask(revive(trained, snapshot))
    assert isinstance(answer, Forms)
    return answer


def test_bars_are_ratios_on_a_logarithmic_axis_and_the_csv_has_every_form(trained: Run) -> None:
    answer = measured(trained, "kd")
    figure = chart.draw(answer, FORMS["kd"], dark=False)
    bars = {name: value for trace in figure.data for name, value in zip(trace.y, trace.x, strict=True)}
    assert len(bars) == 6
    assert bars[chart.wrapped("Without T²")] == pytest.approx(1 / 16, rel=1e-3)
    assert figure.layout.xaxis.type == "log"
    rows = list(chart.rows(answer))
    assert [row[0] for row in rows[1:]] == answer.names
    assert float(str(rows[3][5])) == pytest.approx(0.1)
    refused = list(chart.rows(measured(trained, "at")))[-1]
    assert refused[1:5] == ("", "", "", "")
    assert "channels" in str(refused[6])


def test_factors_have_three_digits() -> None:
    assert [chart.times(ratio) for ratio in (0.02238, 1.0, 19.47, 1039.4)] == ["0.0224", "1", "19.5", "1,040"]


def test_the_catalog_lists_the_probe() -> None:
    found: Catalog = catalog()
    assert found.card("probes", "conventions").facts["answers"] == "Forms"
