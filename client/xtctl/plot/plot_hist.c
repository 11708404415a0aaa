/* Histograms: counted in the database, in two passes over the rows. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plot.h"
#include "sql.h"
#include "text.h"

#define MOST_GROUPS 12
#define LEAST_BINS  5
#define EIGHTHS	    8
#define VAST	    1e300

struct hist {
	struct plot *p;
	struct plot_range range;
	double low, high; /* of all bins; of a logarithmic axis the decimal logarithms */
	size_t bins;
	size_t bar;	 /* columns of one */
	int64_t *counts; /* owned: bins of each group */
	int64_t most;	 /* in one bin */
	size_t rows;	 /* of each group's picture */
	struct axis x, y;
	size_t left;
};

/* ---- bins ------------------------------------------------------------- */

static double round_step(const struct hist *h, double step)
{
	return h->p->time ? axis_time_step(step) : axis_round_step(step);
}

/* As many as Rice's rule has it, with round edges. */
static void choose_bins(struct hist *h, size_t columns)
{
	bool whole = h->range.x_whole;
	double low = h->range.x_min, high = h->range.x_max;
	double target = fmin(fmax(2 * cbrt((double)h->range.used), LEAST_BINS), (double)columns);
	double step = (high - low) / target;

	if (high - low <= fabs(high) * (h->p->time ? 0 : 1e-13) ||
	    high - low < 1 / VAST) { /* one value, as far as can be told */
		double room = whole || h->p->time || fabs(high) < 1 / VAST ? 0.5 : fabs(high) / 20;
		h->low = low - room;
		h->high = low + room;
		h->bins = 1;
		return;
	}
	if (high - low > VAST) { /* edges beyond could not be told any more */
		h->low = low;
		h->high = high;
		h->bins = (size_t)target;
		return;
	}
	step = whole && step <= 1 ? 1 : round_step(h, step);
	do {
		/* Edges lie between whole numbers: none of them is on one, and single ones are in the middle.
		 */
		h->low = floor(low / step + 1e-9) * step - (whole ? 0.5 : 0);
		h->high = whole ? (floor(high / step) + 1) * step - 0.5 : ceil(high / step - 1e-9) * step;
		h->bins = (size_t)lround((h->high - h->low) / step);
		step = round_step(h, step * 1.5);
	} while (h->bins > columns);
}

static int set_bins(struct hist *h, size_t columns)
{
	const struct plot_options *o = h->p->o;
	size_t asked = (size_t)o->bins;

	if (asked > columns)
		return ctl_usage(h->p->ctl, "%zu bins do not fit: there is room for %zu; --width gives more",
				 asked, columns);
	if (o->log_x) {
		struct axis a;
		axis_init(&a, h->range.x_min, h->range.x_max, 2, AXIS_LOG);
		h->low = a.low;
		h->high = a.high;
		h->bins = (size_t)fmin(fmax(2 * cbrt((double)h->range.used), LEAST_BINS), (double)columns);
	} else {
		choose_bins(h, columns);
		if (asked && h->range.x_max > h->range.x_min) {
			h->low = h->range.x_min;
			h->high = h->range.x_max;
		}
	}
	if (asked)
		h->bins = asked;
	h->bar = columns / h->bins;
	return CTL_OK;
}

/* ---- counting --------------------------------------------------------- */

static void read_counts(struct hist *h, const xt_value *list, int64_t *counts)
{
	const char *at = list->type == XT_T_TEXT && list->n > 0 ? list->as.text + 1 : NULL;

	for (size_t i = 0; i < h->bins && at; i++) {
		char *end;
		counts[i] = strtoll(at, &end, 10);
		h->most = counts[i] > h->most ? counts[i] : h->most;
		at = *end == ',' ? end + 1 : NULL;
	}
}

static char *counts_sql(const struct hist *h)
{
	const struct plot *p = h->p;
	const char *log = p->o->log_x ? "log10" : "";
	char bins[120], *usable = plot_usable(p, p->x, p->o->log_x), *sql = NULL;

	snprintf(bins, sizeof(bins), "%.17g, %.17g, %zu", h->low, h->high, h->bins);
	if (usable && p->by)
		sql = sql_format("SELECT histogram(%s(%s), %s), %n FROM %n WHERE %s AND %s GROUP BY 2", log,
				 p->x_sql, bins, p->by->name, p->rel.name, p->where, usable);
	else if (usable)
		sql = sql_format("SELECT histogram(%s(%s), %s) FROM %n WHERE %s AND %s", log, p->x_sql, bins,
				 p->rel.name, p->where, usable);
	free(usable);
	return sql;
}

static int count(struct hist *h)
{
	struct plot *p = h->p;
	xt_cursor *cursor = NULL;
	const xt_value *row;

	h->counts = calloc(p->n_groups * h->bins + 1, sizeof(*h->counts));
	if (!h->counts)
		return ctl_no_memory(p->ctl);
	char *sql = counts_sql(h);
	int status = plot_query(p, sql, &cursor);
	free(sql);
	while (status == CTL_OK && plot_next(p, cursor, &row, &status)) {
		size_t group = p->by ? plot_group_of(p, &row[1]) : 0;
		if (group < p->n_groups)
			read_counts(h, &row[0], h->counts + group * h->bins);
	}
	xt_cursor_close(cursor);
	return status;
}

/* ---- drawing ---------------------------------------------------------- */

/* How high a bar is, in eighths of a row. */
static size_t height_of(const struct hist *h, int64_t count)
{
	double at = count == 0 ? 0 : axis_at(&h->y, (double)count);
	size_t eighths = (size_t)lround(fmin(fmax(at, 0), 1) * (double)(h->rows * EIGHTHS));

	return count > 0 && eighths == 0 ? 1 : eighths; /* one of many is not none */
}

/* What a bar shows in a row: a block, or a mark that stands for one of at least half its height. */
static const char *block_of(const struct hist *h, int64_t count, size_t row)
{
	static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	const struct frame_style *s = &h->p->style;
	size_t below = (h->rows - 1 - row) * EIGHTHS, height = height_of(h, count);
	size_t part = height > below ? height - below : 0;

	if (s->utf8 && !h->p->o->pch)
		return blocks[part > EIGHTHS ? EIGHTHS : part];
	return part >= EIGHTHS / 2 || (part > 0 && below == 0) ? s->marks[0] : " ";
}

static void draw_group(const struct hist *h, const struct frame *f, size_t group)
{
	const struct frame_style *s = &h->p->style;
	const int64_t *counts = h->counts + group * h->bins;

	for (size_t row = 0; row < h->rows; row++) {
		size_t end = h->bins;
		frame_left(f, row);
		while (end > 0 && block_of(h, counts[end - 1], row)[0] == ' ')
			end--;
		fputs(end > 0 ? s->colours[group % FRAME_SERIES] : "", f->out);
		for (size_t i = 0; i < end; i++)
			frame_fill(f->out, block_of(h, counts[i], row), h->bar);
		fprintf(f->out, "%s\n", end > 0 ? s->plain : "");
	}
}

static void put_times(const struct hist *h)
{
	const struct plot_range *r = &h->range;
	const double times[] = {r->mean, r->median, r->x_min, r->x_max};
	char text[4][TIME_BYTES], count[COUNT_BYTES], std[REAL_BYTES];

	for (size_t i = 0; i < 4; i++)
		text_time(text[i], (int64_t)floor(times[i]) * 1000000);
	fprintf(h->p->ctl->out.file, "%s times: mean %s, std %s s, median %s, from %s to %s\n",
		text_count(count, (uint64_t)r->used), text[0], text_digits(std, r->std, 5), text[1], text[2],
		text[3]);
}

static void put_summary(const struct hist *h)
{
	const struct plot_range *r = &h->range;
	if (h->p->time) {
		put_times(h);
		return;
	}
	const double figures[] = {r->mean, r->std, r->median, r->x_min, r->x_max};
	char text[5][REAL_BYTES], count[COUNT_BYTES];

	for (size_t i = 0; i < 5; i++)
		text_digits(text[i], figures[i], 5);
	fprintf(h->p->ctl->out.file, "%s values: mean %s, std %s, median %s, from %s to %s\n",
		text_count(count, (uint64_t)r->used), text[0], text[1], text[2], text[3], text[4]);
}

static int draw(struct hist *h)
{
	struct plot *p = h->p;
	char *x_name = plot_x_name(p, &h->x);
	struct frame f = {.out = p->ctl->out.file,
			  .style = &p->style,
			  .x = &h->x,
			  .y = &h->y,
			  .x_name = x_name,
			  .columns = h->bins * h->bar,
			  .rows = h->rows,
			  .left = h->left,
			  .edges = true};
	char count[COUNT_BYTES];

	if (!x_name)
		return ctl_no_memory(p->ctl);
	for (size_t i = 0; i < p->n_groups; i++) {
		if (p->by) {
			frame_fill(f.out, " ", f.left + 2);
			fprintf(f.out, "%s: %s\n", p->groups[i].label,
				text_count(count, (uint64_t)p->groups[i].rows));
		}
		draw_group(h, &f, i);
	}
	frame_bottom(&f);
	if (p->o->summary)
		put_summary(h);
	free(x_name);
	return CTL_OK;
}

static void set_axes(struct hist *h)
{
	struct plot *p = h->p;
	size_t columns = h->bins * h->bar, across = frame_ticks_across(columns);

	if (p->o->log_x) {
		axis_init(&h->x, pow(10, h->low), pow(10, h->high), across, AXIS_LOG);
		h->x.low = h->low;
		h->x.high = h->high;
	} else {
		axis_init(&h->x, h->low, h->high, across,
			  p->time	     ? AXIS_TIME
			  : h->range.x_whole ? AXIS_WHOLE
					     : 0);
	}
}

/* Counts begin at 0; of logarithmic ones 1 is to be seen. */
static void set_y(struct hist *h)
{
	bool log = h->p->o->log_y;

	axis_init(&h->y, log ? 0.5 : 0, (double)h->most, frame_ticks_up(h->rows),
		  log ? AXIS_LOG : AXIS_WHOLE | (h->p->by ? 0u : AXIS_ROUND));
	h->left = frame_label_width(&h->y);
}

int plot_hist(struct plot *p)
{
	struct hist h = {.p = p};
	char *usable = NULL;

	int status = plot_take_time(p);
	if (status == CTL_OK && !(usable = plot_usable(p, p->x, p->o->log_x)))
		status = ctl_no_memory(p->ctl);
	if (status == CTL_OK)
		status = plot_range(p, &h.range);
	if (status == CTL_OK)
		status = plot_groups_read(p, usable, MOST_GROUPS);
	free(usable);
	if (status == CTL_OK) {
		h.rows = p->height / p->n_groups < 3 ? 3 : p->height / p->n_groups;
		/* The labels of counts are not known yet, but none is wider than that of all. */
		h.most = h.range.used;
		set_y(&h);
		size_t columns = p->width > h.left + 2 + 10 ? p->width - h.left - 2 : 10;
		h.most = 0;
		status = set_bins(&h, columns);
	}
	if (status == CTL_OK)
		status = count(&h);
	if (status == CTL_OK) {
		set_y(&h);
		set_axes(&h);
		status = draw(&h);
	}
	free(h.counts);
	return status;
}
