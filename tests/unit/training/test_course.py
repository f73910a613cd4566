import math
import time
from types import SimpleNamespace

import pytest

from invarion.training.course import Course, learning_factor
from invarion.training.options import TrainOptions


def course_of(options: TrainOptions, started: float | None = None) -> tuple[Course, SimpleNamespace]:
    best = SimpleNamespace(since=0)
    return Course(options, 10, best, time.monotonic() if started is None else started), best


def trainer_at(step: int) -> SimpleNamespace:
    optimizer = SimpleNamespace(param_groups=[{"lr": 0.0}, {"lr": 0.0}])
    return SimpleNamespace(
        global_step=step,
        current_epoch=step // 10,
        optimizers=[optimizer],
        should_stop=False,
        check_val_every_n_epoch=5,
        strategy=SimpleNamespace(broadcast=lambda value: value),
    )


def test_warmup_rises_linearly_and_cosine_falls_to_the_final_factor():
    options = TrainOptions(warmup=0.2, final_factor=0.05)
    assert learning_factor(options, 0.1) == pytest.approx(0.5)
    assert learning_factor(options, 0.2) == pytest.approx(1.0)
    assert learning_factor(options, 0.6) == pytest.approx(0.05 + 0.95 * 0.5)
    assert learning_factor(options, 1.0) == pytest.approx(0.05)
    falling = [learning_factor(options, p / 100) for p in range(20, 101)]
    assert falling == sorted(falling, reverse=True)


def test_plateau_never_falls_below_the_final_factor():
    options = TrainOptions(schedule="plateau", warmup=0.0, final_factor=0.1)
    assert [learning_factor(options, 0.5, factor) for factor in (1.0, 0.5, 0.01)] == [1.0, 0.5, 0.1]


def test_steps_alone_decide_where_there_is_no_limit_of_time():
    options = TrainOptions(max_epochs=4, learning_rate=0.1, warmup=0.0, final_factor=0.0)
    course, _ = course_of(options, started=-1e9)
    trainer = trainer_at(19)
    course.on_train_batch_start(trainer, None, None, 0)
    assert course.progress == 0.5
    assert [group["lr"] for group in trainer.optimizers[0].param_groups] == pytest.approx([0.05, 0.05])
    assert not trainer.should_stop


def test_time_drives_the_schedule_where_it_runs_out_first():
    options = TrainOptions(max_epochs=10**6, max_minutes=1.0, warmup=0.0, final_factor=0.0, learning_rate=1.0)
    course, _ = course_of(options, started=time.monotonic() - 45.0)
    trainer = trainer_at(0)
    course.on_train_batch_start(trainer, None, None, 0)
    assert course.progress == pytest.approx(0.75, abs=0.01)
    assert course.learning_rate == pytest.approx(0.5 * (1 + math.cos(0.75 * math.pi)), abs=0.02)


def test_time_that_is_up_ends_the_run_after_this_step_with_a_validation():
    course, _ = course_of(TrainOptions(max_minutes=0.5), started=time.monotonic() - 31.0)
    trainer = trainer_at(3)
    course.on_train_batch_start(trainer, None, None, 0)
    assert trainer.should_stop
    assert course.stopped_by == "max_minutes"
    assert trainer.check_val_every_n_epoch == 1
    assert course.progress == 1.0


def test_processes_go_by_the_clock_of_the_first():
    course, _ = course_of(TrainOptions(max_minutes=0.5))
    trainer = trainer_at(3)
    trainer.strategy.broadcast = lambda _: 1.0
    course.on_train_batch_start(trainer, None, None, 0)
    assert course.stopped_by == "max_minutes"


def test_no_epoch_begins_that_could_only_be_validated():
    course, _ = course_of(TrainOptions(max_minutes=0.5), started=time.monotonic() - 29.0)
    trainer = trainer_at(3)
    course.on_validation_start(trainer, None)
    course.on_validation_end(trainer, None)
    assert not trainer.should_stop
    course.on_validation_start(trainer, None)
    course._validation_began -= 2.0  # seconds that it took
    course.on_validation_end(trainer, None)
    assert trainer.should_stop
    assert course.stopped_by == "max_minutes"


def test_a_plateau_lowers_the_learning_rate_after_its_patience():
    options = TrainOptions(schedule="plateau", plateau_patience=2, plateau_factor=0.5, warmup=0.0, learning_rate=1.0)
    course, best = course_of(options)
    rates = []
    for since in (0, 1, 2, 3, 4, 5, 0, 1):
        best.since = since
        course.on_validation_end(trainer_at(0), None)
        course.on_train_batch_start(trainer_at(0), None, None, 0)
        rates.append(course.learning_rate)
    assert rates == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25]


def test_early_stopping_waits_for_its_patience():
    course, best = course_of(TrainOptions(early_stopping=3))
    stops = []
    for best.since in (0, 1, 2, 3):
        trainer = trainer_at(0)
        course.on_validation_end(trainer, None)
        stops.append(trainer.should_stop)
    assert stops == [False, False, False, True]
    assert course.stopped_by == "early_stopping"


def test_state_goes_over():
    options = TrainOptions(schedule="plateau", plateau_patience=1, max_epochs=4)
    course, best = course_of(options, started=time.monotonic() - 100.0)
    best.since = 1
    course.on_validation_end(trainer_at(0), None)
    other, _ = course_of(options)
    other.load_state_dict(course.state_dict())
    assert other.elapsed == pytest.approx(100.0, abs=1.0)
    assert {**other.state_dict(), "elapsed": 0} == {**course.state_dict(), "elapsed": 0}


def test_the_last_epoch_is_validated():
    course, _ = course_of(TrainOptions(max_epochs=4, valid_every=3))
    intervals = []
    for epoch in range(4):
        trainer = trainer_at(10 * epoch)
        course.on_train_epoch_start(trainer, None)
        intervals.append(trainer.check_val_every_n_epoch)
    assert intervals == [3, 3, 3, 1]
