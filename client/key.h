/* What the key of a call is made from: its arguments and parameters, checked, packed and made canonical. */
#ifndef XT_KEY_H
#define XT_KEY_H

#include "client.h"

/* Checks that fields can be packed into a row; what: `arguments`, for the message. */
int key_check_fields(struct xt_client *c, const char *what, const xt_field *fields, size_t n)
	__attribute__((warn_unused_result));

/* The same for all that a call is begun with. */
int key_check_call(struct xt_client *c, const char *function, const xt_field *args, size_t n_args,
		   const xt_call_options *o) __attribute__((warn_unused_result));

/* Appends the parts of a checked call's key. The parameters of the run, which may be NULL, count. XT_EINVAL:
 * an argument has no canonical form. */
int key_put_parts(struct xt_client *c, const struct xt_run *run, const char *function, const xt_field *args,
		  size_t n_args, const xt_call_options *o, struct buf *out)
	__attribute__((warn_unused_result));

#endif
