"""What lm-eval 0.4.13 says to items of local rows; what asks it and compares with it imports this."""

import os
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"

import lm_eval
import yaml
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

TASKS = Path(lm_eval.__file__).parent / "tasks"
FILES = {
    "hellaswag": "hellaswag/hellaswag.yaml", "piqa": "piqa/piqa.yaml", "winogrande": "winogrande/default.yaml",
    "arc_easy": "arc/arc_easy.yaml", "arc_challenge": "arc/arc_challenge.yaml", "gsm8k": "gsm8k/gsm8k.yaml",
    "lambada_openai": "lambada/lambada_openai.yaml", "wikitext": "wikitext/wikitext.yaml",
    "mmlu": "mmlu/default/_default_template_yaml",
}


def ask(lm: HFLM, task: str, files: dict[str, Path], *, shots=None, limit=None, own=None, description=None) -> dict:
    """What lm-eval finds for a task of its own, or of ours, on local rows."""
    with tempfile.TemporaryDirectory() as folder:
        include = {}
        if own is None:
            include = {"include": str(TASKS / FILES[task])}
        config = {**include, **(own or {}), "task": f"here_{task}", "dataset_path": "json", "dataset_name": None,
                  "dataset_kwargs": {"data_files": {split: str(path.resolve()) for split, path in files.items()}}}
        for key in ("training_split", "validation_split", "test_split", "fewshot_split"):
            if own is None:
                split = {"training_split": "train", "validation_split": "validation", "test_split": "test"}.get(key)
                if split is not None and split not in files:
                    config[key] = None
        if description:
            config["description"] = description
        Path(folder, "here.yaml").write_text(yaml.safe_dump(config))
        manager = TaskManager(include_path=folder, include_defaults=False)
        found = lm_eval.simple_evaluate(model=lm, tasks=[f"here_{task}"], num_fewshot=shots, limit=limit,
                                        task_manager=manager, log_samples=True, bootstrap_iters=0)
    samples = sorted(found["samples"][f"here_{task}"], key=lambda sample: (sample["filter"], sample["doc_id"]))
    by_item: dict[int, dict] = {}
    for sample in samples:
        item = by_item.setdefault(sample["doc_id"], {})
        answers = [response[0] for response in sample["resps"]]
        if isinstance(answers[0], str):
            item["text"] = answers[0]
            item.setdefault("taken", {})[sample["filter"]] = [sample["filtered_resps"][0], sample["exact_match"]]
            continue
        pairs = [answer if isinstance(answer, (tuple, list)) else (answer, False) for answer in answers]
        item["logLikelihoods"] = [round(float(value), 6) for value, _ in pairs]
        if sample["arguments"] and len(pairs) and isinstance(answers[0], (tuple, list)):
            item["greedy"] = [bool(greedy) for _, greedy in pairs]
        item["scores"] = {name: value for name, value in sample.items()
                          if name in ("acc", "acc_norm", "acc_bytes", "exact_match") and isinstance(value, (int, float))}
    results = {name: value for name, value in found["results"][f"here_{task}"].items()
               if isinstance(value, (int, float)) and name != "alias"}
    return {"items": [by_item[at] for at in sorted(by_item)], "results": results}


def compared(own: list[dict], golden: list[dict], relative: float = 0.0) -> tuple[float, int]:
    """How far log-likelihoods are apart at most, less so much of their size, and how many answers differ."""
    furthest, wrong = 0.0, 0
    for item, wanted in zip(own, golden, strict=True):
        for ours, theirs in zip(item.get("logLikelihoods", []), wanted.get("logLikelihoods", []), strict=True):
            furthest = max(furthest, abs(ours - theirs) - relative * abs(theirs))
        for metric, value in wanted.get("scores", {}).items():
            wrong += metric in item["shares"] and item["shares"][metric]["sum"] != value
        for taken, (_, value) in wanted.get("taken", {}).items():
            wrong += item["shares"][f"exact_match,{taken.replace('-', '_')}"]["sum"] != value
        wrong += "text" in wanted and wanted["text"] != item["text"]
    return furthest, wrong
