"""What stands in the deployment files: as far as it can be shown without a container engine."""

import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from patchmill.dev.surroundings import free_port
from patchmill.settings import Settings
from tests.support.requests import mutable_default
from tests.support.stack import ROOT, Stack, until

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OWN = ("migrate", "api", "worker")


def test_compose_describes_every_service_that_patchmill_needs() -> None:
    assert set(SERVICES) == {"postgres", "redis", *OWN}
    assert SERVICES["migrate"]["restart"] == "no"
    for name in ("api", "worker"):
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    for name in ("postgres", "redis", "api"):
        assert SERVICES[name]["healthcheck"]["test"], name


def test_compose_has_no_default_password() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    variables = re.findall(r"\$\{([^}]*)\}", text)
    secret = [name for name in variables if re.search("PASSWORD|KEY|SECRET", name)]
    assert secret
    assert all(variable.endswith(":?set it") for variable in secret), secret
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|KEY$|SECRET", name):
                assert value.startswith("${"), name


def test_compose_gives_workers_longer_to_stop_than_their_own_grace() -> None:
    grace = SERVICES["worker"]["stop_grace_period"]
    assert grace.endswith("s")
    assert int(grace.removesuffix("s")) > Settings.model_fields["stop_grace_s"].default


def test_compose_confines_our_own_processes() -> None:
    for name in OWN:
        service = SERVICES[name]
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_the_settings_in_compose_are_settings() -> None:
    known = {f"PATCHMILL_{name.upper()}" for name in Settings.model_fields}
    for name in OWN:
        assert set(SERVICES[name]["environment"]) <= known


def test_the_image_copies_what_exists_and_runs_as_nobody_special() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line]
    assert copied
    assert all((ROOT / name).exists() for names in copied for name in names)
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users
    assert users[-1] != "root"


def test_the_image_holds_compiled_modules_since_what_runs_in_it_cannot_write_them() -> None:
    _, *installs = (ROOT / "Dockerfile").read_text(encoding="utf-8").split("uv pip install")
    assert installs
    assert all("--compile-bytecode" in options.splitlines()[0] for options in installs)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as the image does."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_carries_every_file_of_the_packages(wheel: Path) -> None:
    packages = ("patchmill", "api", "worker", "migrations")
    git = shutil.which("git")
    assert git is not None
    tracked = subprocess.run(
        [git, "ls-files", *packages], cwd=ROOT, check=True, capture_output=True, encoding="utf-8"
    ).stdout.splitlines()
    with zipfile.ZipFile(wheel) as archive:
        assert set(tracked) <= set(archive.namelist())


def test_the_wheel_works_outside_of_the_checkout(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    command = [
        sys.executable,
        "-c",
        "import patchmill.cli.main as m, sys; print(m.__file__); sys.exit(m.run())",
    ]
    done = subprocess.run(
        [*command, "settings", "--json"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path / "site"))


@pytest.mark.slow
def test_the_procfile_runs_the_service_on_postgres_and_redis_that_are_there_already(stack: Stack) -> None:
    port = free_port()
    stack.api_url = f"http://127.0.0.1:{port}"
    with (stack.data_dir / "honcho.log").open("wb") as log:
        honcho = subprocess.Popen(
            [str(Path(sys.executable).parent / "honcho"), "start", "--no-prefix"],
            cwd=ROOT,
            env={
                **stack.environment(),
                "PATCHMILL_PORT": str(port),
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    stack.processes.append(honcho)
    until(lambda: _answers(stack.api_url), "the API answering")

    job = stack.run(mutable_default())
    honcho.send_signal(signal.SIGTERM)

    assert job["outcome"] == "verified"
    assert honcho.wait(timeout=60) in {0, -signal.SIGTERM, 128 + signal.SIGTERM}
    assert not _answers(stack.api_url)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2).is_success
    except httpx.HTTPError:
        return False
