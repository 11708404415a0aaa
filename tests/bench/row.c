#include "row.h"

const char *const bench_columns[BENCH_COLUMNS] = {"input_id", "worker",	  "epoch",	"tokens",
						  "model",    "dataset",  "prediction", "ground_truth",
						  "loss",     "accuracy", "latency_ms", "ok"};

struct bench_row bench_row_make(int worker, long i)
{
	return (struct bench_row){
		.input_id = i,
		.worker = worker,
		.epoch = i % 100,
		.tokens = 1000 + i % 4096,
		.model = "transformer-base-v2",
		.dataset = "wikitext-103-validation",
		.prediction = "the quick brown fox jumps over the lazy dog near the river",
		.ground_truth = "the quick brown fox jumped over the lazy dogs by the river",
		.loss = 1.0 / (double)(i + 1),
		.accuracy = 0.5 + (double)(i % 500) / 1000,
		.latency_ms = 12.5 + (double)(i % 37),
		.ok = i % 10 != 0,
	};
}

void bench_row_values(const struct bench_row *r, xt_value v[BENCH_COLUMNS])
{
	v[0] = xt_int(r->input_id);
	v[1] = xt_int(r->worker);
	v[2] = xt_int(r->epoch);
	v[3] = xt_int(r->tokens);
	v[4] = xt_text(r->model);
	v[5] = xt_text(r->dataset);
	v[6] = xt_text(r->prediction);
	v[7] = xt_text(r->ground_truth);
	v[8] = xt_real(r->loss);
	v[9] = xt_real(r->accuracy);
	v[10] = xt_real(r->latency_ms);
	v[11] = xt_bool(r->ok);
}

int row_log(xt_run *run, int worker, long i)
{
	struct bench_row r = bench_row_make(worker, i);

	return xt_log(run, XT("input_id", r.input_id), XT("worker", r.worker), XT("epoch", r.epoch),
		      XT("tokens", r.tokens), XT("model", r.model), XT("dataset", r.dataset),
		      XT("prediction", r.prediction), XT("ground_truth", r.ground_truth), XT("loss", r.loss),
		      XT("accuracy", r.accuracy), XT("latency_ms", r.latency_ms), XT("ok", r.ok));
}

int row_log_batch(xt_run *run, int worker, long first, int n)
{
	xt_value values[100 * BENCH_COLUMNS];

	for (int i = 0; i < n; i++) {
		struct bench_row r = bench_row_make(worker, first + i);
		bench_row_values(&r, values + i * BENCH_COLUMNS);
	}
	return xt_log_rows(run, bench_columns, BENCH_COLUMNS, values, (size_t)n);
}
