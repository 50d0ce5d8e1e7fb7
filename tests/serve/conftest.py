"""Two small models that serve."""

import pytest

from tests.scoring.models import artifact_of, save, user_package


@pytest.fixture(scope="session")
def folders(points, tmp_path_factory):
    """Two models, the second of which answers otherwise."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    place = tmp_path_factory.mktemp("models")
    made = []
    for number, strength in enumerate((1.0, 0.01)):
        function = user_package(place / f"s{number}", name=f"servepkg{number}")
        artifact = artifact_of(points, function, strength=strength)
        made_of = function(points[["seen", "size"]])[artifact.columns]
        artifact.pipeline = HistGradientBoostingClassifier(
            max_iter=5, learning_rate=strength, random_state=0
        ).fit(made_of, points["late"])
        made.append(save(artifact, place / f"m{number}", points, package=f"servepkg{number}"))
    return made
