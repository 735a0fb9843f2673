"""All rules together keep quiet while healthy programs train on real data, for as long as trends need to show."""

import pytest
from healthy_trainings import Training, trainings

from lightning_tricks import Doctor


@pytest.mark.parametrize("training", trainings(), ids=lambda item: item.name)
def test_a_healthy_training_gets_no_warning(training: Training) -> None:
    doctor = Doctor()
    training.fit(doctor)
    assert doctor.report is not None
    assert doctor.report.ok, str(doctor.report)
