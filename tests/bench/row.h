/* The benchmark's row: 12 columns, about 330 bytes as MessagePack, the same for all contestants. */
#ifndef XT_BENCH_ROW_H
#define XT_BENCH_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "xetrack.h"

struct bench_row {
	int64_t input_id, worker, epoch, tokens;
	const char *model, *dataset, *prediction, *ground_truth;
	double loss, accuracy, latency_ms;
	bool ok;
};

#define BENCH_COLUMNS 12
extern const char *const bench_columns[BENCH_COLUMNS];

/* Row i of a worker. */
struct bench_row bench_row_make(int worker, long i);

/* Its values in the order of bench_columns. */
void bench_row_values(const struct bench_row *r, xt_value ret[BENCH_COLUMNS]);

int row_log(xt_run *run, int worker, long i);
int row_log_batch(xt_run *run, int worker, long first, int n);

#endif
