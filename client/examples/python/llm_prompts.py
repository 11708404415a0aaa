"""Which prompt gets the most right answers, and what does it cost?

    python3 llm_prompts.py                # some seconds; again: nothing is asked, all answers come from the cache
    python3 llm_prompts.py --questions 50 --workers 8
    xtctl sql benchmark.db "SELECT error_type, count(*) FROM answers GROUP BY 1"

The language model is a stub on the loopback interface that this program starts itself: at times it refuses with 429 and
Retry-After, at times it does not answer in time, and what is too long for it is an error for good. Only the standard library is
needed. Two tables: `answers` has each answer whole, `prompts` what they come to. Nothing is parsed before the end, so that
another way to read the answers costs no question.
"""
import argparse
import json
import multiprocessing
import re
import threading
import time
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from serving import served

from xetrackd import Reader, Tracker

PRICES = {"stub-small": 0.2e-6, "stub-large": 3e-6}  # a token
PROMPTS = {"plain": "{question}", "polite": "Please answer: {question}", "brief": "Answer with the number only. {question}"}
TIMEOUT, ATTEMPTS = 0.3, 5


# ---- the stub

class Stub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: dict[bytes, int] = {}
    lock = threading.Lock()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.lock:
            attempt = self.seen[body] = self.seen.get(body, 0) + 1
        luck = zlib.crc32(body)
        if attempt == 1 and luck % 5 == 0:
            return self.answer(429, {"error": "too many requests"}, {"Retry-After": "0.05"})
        if attempt == 1 and luck % 17 == 1:
            time.sleep(2 * TIMEOUT)  # nobody waits for what follows
        asked = json.loads(body)
        if len(asked["prompt"]) > 100:
            return self.answer(400, {"error": "context_length_exceeded"})
        a, b = map(int, re.findall(r"\d+", asked["prompt"])[-2:])
        right = luck % 10 < {"stub-small": 6, "stub-large": 9}[asked["model"]]
        total = a + b if right else a - b
        text = str(total) if "only" in asked["prompt"] else f"{a} and {b} make {total}."
        self.answer(200, {"text": text, "usage": {"prompt_tokens": len(asked["prompt"].split()), "completion_tokens": len(text.split())},
                          "finish_reason": "stop"})

    def answer(self, status: int, content: dict, headers: dict | None = None) -> None:
        body = json.dumps(content).encode()
        try:
            self.send_response(status)
            for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            pass  # the client has gone

    def log_message(self, *_):
        pass


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


# ---- what is measured

@dataclass(frozen=True, slots=True)
class PromptParams:
    model: str
    prompt: str  # a name in PROMPTS
    temperature: float = 0.0


url = tracker = None  # of a worker: where it asks is no part of what it asks, and so no argument


def ask(question: str, params: PromptParams) -> dict:
    """One row of `answers`. What may be otherwise next time is raised, and so not cached; what will not is a result."""
    prompt = PROMPTS[params.prompt].format(question=question)
    data = json.dumps({"model": params.model, "prompt": prompt, "temperature": params.temperature}).encode()
    begun = time.monotonic()
    for attempt in range(1, ATTEMPTS + 1):
        wait = 0.05 * attempt
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data), timeout=TIMEOUT) as response:
                raw, error = response.read().decode(), None
            break
        except urllib.error.HTTPError as e:
            raw, error = e.read().decode(), e
            if e.code != 429:
                break
            wait = float(e.headers.get("Retry-After", wait))
        except (TimeoutError, urllib.error.URLError) as e:
            raw, error = None, e
        if attempt == ATTEMPTS:
            raise error
        time.sleep(wait)
    usage = json.loads(raw).get("usage", {})
    tokens = usage.get("prompt_tokens", 0) + usage.get("completion_tokens", 0)
    return {"question": question, "prompt": prompt, "raw_response": raw, "latency": time.monotonic() - begun, "attempts": attempt,
            "tokens": tokens, "cost": tokens * PRICES[params.model], "error": error and str(error),
            "error_type": error and json.loads(raw)["error"]}


def begin_worker(where: str, shared: Tracker) -> None:
    global url, tracker
    url, tracker = where, shared


def task(job: tuple) -> dict | None:
    return tracker.track(ask, args=list(job))


def answer_of(raw: str | None) -> int | None:
    """The last number of an answer: the parser, which can be changed after the answers came."""
    found = re.findall(r"-?\d+", json.loads(raw).get("text", "")) if raw else []
    return int(found[-1]) if found else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--db", default="benchmark.db")
    parser.add_argument("--questions", type=int, default=12)
    parser.add_argument("--workers", type=int, default=4)
    args = parser.parse_args()

    truth = {f"What is {i * 7 % 23} plus {i}?": i * 7 % 23 + i for i in range(args.questions)}
    truth[f"{'Well, ' * 20}what is 1 plus 1?"] = 2  # too long
    grid = [PromptParams(model, prompt) for model in PRICES for prompt in PROMPTS]

    with served(QuietServer, Stub) as (host, port):
        answers = Tracker(args.db, table="answers", cache=True, raise_on_error=False)
        with multiprocessing.Pool(args.workers, begin_worker, (f"http://{host}:{port}/", answers)) as pool:
            pool.map(task, [(question, params) for params in grid for question in truth], chunksize=1)
            pool.close()
            pool.join()

    prompts = Tracker(args.db, table="prompts")
    print("model       prompt  right   p50 ms  tokens  cost µ$  retries  errors")
    for params in grid:
        rows = Reader(args.db).rows("SELECT * FROM answers WHERE track_id = ? AND params_model = ? AND params_prompt = ?",
                                    [answers.track_id, params.model, params.prompt])
        good = [r for r in rows if r["error"] is None]
        row = prompts.log({"model": params.model, "prompt": params.prompt, "n": len(rows), "errors": len(rows) - len(good),
                           "accuracy": sum(answer_of(r["raw_response"]) == truth[r["question"]] for r in good) / len(rows),
                           "p50_latency": sorted(r["latency"] for r in good)[len(good) // 2], "tokens": sum(r["tokens"] for r in good),
                           "cost": sum(r["cost"] for r in good), "retries": sum(r["attempts"] - 1 for r in good)})
        print(f"{row['model']:11} {row['prompt']:7} {row['accuracy']:5.2f} {1e3 * row['p50_latency']:8.1f} {row['tokens']:7} "
              f"{1e6 * row['cost']:8.1f} {row['retries']:8} {row['errors']:7}")
    calls, computed = Reader(args.db).conn.execute("SELECT count(*), sum(cache = '') FROM answers WHERE track_id = ?",
                                                   [answers.track_id]).fetchone()
    print(f"{calls} calls: {computed} computed, {calls - computed} from the cache")


if __name__ == "__main__":
    main()
