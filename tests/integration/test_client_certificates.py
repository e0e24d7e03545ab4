"""The Python client of a server behind TLS."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from patchmill.client.http import Client
from patchmill.errors import PatchmillError
from tests.support.receiver import Receiver

KEY = "pm_" + "a" * 8 + "_" + "b" * 32


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
def test_a_client_speaks_to_no_server_whose_certificate_nobody_vouches_for(
    scheme: str, tmp_path: Path
) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout {key} -out {certificate}"
    name = "-subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run(f"{make} {name}".split(), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    with (
        Receiver(tls=context) as receiver,
        Client(f"{scheme}://localhost:{receiver.port}", KEY, attempts=1) as client,
    ):
        with pytest.raises(PatchmillError, match="certificate"):
            client.job("job_" + "0" * 32)
        assert receiver.messages == []
