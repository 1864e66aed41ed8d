"""Tournaments beside the runs: started in a process of their own, one at a time, stopped, gone on with."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from kdcore.recipe import Recipe
from kdcore.standings import Row, Standings
from kdcore.tournament_table import markdown
from kdcore.tournaments import SHIPPED, TournamentError, Tournaments

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


def standings(**changes: object) -> Standings:
    rows = [Row("alone", [0.5], [1.0], 1), Row("kd", [0.6], [1.0], 1)]
    return Standings("digits", Recipe(), 2, 60.0, {"code": "x"}, [0.9], rows, **changes)  # type: ignore[arg-type]


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Tournaments]:
    found = Tournaments(tmp_path, shipped=tmp_path / "none", command=SLEEPER)
    yield found
    found.stop()


def test_nothing_has_been_measured_at_first(board: Tournaments) -> None:
    assert board.own("digits") is None
    assert board.shipped("digits") is None
    assert board.state("digits") == "recorded"
    assert board.going() == ""
    board.stop()  # nothing goes on: nothing happens


def test_a_pair_that_is_not_there_is_refused(board: Tournaments) -> None:
    with pytest.raises(TournamentError, match="digits, fashion"):
        board.path("../../etc/passwd")


def test_it_runs_in_a_process_of_its_own_until_it_is_stopped(board: Tournaments) -> None:
    board.start("digits", seeds=2, limit=10.0)
    assert board.state("digits") == "running"
    assert Tournaments(board.root).going() == "digits"  # another app finds it
    with pytest.raises(TournamentError, match="one at a time"):
        board.start("fashion", seeds=2, limit=10.0)
    with pytest.raises(TournamentError, match="stop it first"):
        board.forget("digits")
    board.stop()
    assert board.going() == ""


def test_what_is_held_is_kept_after_every_change(board: Tournaments) -> None:
    seen: list[int] = []

    def play(now: Standings, keep: Callable[[Standings], None]) -> None:
        for row in now.rows:
            row.accuracy.append(0.7)
            row.seconds.append(1.0)
            keep(now)
            kept = board.own("digits")
            assert kept is not None
            seen.append(kept.steps()[0])
        assert board.going() == "digits"

    board.hold(standings(), play)
    assert seen == [3, 4]


def test_a_stopped_one_goes_on_and_another_begins_anew(board: Tournaments) -> None:
    def stop(now: Standings, keep: Callable[[Standings], None]) -> None:
        now.rows[0].accuracy.append(0.7)
        now.rows[0].seconds.append(1.0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        board.hold(standings(), stop)
    own = board.own("digits")
    assert own is not None
    assert own.rows[0].accuracy == [0.5, 0.7]
    begun: list[Standings] = []
    board.hold(standings(), lambda now, keep: begun.append(now))
    assert begun[0].rows[0].accuracy == [0.5, 0.7]
    other = standings()
    other.made["code"] = "newer"
    board.hold(other, lambda now, keep: begun.append(now))
    assert begun[1].rows[0].accuracy == [0.5]


def test_what_ends_it_is_written_down(board: Tournaments) -> None:
    def fall(now: Standings, keep: Callable[[Standings], None]) -> None:
        raise OSError("no pictures")

    with pytest.raises(OSError, match="no pictures"):
        board.hold(standings(), fall)
    own = board.own("digits")
    assert own is not None
    assert own.now == "It ended early: no pictures"
    assert not own.finished


def test_two_at_once_are_refused_over_processes(board: Tournaments) -> None:
    def again(now: Standings, keep: Callable[[Standings], None]) -> None:
        script = (
            "import sys; from pathlib import Path; from kdcore.tournaments import *; from tests.test_tournaments import"
            " standings\n"
            "try: Tournaments(Path(sys.argv[1])).hold(standings(), lambda now, keep: None)\n"
            "except TournamentError as error: print(error)"
        )
        told = subprocess.run(
            [sys.executable, "-c", script, str(board.root)], capture_output=True, text=True, timeout=120,
            cwd=Path(__file__).parent.parent,
        )  # fmt: skip
        assert "one at a time" in told.stdout, told.stderr

    board.hold(standings(), again)


def test_forgetting_takes_the_file_away(board: Tournaments) -> None:
    board.hold(standings(), lambda now, keep: None)
    board.forget("digits")
    assert board.own("digits") is None


def test_the_command_line_holds_one_that_a_term_signal_stops(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "kdcore", "tournament", "--root", str(tmp_path), "--seeds", "2", "--set",
         "training.epochs=1", "--set", "training.teacher_epochs=1"],
        cwd=Path(__file__).parent.parent, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    board = Tournaments(tmp_path)
    try:
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline and child.poll() is None:
            own = board.own("digits")
            if own is not None and own.steps()[0] >= 2:
                break
            time.sleep(0.2)
        assert board.going() == "digits"
        psutil.Process(child.pid).terminate()
        assert child.wait(60) == 4
    finally:
        child.kill()
    own = board.own("digits")
    assert own is not None
    assert 2 <= own.steps()[0] < own.steps()[1]
    assert board.state("digits") == "stopped"


def test_what_comes_with_the_lab_can_be_read() -> None:
    board = Tournaments(Path("nowhere"))
    for path in SHIPPED.glob("*.json"):
        found = board.shipped(path.stem)
        assert found is not None, path
        assert found.name == path.stem
        assert {"code", "torch", "python", "processor", "cores", "threads", "started"} <= set(found.made)
        assert found.row("kd").accuracy  # type: ignore[union-attr]


def test_the_docs_show_what_comes_with_the_lab() -> None:
    told = (SHIPPED.parent.parent / "kdcore" / "TOURNAMENT.md").read_text(encoding="utf-8")
    found = list(SHIPPED.glob("*.json"))
    assert found
    for path in found:
        assert markdown(Standings.read(path)).strip() in told, f"write the table of {path.name} into TOURNAMENT.md anew"
