"""`python -m kdcore`: what it prints and the exit code that it ends with."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kdcore.commands import main
from kdcore.events import Failed, Stopped
from kdcore.progress import Progress, duration, table
from kdcore.recipe import Recipe
from kdcore.runs import Run, Shelf
from kdcore.scribe import write
from kdcore.slots import Slots
from tests import story

QUICK = {
    "data": {"is": "digits", "train_size": 200},
    "student": {"is": "mlp", "width": 8},
    "teacher": {"is": "plain", "width": 4, "stage_count": 2},
    "methods": [{"is": "kd"}],
    "training": {"epochs": 2, "teacher_epochs": 1, "batch": 32},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A shelf with one real, tiny, finished run."""
    root = tmp_path_factory.mktemp("shelf")
    from kdcore.engine import run as source

    run, _ = Shelf(root).create(Recipe.from_json(QUICK))
    end = write(run, source, slots=Slots(root / "slots", "cpu", 2))
    assert run.state() == "finished", end
    return root, run.id


@pytest.fixture
def told(tmp_path: Path) -> Run:
    run, _ = Shelf(tmp_path).create(story.recipe())
    for event in story.source(run.recipe):
        run.append(event)
    return run


def test_run_trains_prints_the_table_and_puts_it_on_the_shelf(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(QUICK)))
    before = signal.getsignal(signal.SIGTERM)
    try:
        code = main(["run", "-", "--root", str(tmp_path), "--set", "student.width=6", "--set", "seed=3"])
    finally:
        signal.signal(signal.SIGTERM, before)
    out, err = capsys.readouterr()
    assert code == 0
    assert "student over baseline" in out
    assert "test pictures" in out
    assert all(role in out for role in ("teacher", "student", "baseline"))
    assert "3/3 The student learns from the teacher" in err
    assert "pictures/s" in err
    assert "\r" not in err  # plain lines where it is no terminal
    (run,) = [one for one in Shelf(tmp_path).runs() if not one.recorded]
    assert run.state() == "finished"
    assert run.recipe.student.settings["width"] == 6
    assert run.recipe.seed == 3


@pytest.mark.parametrize(
    ("text", "changes", "said"),
    [
        ("{", [], "not JSON"),
        ('{"version": 9}', [], "newer KD Lab"),
        ("{}", ["student.width=wide"], "student.width: width='wide' is not a whole number"),
        ("{}", ["student=blobz"], "'blobz' is no network"),
        ("{}", ["seed"], "PATH=VALUE"),
        ("{}", ["training.epochs=0"], "epochs=0 lies outside"),
        ("{}", ["nowhere.at.all=1"], "nowhere.at.all"),
    ],
)
def test_a_recipe_that_cannot_be_run_ends_with_two_and_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, changes: list[str], said: str
) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(text)
    flags = [word for change in changes for word in ("--set", change)]
    assert main(["run", str(path), "--root", str(tmp_path / "runs"), *flags]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_wrong_usage_ends_with_two() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["list", "pigeons"])
    assert ended.value.code == 2
    assert main(["run", "/no/such/recipe.json"]) == 2


def test_help_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert "4  the run was stopped" in out
    assert "scribe" not in out.split("exit codes")[0].split("positional")[-1]


@pytest.mark.parametrize(("end", "code"), [(Failed(1.0, "the reason"), 3), (Stopped(1.0), 4)])
def test_a_run_that_another_process_writes_is_followed_to_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], end: Failed | Stopped, code: int
) -> None:
    import threading

    from kdcore.processes import this_process

    run, _ = Shelf(tmp_path / "runs").create(Recipe.from_json(QUICK))
    run.begin(this_process("work"))
    run.append(story.started(run.recipe))
    (tmp_path / "recipe.json").write_text(json.dumps(QUICK))
    threading.Timer(0.3, lambda: run.append(end)).start()
    assert main(["run", str(tmp_path / "recipe.json"), "--root", str(tmp_path / "runs")]) == code
    assert "already" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="signals differ on Windows")
def test_ctrl_c_ends_with_four_and_the_run_says_stopped(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text(json.dumps({**QUICK, "training": {"epochs": 1000, "snapshot_every": 0}}))
    running = subprocess.Popen(
        [sys.executable, "-m", "kdcore", "run", "recipe.json", "--root", "runs"],
        cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # as in a terminal, also where tests are not
    )  # fmt: skip
    try:
        assert running.stderr is not None
        for line in running.stderr:
            if "epochs" in line:
                break
        time.sleep(0.3)
        running.send_signal(signal.SIGINT)
        rest = running.stderr.read()
        assert running.wait(20) == 4
    finally:
        running.kill()
        running.communicate()
    assert "Stopped" in rest
    (run,) = [one for one in Shelf(tmp_path / "runs").runs() if not one.recorded]
    assert run.state() == "stopped"


def test_list_gives_key_title_and_first_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, key in (("methods", "kd"), ("networks", "plain"), ("datasets", "digits"), ("schemes", "offline")):
        assert main(["list", folder, "--root", str(tmp_path)]) == 0
        lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
        assert lines[key].rstrip().endswith(".")


def test_runs_and_show_tell_what_is_there(told: Run, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(told.folder.parent)
    assert main(["runs", "--root", root]) == 0
    line = capsys.readouterr().out.splitlines()[0]
    assert told.id in line
    assert "finished" in line
    assert "90.00%" in line
    assert main(["show", told.id[:6], "--root", root]) == 0
    assert "+10.00 points ± 7.0" in capsys.readouterr().out
    assert main(["show", told.id, "--json", "--root", root]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["state"], found["recipe"]) == ("finished", told.recipe.to_json())
    (told.folder / "recipe.json").write_text("{")
    assert main(["show", told.id, "--root", root]) == 0
    assert main(["runs", "--root", root]) == 0
    assert "not JSON" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["show", "0123456789abcdef"], ["show", "../.."], ["export", "0" * 16, "--to", "x"]])
def test_nothing_found_ends_with_five(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main([*words, "--root", str(tmp_path)]) == 5
    assert capsys.readouterr().err


def test_export_writes_what_load_student_rebuilds(
    trained: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    from kdcore.export import load_student
    from kdcore.revive import revive

    root, id = trained
    out = tmp_path / "out"
    assert main(["export", id, "--to", str(out), "--root", str(root)]) == 0
    student = load_student(out)
    run = Shelf(root).run(id)
    revived = revive(run, run.history().snapshots[-1].name)
    test = revived.data.test
    with torch.no_grad():
        expected = revived.networks["student"](test.images)
    assert torch.allclose(student.logits(revived.data.pixels(test.images)), expected, atol=1e-4)
    accuracy = (expected.argmax(dim=1) == test.truth).double().mean().item()
    assert accuracy == pytest.approx(run.history().results["student"]["test_accuracy"], abs=1e-6)
    assert student.class_names == tuple("0123456789")
    assert main(["export", id, "--to", str(out), "--root", str(root)]) == 2
    assert "already" in capsys.readouterr().err
    assert main(["export", id, "--to", str(out), "--root", str(root), "--force"]) == 0


def test_a_student_whose_two_files_disagree_is_refused_with_the_class_counts(
    trained: tuple[Path, str], tmp_path: Path
) -> None:
    from kdcore.export import ExportError, load_student, save_student

    root, id = trained
    save_student(Shelf(root).run(id), tmp_path)
    card = json.loads((tmp_path / "student.json").read_text())

    def with_card(**changes: object) -> None:
        (tmp_path / "student.json").write_text(json.dumps({**card, **changes}))

    with_card(classes=7, class_names=list("abcdefg"))
    with pytest.raises(ExportError, match=r"is for 10 classes .* says 7"):
        load_student(tmp_path)
    with_card(class_names=["a"])
    with pytest.raises(ExportError, match="says 10 classes and names 1"):
        load_student(tmp_path)
    with_card(network={"is": "mlp", "width": 9})
    with pytest.raises(ExportError, match="has shape"):
        load_student(tmp_path)
    with_card(network={"is": "os"})
    with pytest.raises(ExportError, match="'os' is no network"):
        load_student(tmp_path)
    for bad in ({"shape": "x"}, {"classes": 1e9}, {"mean": [1, 2]}, {"format": "other"}, {"version": 2}):
        with_card(**bad)
        with pytest.raises(ExportError):
            load_student(tmp_path)
    with_card()
    (tmp_path / "student.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(ExportError, match="cannot be read"):
        load_student(tmp_path)


def test_on_a_terminal_the_progress_is_one_moving_line() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    progress = Progress(stream)
    for event in story.source(story.recipe()):
        progress(event)
    drawn = stream.getvalue()
    assert "1/1 The student learns: 1 epochs, 3 steps" in drawn
    assert "\r  [" in drawn
    assert "100%" in drawn
    assert "10 pictures/s" in drawn
    assert drawn.endswith("Finished in 1.0 s.\n")
    assert "student over baseline" in table(progress.history)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.0 s"), (9.97, "10 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")],
)
def test_durations_read_well(seconds: float, said: str) -> None:
    assert duration(seconds) == said
