/* The writer's two lanes: who may go first, and that nothing of one client overtakes itself. */
#include "unit.h"

#include "lane.h"

#define KIB 1024u

static struct op message(uint8_t client, enum method_id method, size_t bytes)
{
	struct op op = {.kind = OP_METHOD, .method = proto_method(method), .bytes = bytes};

	op.client.id[0] = client;
	return op;
}

static enum op_lane lane_of(struct lane_keeper *k, struct op *op, size_t queued)
{
	lane_choose(k, op, queued);
	return op->lane;
}

static void little_goes_first(void **state)
{
	struct lane_keeper k = {0};
	struct op small = message(1, METHOD_log, KIB), large = message(2, METHOD_log, KIB);

	(void)state;
	assert_int_equal(lane_of(&k, &small, KIB), LANE_PROMPT);
	assert_int_equal(lane_of(&k, &large, 65 * KIB), LANE_BULK);
}

static void a_client_does_not_overtake_itself(void **state)
{
	struct lane_keeper k = {0};
	struct op first = message(1, METHOD_log, KIB), second = message(1, METHOD_log, KIB),
		  gone = {.kind = OP_GONE}, hello = message(3, METHOD_hello, KIB);

	(void)state;
	assert_int_equal(lane_of(&k, &first, 65 * KIB), LANE_BULK);
	assert_int_equal(lane_of(&k, &second, KIB), LANE_BULK);
	lane_leave(&k, &first);
	lane_leave(&k, &second);
	assert_int_equal(lane_of(&k, &second, KIB), LANE_PROMPT);

	gone.client.id[0] = 3;
	assert_int_equal(lane_of(&k, &gone, 0), LANE_BULK);
	assert_int_equal(lane_of(&k, &hello, KIB), LANE_BULK); /* it has come again behind its end */
}

static void what_changes_others_keeps_its_place(void **state)
{
	static const enum method_id changes[] = {METHOD_set,  METHOD_delete_run, METHOD_run_finish,
						 METHOD_exec, METHOD_compact,	 METHOD_config};

	(void)state;
	for (size_t i = 0; i < COUNT(changes); i++) {
		struct lane_keeper k = {0};
		struct op op = message(1, changes[i], KIB);
		assert_int_equal(lane_of(&k, &op, KIB), LANE_BULK);
	}
}

static void all_prompt_ones_together_are_few(void **state)
{
	struct lane_keeper k = {0};
	struct op ops[9];

	(void)state;
	for (uint8_t i = 0; i < 9; i++) {
		ops[i] = message(i, METHOD_log, 32 * KIB);
		assert_int_equal(lane_of(&k, &ops[i], 32 * KIB), i < 8 ? LANE_PROMPT : LANE_BULK);
	}
	for (uint8_t i = 0; i < 9; i++)
		lane_leave(&k, &ops[i]);
	assert_int_equal(k.prompt_bytes, 0);
	assert_int_equal(lane_of(&k, &ops[8], 32 * KIB), LANE_PROMPT);
}

static void restored_in_order_before_the_others(void **state)
{
	struct op ops[6] = {{.lane = LANE_BULK},   {.lane = LANE_PROMPT}, {.lane = LANE_BULK},
			    {.lane = LANE_PROMPT}, {.lane = LANE_PROMPT}, {.lane = LANE_BULK}};
	struct op_list taken = {0};
	struct lanes l = {0};

	(void)state;
	for (int i = 0; i < 4; i++)
		op_push(&taken, &ops[i]);
	lanes_push(&l, &ops[4]);
	lanes_push(&l, &ops[5]);
	lanes_restore(&l, &taken);
	assert_int_equal(lanes_count(&l), 6);
	assert_ptr_equal(op_pop(&l.prompt), &ops[1]);
	assert_ptr_equal(op_pop(&l.prompt), &ops[3]);
	assert_ptr_equal(op_pop(&l.prompt), &ops[4]);
	assert_ptr_equal(op_pop(&l.bulk), &ops[0]);
	assert_ptr_equal(op_pop(&l.bulk), &ops[2]);
	assert_ptr_equal(op_pop(&l.bulk), &ops[5]);
	assert_true(lanes_empty(&l));
	assert_null(taken.first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(little_goes_first),
		cmocka_unit_test(a_client_does_not_overtake_itself),
		cmocka_unit_test(what_changes_others_keeps_its_place),
		cmocka_unit_test(all_prompt_ones_together_are_few),
		cmocka_unit_test(restored_in_order_before_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
