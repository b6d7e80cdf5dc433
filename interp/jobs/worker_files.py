"""Files that the workers of a Dask cluster get; needs the package `distributed`."""

from __future__ import annotations

from pathlib import Path

from distributed import Worker, WorkerPlugin

FOLDER = "icl-interp-files"


class WorkerFile(WorkerPlugin):
    """Writes a file into every worker's own folder, also on workers that start later."""

    def __init__(self, file: str, content: bytes) -> None:
        self.name = f"{FOLDER}/{file}"
        self.file, self.content = file, content

    def setup(self, worker: Worker) -> None:
        """Called by a worker; a file that is there already is of the same name, so the same."""
        path = Path(worker.local_directory) / FOLDER / self.file
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.content)
