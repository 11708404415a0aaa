/* Who computes what: given, waited for, passed on, cut circles, the grace time. Pure data, no clock. */
#include "unit.h"

#include "lease.h"

/* What was answered last, and how often. */
struct world {
	struct leases *leases;
	bool there;	/* the cache has the result */
	uint64_t epoch; /* of this daemon; 0: none can be drawn */
	unsigned answers;
	uint64_t conn;
	enum lease_answer how;
	uint64_t token;
	const struct entry *entry;
};

static void on_answer(void *data, const struct lease_ask *ask, const uint8_t *key, enum lease_answer how,
		      uint64_t token, const struct entry *entry)
{
	struct world *w = data;

	(void)key;
	assert_int_equal(ask->msgid, (uint32_t)ask->conn + 100);
	w->answers++;
	w->conn = ask->conn;
	w->how = how;
	w->token = token;
	w->entry = entry;
}

static bool on_has(void *data, const uint8_t *key)
{
	(void)key;
	return ((struct world *)data)->there;
}

static uint64_t on_epoch(void *data)
{
	return ((struct world *)data)->epoch;
}

static const uint8_t K1[XT_CACHE_KEY] = {1}, K2[XT_CACHE_KEY] = {2}, K3[XT_CACHE_KEY] = {3};

static struct client_key client(uint8_t n)
{
	return (struct client_key){.uid = 7, .id = {n}};
}

static void init(struct world *w)
{
	struct leases_options o = {.answer = on_answer, .has = on_has, .epoch = on_epoch, .data = w};

	*w = (struct world){.epoch = 5};
	w->leases = leases_new(&o);
	assert_non_null(w->leases);
}

static void done(struct world *w)
{
	leases_free(w->leases);
}

/* Client n asks on connection n. 0 with the answer in w, or 1: it waits. */
static int ask(struct world *w, uint8_t n, const uint8_t *key, uint64_t within)
{
	struct lease_ask a = {
		.key = key, .client = client(n), .conn = n, .msgid = n + 100u, .until_ms = LEASE_NEVER};
	struct xt_err err;

	if (within)
		a.within[a.n_within++] = within;
	return lease_ask(w->leases, &a, 0, &w->how, &w->token, &err);
}

static uint64_t given(struct world *w, uint8_t n, const uint8_t *key)
{
	assert_int_equal(ask(w, n, key, 0), 0);
	assert_int_equal(w->how, LEASE_GIVEN);
	return w->token;
}

static void one_computes_and_the_others_wait(void **state)
{
	struct world w;
	struct entry e = {.token = 1};

	(void)state;
	init(&w);
	uint64_t token = given(&w, 1, K1);
	assert_int_equal(token >> 32, 5);
	assert_int_equal(ask(&w, 2, K1, 0), 1);
	assert_int_equal(ask(&w, 3, K1, 0), 1);
	assert_true(lease_finishing(w.leases, K1, token, 7));
	lease_finished(w.leases, K1, token, true, &e);
	assert_int_equal(w.answers, 2);
	assert_int_equal(w.how, LEASE_RESULT);
	assert_ptr_equal(w.entry, &e);
	assert_int_equal(leases_stats(w.leases, 0).leases, 0);
	done(&w);
}

static void tokens_grow_and_old_ones_are_lost(void **state)
{
	struct world w;

	(void)state;
	init(&w);
	uint64_t old = given(&w, 1, K1);
	assert_int_equal(ask(&w, 2, K1, 0), 1);
	struct client_key gone = client(1);
	lease_client_gone(w.leases, &gone);
	assert_int_equal(w.answers, 1);
	assert_int_equal(w.conn, 2);
	assert_int_equal(w.how, LEASE_GIVEN);
	assert_true(w.token > old);
	assert_false(lease_finishing(w.leases, K1, old, 7));
	assert_false(lease_abort(w.leases, K1, old, 7));
	assert_false(lease_finishing(w.leases, K1, w.token, 8)); /* another user's */
	assert_true(lease_finishing(w.leases, K1, w.token, 7));
	assert_int_equal(leases_stats(w.leases, 0).passed_on, 1);
	done(&w);
}

static void a_result_on_its_way_outlives_its_holder(void **state)
{
	struct world w;
	struct entry e = {0};
	struct client_key gone = client(1);

	(void)state;
	init(&w);
	uint64_t token = given(&w, 1, K1);
	assert_int_equal(ask(&w, 2, K1, 0), 1);
	assert_true(lease_finishing(w.leases, K1, token, 7));
	lease_client_gone(w.leases, &gone);
	assert_int_equal(w.answers, 0);
	lease_finished(w.leases, K1, token, true, &e);
	assert_int_equal(w.how, LEASE_RESULT);
	/* and one that was not applied passes on, for nobody sends it again */
	token = given(&w, 1, K2);
	assert_int_equal(ask(&w, 2, K2, 0), 1);
	assert_true(lease_finishing(w.leases, K2, token, 7));
	lease_client_gone(w.leases, &gone);
	lease_finished(w.leases, K2, token, false, NULL);
	assert_int_equal(w.how, LEASE_GIVEN);
	done(&w);
}

static void what_was_not_applied_is_still_held(void **state)
{
	struct world w;

	(void)state;
	init(&w);
	uint64_t token = given(&w, 1, K1);
	assert_true(lease_finishing(w.leases, K1, token, 7));
	lease_finished(w.leases, K1, token, false, NULL);
	assert_int_equal(ask(&w, 2, K1, 0), 1);
	assert_true(lease_finishing(w.leases, K1, token, 7)); /* sent again */
	done(&w);
}

static void passing_on_looks_whether_it_is_there_by_now(void **state)
{
	struct world w;

	(void)state;
	init(&w);
	uint64_t token = given(&w, 1, K1);
	assert_int_equal(ask(&w, 2, K1, 0), 1);
	w.there = true;
	assert_true(lease_abort(w.leases, K1, token, 7));
	assert_int_equal(w.how, LEASE_RESULT);
	assert_null(w.entry);
	assert_int_equal(leases_stats(w.leases, 0).leases, 0);
	done(&w);
}

static void circles_are_cut(void **state)
{
	struct world w;

	(void)state;
	init(&w);
	uint64_t t1 = given(&w, 1, K1), t2 = given(&w, 2, K2), t3 = given(&w, 3, K3);
	assert_int_equal(ask(&w, 1, K2, t1), 1);
	assert_int_equal(ask(&w, 2, K3, t2), 1);
	assert_int_equal(ask(&w, 3, K1, t3), 0);
	assert_int_equal(w.how, LEASE_CYCLE);
	assert_int_equal(ask(&w, 3, K3, t3), 0); /* with itself */
	assert_int_equal(w.how, LEASE_CYCLE);
	assert_int_equal(ask(&w, 3, K1, 0), 1); /* in another thread, which holds nothing */
	assert_int_equal(leases_stats(w.leases, 0).cycles, 2);
	done(&w);
}

static void waits_end_in_time(void **state)
{
	struct world w;
	struct lease_ask a = {.key = K1, .client = client(2), .conn = 2, .msgid = 102, .until_ms = 50};
	struct xt_err err;

	(void)state;
	init(&w);
	uint64_t token = given(&w, 1, K1);
	assert_int_equal(lease_ask(w.leases, &a, 50, &w.how, &w.token, &err), 0); /* no time to wait */
	assert_int_equal(w.how, LEASE_HELD);
	assert_int_equal(lease_ask(w.leases, &a, 10, &w.how, &w.token, &err), 1);
	assert_int_equal(leases_tick(w.leases, 49), 50);
	assert_int_equal(w.answers, 0);
	assert_int_equal(leases_tick(w.leases, 50), LEASE_NEVER);
	assert_int_equal(w.answers, 1);
	assert_int_equal(w.how, LEASE_HELD);
	assert_int_equal(ask(&w, 3, K1, 0), 1);
	assert_true(lease_cancel(w.leases, 3, 103));
	assert_false(lease_cancel(w.leases, 3, 103));
	assert_int_equal(w.answers, 2);
	assert_true(lease_abort(w.leases, K1, token, 7));
	assert_int_equal(leases_stats(w.leases, 0).leases + leases_stats(w.leases, 0).waiters, 0);
	done(&w);
}

static void holders_of_an_earlier_daemon_have_time_to_come(void **state)
{
	struct world w;
	struct client_key both[] = {client(1), client(2)};
	const uint64_t old = UINT64_C(4) << 32 | 9;

	(void)state;
	init(&w);
	assert_int_equal(leases_expect(w.leases, both, 2, 5000), 0);
	assert_int_equal(leases_stats(w.leases, 1000).grace_ms, 4000);
	assert_int_equal(ask(&w, 3, K1, 0), 1);
	assert_int_equal(ask(&w, 3, K2, 0), 1);
	lease_claim(w.leases, K1, old, &both[0], 0);
	lease_client_came(w.leases, &both[0]);
	assert_int_equal(w.answers, 0);
	lease_client_came(w.leases, &both[1]); /* holds nothing: all have come */
	assert_int_equal(w.answers, 1);
	assert_int_equal(w.how, LEASE_GIVEN); /* K2's */
	assert_true(lease_finishing(w.leases, K1, old, 7));
	done(&w);
}

static void the_grace_time_ends(void **state)
{
	struct world w;
	struct client_key lost = client(1);

	(void)state;
	init(&w);
	assert_int_equal(leases_expect(w.leases, &lost, 1, 5000), 0);
	assert_int_equal(ask(&w, 3, K1, 0), 1);
	assert_int_equal(leases_tick(w.leases, 4999), 5000);
	assert_int_equal(w.answers, 0);
	leases_tick(w.leases, 5000);
	assert_int_equal(w.how, LEASE_GIVEN);
	lease_claim(w.leases, K1, UINT64_C(4) << 32 | 9, &lost, 0); /* too late */
	assert_false(lease_finishing(w.leases, K1, UINT64_C(4) << 32 | 9, 7));
	lease_claim(w.leases, K2, 3, &lost, 4); /* somebody stored it under a newer lease */
	assert_false(lease_finishing(w.leases, K2, 3, 7));
	done(&w);
}

static void hello_names_all_that_is_held(void **state)
{
	struct world w;
	struct client_key k = client(1);

	(void)state;
	init(&w);
	uint64_t kept = given(&w, 1, K1);
	(void)given(&w, 1, K2); /* its answer was lost */
	assert_int_equal(ask(&w, 2, K2, 0), 1);
	lease_keep(w.leases, &k, &kept, 1);
	assert_int_equal(w.how, LEASE_GIVEN);
	assert_int_equal(w.conn, 2);
	assert_true(lease_finishing(w.leases, K1, kept, 7));
	done(&w);
}

static void who_wants_it_anew_is_not_answered_by_a_result(void **state)
{
	struct world w;
	struct entry e = {0};
	struct lease_ask a = {.key = K1,
			      .client = client(2),
			      .conn = 2,
			      .msgid = 102,
			      .until_ms = LEASE_NEVER,
			      .force = true};
	struct xt_err err;

	(void)state;
	init(&w);
	uint64_t token = given(&w, 1, K1);
	assert_int_equal(lease_ask(w.leases, &a, 0, &w.how, &w.token, &err), 1);
	assert_int_equal(ask(&w, 3, K1, 0), 1);
	w.there = true;
	assert_true(lease_finishing(w.leases, K1, token, 7));
	lease_finished(w.leases, K1, token, true, &e);
	assert_int_equal(w.answers, 2); /* the result for 3, then the lease for 2 */
	assert_int_equal(w.conn, 2);
	assert_int_equal(w.how, LEASE_GIVEN);
	done(&w);
}

static void nobody_waits_on_a_connection_that_has_gone(void **state)
{
	struct world w;

	(void)state;
	init(&w);
	uint64_t token = given(&w, 1, K1);
	assert_int_equal(ask(&w, 2, K1, 0), 1);
	lease_conn_gone(w.leases, 2);
	assert_true(lease_abort(w.leases, K1, token, 7));
	assert_int_equal(w.answers, 0);
	done(&w);
}

static void without_an_epoch_no_lease_is_given(void **state)
{
	struct world w;

	(void)state;
	init(&w);
	w.epoch = 0;
	assert_int_equal(ask(&w, 1, K1, 0), 0);
	assert_int_equal(w.how, LEASE_NONE);
	assert_int_equal(leases_stats(w.leases, 0).leases, 0);
	done(&w);
}

static void one_client_does_not_take_all_there_are(void **state)
{
	struct world w;
	struct xt_err err;
	struct lease_ask a = {.client = client(1), .conn = 1, .msgid = 101, .until_ms = LEASE_NEVER};
	uint8_t key[XT_CACHE_KEY] = {0};
	unsigned n = 0;
	int r;

	(void)state;
	init(&w);
	a.key = key;
	do {
		memcpy(key, &n, sizeof(n));
		r = lease_ask(w.leases, &a, 0, &w.how, &w.token, &err);
	} while (r == 0 && ++n < 3 * XT_MAX_LEASES);
	assert_int_equal(r, -1);
	assert_int_equal(err.code, XT_E_busy);
	assert_true(n >= 1000 && n <= XT_MAX_LEASES);
	a.client = client(2);
	assert_int_equal(lease_ask(w.leases, &a, 0, &w.how, &w.token, &err), 0); /* another one has room */
	done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_computes_and_the_others_wait),
		cmocka_unit_test(tokens_grow_and_old_ones_are_lost),
		cmocka_unit_test(a_result_on_its_way_outlives_its_holder),
		cmocka_unit_test(what_was_not_applied_is_still_held),
		cmocka_unit_test(passing_on_looks_whether_it_is_there_by_now),
		cmocka_unit_test(circles_are_cut),
		cmocka_unit_test(waits_end_in_time),
		cmocka_unit_test(holders_of_an_earlier_daemon_have_time_to_come),
		cmocka_unit_test(the_grace_time_ends),
		cmocka_unit_test(hello_names_all_that_is_held),
		cmocka_unit_test(who_wants_it_anew_is_not_answered_by_a_result),
		cmocka_unit_test(nobody_waits_on_a_connection_that_has_gone),
		cmocka_unit_test(without_an_epoch_no_lease_is_given),
		cmocka_unit_test(one_client_does_not_take_all_there_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
