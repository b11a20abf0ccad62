"""The manifests under deploy/: they parse, and what they start is what this version has."""

from __future__ import annotations

from pathlib import Path

import yaml

from ppernie.config import load_config


def test_the_kubernetes_job_resumes(repository: Path) -> None:
    manifest = repository / "deploy" / "kubernetes" / "train.yaml"
    service, job = yaml.safe_load_all(manifest.read_text(encoding="utf-8"))
    pod = job["spec"]["template"]["spec"]
    assert (service["kind"], job["kind"], pod["restartPolicy"]) == ("Service", "Job", "OnFailure")
    words = pod["containers"][0]["args"][0].split()
    assert words[words.index("--resume") + 1] == "auto"
    assert int(words[words.index("--nnodes") + 1]) == job["spec"]["completions"] == job["spec"]["parallelism"]
    config = load_config(repository / words[words.index("-c") + 1], words[words.index("-o") + 1 :])
    assert config.Distributed.mp == 4
    assert words[words.index("--master") + 1].startswith(f"{job['metadata']['name']}-0.{pod['subdomain']}:")
