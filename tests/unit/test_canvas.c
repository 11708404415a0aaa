/* The canvas: dots where they belong, and what is printed of them. */
#include "unit.h"

#include <math.h>

#include "canvas.h"

/* All lines of a canvas. */
static void assert_shows(const struct canvas *c, const struct canvas_style *style, const char *want)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	for (size_t row = 0; row < c->rows; row++) {
		canvas_put(c, f, row, style);
		fputc('\n', f);
	}
	assert_int_equal(fclose(f), 0);
	assert_string_equal(text, want);
	free(text);
}

static void corners(void **state)
{
	const struct canvas_style braille = {.n = 1};
	struct canvas c;

	(void)state;
	assert_int_equal(canvas_init(&c, 3, 2), 0);
	canvas_dot(&c, 0, 0, 0);
	canvas_dot(&c, 1, 1, 0);
	assert_shows(&c, &braille, "  ⠈\n⡀\n");
	canvas_dot(&c, 0, 1, 0);
	canvas_dot(&c, 1, 0, 0);
	assert_shows(&c, &braille, "⠁ ⠈\n⡀ ⢀\n");
	canvas_done(&c);
}

static void all_dots_of_a_character(void **state)
{
	const struct canvas_style braille = {.n = 1};
	struct canvas c;

	(void)state;
	assert_int_equal(canvas_init(&c, 1, 1), 0);
	for (int x = 0; x < 2; x++)
		for (int y = 0; y < 4; y++)
			canvas_dot(&c, x, y / 3.0, 0);
	assert_int_equal(c.dots[0], 0xff);
	assert_shows(&c, &braille, "⣿\n");
	canvas_done(&c);
}

static void outside(void **state)
{
	const struct canvas_style braille = {.n = 1};
	struct canvas c;

	(void)state;
	assert_int_equal(canvas_init(&c, 2, 1), 0);
	canvas_dot(&c, -0.1, 0, 0);
	canvas_dot(&c, 0, 1.1, 0);
	canvas_dot(&c, NAN, 0, 0);
	canvas_dot(&c, 0, INFINITY, 0);
	canvas_line(&c, 0, 0, NAN, 1, 0);
	assert_shows(&c, &braille, "\n");
	canvas_dot(&c, -1e-12, 1 + 1e-12, 0); /* a hair, as rounding leaves it */
	assert_shows(&c, &braille, "⠁\n");
	canvas_done(&c);
}

static void lines(void **state)
{
	const struct canvas_style braille = {.n = 1};
	struct canvas c;

	(void)state;
	assert_int_equal(canvas_init(&c, 4, 2), 0);
	canvas_line(&c, 0, 0, 1, 1, 0);
	assert_shows(&c, &braille, "  ⡠⠊\n⡠⠊\n");
	canvas_line(&c, 1, 0, 1, 0, 0);
	assert_shows(&c, &braille, "  ⡠⠊\n⡠⠊ ⢀\n");
	canvas_done(&c);
}

/* Without colours each series has its mark, with them its colour, which ends with the line. */
static void series(void **state)
{
	const struct canvas_style marks = {.marks = (const char *const[]){"o", "x"}, .n = 2};
	const struct canvas_style colours = {.colours = (const char *const[]){"<a>", "<b>"}, .n = 2};
	struct canvas c;

	(void)state;
	assert_int_equal(canvas_init(&c, 4, 1), 0);
	canvas_dot(&c, 0, 0, 0);
	canvas_dot(&c, 0.4, 0, 1);
	canvas_dot(&c, 0.7, 0, 3);
	assert_shows(&c, &marks, "oxx\n");
	assert_shows(&c, &colours, "<a>⡀<b>⢀⢀\033[0m\n");
	canvas_done(&c);
	canvas_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(corners), cmocka_unit_test(all_dots_of_a_character),
		cmocka_unit_test(outside), cmocka_unit_test(lines),
		cmocka_unit_test(series),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
