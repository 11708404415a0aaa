"""What to keep of each execution: where it ran, what was said, everything that is cheap to have."""
import hashlib
import platform
import re
import subprocess

import numpy as np
import pytest
from gang import WORKERS, in_workers
from subject import dataset, git, sql

from xetrackd import Reader, Tracker


def get_environment_metadata():
    """Cheap now, valuable later."""
    def ask(*args):
        return subprocess.check_output(["git", *args]).decode().strip()
    return {
        "code_commit": ask("rev-parse", "--short", "HEAD"),
        "git_branch": ask("branch", "--show-current"),
        "data_version": ask("log", "-n", "1", "--pretty=format:%h", "--", "data.dvc"),
        "python_version": platform.python_version(),
        "os": platform.system(),
        "hostname": platform.node(),
        "model_version": "m-0613",
        "gpu_name": None,
        "num_gpus": 0,
    }


def with_environment(worker):
    tracker = Tracker(db="benchmark.db", params=get_environment_metadata())
    for item in dataset(5):
        tracker.log({"worker": worker, "x": item["x"]})
    return tracker.track_id


def environment_is_in(runs):
    df = Reader("benchmark.db").to_df()
    assert len(df) == 5 * runs
    assert set(df["code_commit"]) == {git("rev-parse", "--short", "HEAD")} and set(df["git_branch"]) == {"main"}
    assert set(df["data_version"]) == {git("log", "-n", "1", "--pretty=format:%h", "--", "data.dvc")}
    assert set(df["python_version"]) == {platform.python_version()} and set(df["num_gpus"]) == {0}
    assert df["gpu_name"].isna().all()


def test_environment(repo):
    with_environment(0)
    environment_is_in(1)


def test_environment_in_workers(repo):
    assert len(set(in_workers(with_environment))) == WORKERS
    environment_is_in(WORKERS)


def segmented(worker, domain="medical"):
    """Dimensions that one may want to slice by later, as parameters, and as results."""
    tracker = Tracker(db="benchmark.db", params={"model": "m-4", "temperature": 0.7, "domain": domain, "input_length_bucket": "500-1000"})
    return tracker.log({"accuracy": 0.85, "latency_ms": 1234, "cost_usd": 0.002, "confidence": 0.92, "error": None})


def test_segmentations_in_workers(here):
    rows = in_workers(segmented)
    assert len({(r["track_id"], r["timestamp"]) for r in rows}) == WORKERS
    assert sql("benchmark.db", "SELECT model, temperature, domain, accuracy, latency_ms, cost_usd, error, count(*) FROM events "
                               "GROUP BY 1, 2, 3, 4, 5, 6, 7") == [("m-4", 0.7, "medical", 0.85, 1234, 0.002, None, WORKERS)]


def test_segmentations(here):
    row = segmented(0)
    assert row["domain"] == "medical" and row["accuracy"] == 0.85
    assert sql("benchmark.db", "SELECT avg(accuracy) FROM events WHERE model = 'm-4' AND domain = 'medical' AND "
                                  "input_length_bucket = '500-1000' AND error IS NULL") == [(0.85,)]
    Tracker(db="benchmark.db", params={"model": "m-4", "domain": "legal"}).log({"accuracy": 0.5})
    assert Reader("benchmark.db").to_df().groupby("domain")["accuracy"].mean().to_dict() == {"legal": 0.5, "medical": 0.85}


# ---- raw responses: three ways to read them, long after they came

ANSWERS = ["42", "The answer is 42.", "I think it might be 41, no: 42", "I cannot answer that", "", "  42\n", "answer=7", "answer: 42 (sure)"]


def answers(worker):
    """Nothing is parsed here."""
    def evaluate(number, text):
        return {"raw_response": text, "raw_probabilities": [0.1, 0.7, 0.2], "input_text": f"question {number}",
                "input_length": len(f"question {number}"), "output_length": len(text), "latency_ms": 10.5 + number,
                "tokens_used": len(text.split()), "model_version": "1", "error": None, "error_type": None, "retry_count": 0,
                "ground_truth": "42"}
    tracker = Tracker("benchmark.db", table="predictions")
    for number, text in enumerate(ANSWERS):
        tracker.track(evaluate, args=[number, text])


def first_number(text):
    found = re.search(r"\d+", text)
    return found.group() if found else None


def last_number(text):
    found = re.findall(r"\d+", text)
    return found[-1] if found else None


def parsers_agree(runs):
    results_df = Reader("benchmark.db", table="predictions").to_df()
    assert len(results_df) == runs * len(ANSWERS)
    assert sorted(results_df["raw_response"]) == sorted(ANSWERS * runs)
    results_df["answer_v1"] = results_df["raw_response"].apply(str.strip)
    results_df["answer_v2"] = results_df["raw_response"].apply(first_number)
    results_df["answer_v3"] = results_df["raw_response"].apply(last_number)
    assert [(results_df[f"answer_v{v}"] == results_df["ground_truth"]).mean() for v in (1, 2, 3)] == [2 / 8, 4 / 8, 5 / 8]
    assert results_df["raw_response"].str.contains("I cannot").sum() == runs
    assert results_df["raw_response"].str.contains("might|perhaps").sum() == runs
    assert (results_df["output_length"] == results_df["raw_response"].str.len()).all()
    assert results_df["latency_ms"].mean() == 14.0 and set(results_df["raw_probabilities"]) == {"[0.1,0.7,0.2]"}


def test_raw_responses(here):
    answers(0)
    parsers_agree(1)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_raw_responses_in_workers(here, method):
    in_workers(answers, method=method)
    parsers_agree(WORKERS)


# ---- what to keep of which kind of benchmark


def results_by_kind():
    vector = np.linspace(-1, 1, 768)
    return {
        "language": {"raw_response": "yes", "raw_logprobs": [-0.1, -2.5], "finish_reason": "stop", "prompt": "Is it?",
                     "completion_tokens": 234, "prompt_tokens": 156, "total_tokens": 390, "system_prompt": "Be brief."},
        "classes": {"raw_probabilities": [0.1, 0.7, 0.2], "predicted_class": 1, "predicted_prob": 0.7,
                    "logits": [-2.3, 0.8, -1.6], "ground_truth_class": 1},
        "embedding": {"raw_embedding": vector, "embedding_norm": np.linalg.norm(vector),
                      "embedding_hash": hashlib.sha256(vector.tobytes()).hexdigest()},
        "regression": {"predicted_value": 42.3, "prediction_std": 2.1, "ground_truth_value": 40.0,
                       "raw_features": {"rooms": 3, "area": 71.5}},
    }


def all_kinds(worker):
    for kind, result in results_by_kind().items():
        Tracker(db="benchmark.db", table=kind).track(lambda: result)


def kinds_are_in(runs):
    import json
    kinds = results_by_kind()
    for kind in kinds:
        assert sql("benchmark.db", f"SELECT count(*), count(DISTINCT track_id), count(error) FROM {kind}") == [(runs, runs, 0)]
    assert sql("benchmark.db", "SELECT DISTINCT total_tokens, json_extract(raw_logprobs, '$[1]') FROM language") == [(390, -2.5)]
    assert sql("benchmark.db", "SELECT DISTINCT json_extract(logits, '$[0]'), predicted_class FROM classes") == [(-2.3, 1)]
    assert sql("benchmark.db", "SELECT DISTINCT json_extract(raw_features, '$.area'), predicted_value FROM regression") == [
        (71.5, 42.3)]
    for text, norm in sql("benchmark.db", "SELECT raw_embedding, embedding_norm FROM embedding"):
        assert np.array_equal(np.array(json.loads(text)), kinds["embedding"]["raw_embedding"])
        assert norm == pytest.approx(np.linalg.norm(np.array(json.loads(text))))


def test_kinds(here):
    all_kinds(0)
    kinds_are_in(1)


def test_kinds_in_workers(here):
    in_workers(all_kinds)
    kinds_are_in(WORKERS)
