/*
 * What xtctl uses of DuckDB's C interface (libduckdb 1.1 and later), declared by ourselves: the library is
 * looked for when it is needed, and its header must not be there to build. Handles are pointers to nothing we
 * know.
 */
#ifndef XTCTL_DUCKDB_API_H
#define XTCTL_DUCKDB_API_H

#include <stdbool.h>
#include <stdint.h>

typedef void *duck_handle;
typedef uint64_t duck_count; /* idx_t */
typedef void (*duck_destroy)(void *);

/* Filled in by the library, whose members they are; only `internal` is in use. */
struct duck_result {
	duck_count deprecated_columns, deprecated_rows, deprecated_changed;
	void *deprecated_data;
	char *deprecated_error;
	void *internal;
};

/* A text or a blob in a vector: up to 12 bytes in place, from `start` on. */
#define DUCK_IN_PLACE 12
struct duck_string {
	uint32_t length;
	char start[4]; /* of the text … */
	union {
		char rest[8];	 /* … and what follows, */
		const char *all; /* or all of a longer one; */
		uint64_t at;	 /* before it is DuckDB's: where that one begins among others */
	} then;
};

/* A whole number of 128 bits, in two's complement. */
struct duck_hugeint {
	uint64_t lower;
	int64_t upper;
};

/* duckdb_type, as far as they are told apart. */
enum duck_type {
	DUCK_BOOLEAN = 1,
	DUCK_TINYINT = 2,
	DUCK_SMALLINT = 3,
	DUCK_INTEGER = 4,
	DUCK_BIGINT = 5,
	DUCK_UTINYINT = 6,
	DUCK_USMALLINT = 7,
	DUCK_UINTEGER = 8,
	DUCK_UBIGINT = 9,
	DUCK_FLOAT = 10,
	DUCK_DOUBLE = 11,
	DUCK_HUGEINT = 16,
	DUCK_VARCHAR = 17,
	DUCK_BLOB = 18,
	DUCK_SQLNULL = 36,
};

enum { DUCK_SUCCESS = 0 };

/* duckdb_pending_state */
enum { DUCK_PENDING_ERROR = 2, DUCK_PENDING_NO_TASKS = 3 };

/* duckdb_result_type */
enum { DUCK_RETURNS_ROWS = 3 };

/*
 * The functions: result, name without its prefix, parameters. From this list are made the struct below and
 * the names that are looked up.
 */
#define DUCK_FUNCTIONS(X)                                                                              \
	X(const char *, library_version, (void))                                                       \
	X(int, create_config, (duck_handle *))                                                         \
	X(int, set_config, (duck_handle, const char *, const char *))                                  \
	X(void, destroy_config, (duck_handle *))                                                       \
	X(int, open_ext, (const char *, duck_handle *, duck_handle, char **))                          \
	X(void, close, (duck_handle *))                                                                \
	X(int, connect, (duck_handle, duck_handle *))                                                  \
	X(void, disconnect, (duck_handle *))                                                           \
	X(void, interrupt, (duck_handle))                                                              \
	X(void, free, (void *))                                                                        \
	X(int, query, (duck_handle, const char *, struct duck_result *))                               \
	X(void, destroy_result, (struct duck_result *))                                                \
	X(const char *, result_error, (struct duck_result *))                                          \
	X(duck_count, column_count, (struct duck_result *))                                            \
	X(const char *, column_name, (struct duck_result *, duck_count))                               \
	X(int, column_type, (struct duck_result *, duck_count))                                        \
	X(duck_count, rows_changed, (struct duck_result *))                                            \
	X(int, result_return_type, (struct duck_result))                                               \
	X(duck_handle, fetch_chunk, (struct duck_result))                                              \
	X(int, prepare, (duck_handle, const char *, duck_handle *))                                    \
	X(const char *, prepare_error, (duck_handle))                                                  \
	X(void, destroy_prepare, (duck_handle *))                                                      \
	X(duck_count, nparams, (duck_handle))                                                          \
	X(int, bind_boolean, (duck_handle, duck_count, bool))                                          \
	X(int, bind_int64, (duck_handle, duck_count, int64_t))                                         \
	X(int, bind_double, (duck_handle, duck_count, double))                                         \
	X(int, bind_varchar_length, (duck_handle, duck_count, const char *, duck_count))               \
	X(int, bind_null, (duck_handle, duck_count))                                                   \
	X(int, pending_prepared, (duck_handle, duck_handle *))                                         \
	X(int, pending_execute_task, (duck_handle))                                                    \
	X(bool, pending_execution_is_finished, (int))                                                  \
	X(const char *, pending_error, (duck_handle))                                                  \
	X(int, execute_pending, (duck_handle, struct duck_result *))                                   \
	X(void, destroy_pending, (duck_handle *))                                                      \
	X(duck_count, vector_size, (void))                                                             \
	X(duck_count, data_chunk_get_size, (duck_handle))                                              \
	X(void, data_chunk_set_size, (duck_handle, duck_count))                                        \
	X(duck_handle, data_chunk_get_vector, (duck_handle, duck_count))                               \
	X(void, destroy_data_chunk, (duck_handle *))                                                   \
	X(void *, vector_get_data, (duck_handle))                                                      \
	X(uint64_t *, vector_get_validity, (duck_handle))                                              \
	X(void, vector_ensure_validity_writable, (duck_handle))                                        \
	X(void, vector_assign_string_element_len, (duck_handle, duck_count, const char *, duck_count)) \
	X(duck_handle, create_logical_type, (int))                                                     \
	X(void, destroy_logical_type, (duck_handle *))                                                 \
	X(duck_handle, create_table_function, (void))                                                  \
	X(void, destroy_table_function, (duck_handle *))                                               \
	X(void, table_function_set_name, (duck_handle, const char *))                                  \
	X(void, table_function_add_parameter, (duck_handle, duck_handle))                              \
	X(void, table_function_set_extra_info, (duck_handle, void *, duck_destroy))                    \
	X(void, table_function_set_bind, (duck_handle, void (*)(duck_handle)))                         \
	X(void, table_function_set_init, (duck_handle, void (*)(duck_handle)))                         \
	X(void, table_function_set_function, (duck_handle, void (*)(duck_handle, duck_handle)))        \
	X(void, table_function_supports_projection_pushdown, (duck_handle, bool))                      \
	X(int, register_table_function, (duck_handle, duck_handle))                                    \
	X(void *, bind_get_extra_info, (duck_handle))                                                  \
	X(duck_handle, bind_get_parameter, (duck_handle, duck_count))                                  \
	X(int64_t, get_int64, (duck_handle))                                                           \
	X(void, destroy_value, (duck_handle *))                                                        \
	X(void, bind_add_result_column, (duck_handle, const char *, duck_handle))                      \
	X(void, bind_set_bind_data, (duck_handle, void *, duck_destroy))                               \
	X(void, bind_set_error, (duck_handle, const char *))                                           \
	X(void *, init_get_bind_data, (duck_handle))                                                   \
	X(duck_count, init_get_column_count, (duck_handle))                                            \
	X(duck_count, init_get_column_index, (duck_handle, duck_count))                                \
	X(void *, init_get_extra_info, (duck_handle))                                                  \
	X(void, init_set_init_data, (duck_handle, void *, duck_destroy))                               \
	X(void, init_set_max_threads, (duck_handle, duck_count))                                       \
	X(void, init_set_error, (duck_handle, const char *))                                           \
	X(void *, function_get_init_data, (duck_handle))                                               \
	X(void, function_set_error, (duck_handle, const char *))

/* Those that a library may lack; NULL then. */
#define DUCK_OPTIONAL(X) X(int, pending_prepared_streaming, (duck_handle, duck_handle *))

struct duck_api {
#define DUCK_MEMBER(type, name, params) type(*name) params;
	DUCK_FUNCTIONS(DUCK_MEMBER)
	DUCK_OPTIONAL(DUCK_MEMBER)
#undef DUCK_MEMBER
};

#endif
