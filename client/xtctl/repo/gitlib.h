/*
 * libgit2, loaded when it is needed. It brings a dozen other libraries along, which would take longer to load
 * than most commands to run.
 */
#ifndef XT_GITLIB_H
#define XT_GITLIB_H

#include <git2.h>

#define GITLIB_FUNCTIONS(F)                    \
	F(git_attr_get)                        \
	F(git_attr_value)                      \
	F(git_buf_dispose)                     \
	F(git_commit_free)                     \
	F(git_commit_lookup)                   \
	F(git_commit_parent)                   \
	F(git_commit_parentcount)              \
	F(git_commit_tree)                     \
	F(git_diff_free)                       \
	F(git_diff_get_delta)                  \
	F(git_diff_num_deltas)                 \
	F(git_diff_options_init)               \
	F(git_diff_tree_to_tree)               \
	F(git_diff_tree_to_workdir_with_index) \
	F(git_error_last)                      \
	F(git_index_entrycount)                \
	F(git_index_free)                      \
	F(git_index_get_bypath)                \
	F(git_index_get_byindex)               \
	F(git_libgit2_init)                    \
	F(git_libgit2_shutdown)                \
	F(git_object_free)                     \
	F(git_object_id)                       \
	F(git_object_lookup_prefix)            \
	F(git_oid_cmp)                         \
	F(git_oid_cpy)                         \
	F(git_oid_fromstr)                     \
	F(git_oid_fromstrn)                    \
	F(git_oid_tostr)                       \
	F(git_reference_free)                  \
	F(git_reference_is_branch)             \
	F(git_reference_name_to_id)            \
	F(git_reference_shorthand)             \
	F(git_repository_discover)             \
	F(git_repository_free)                 \
	F(git_repository_head)                 \
	F(git_repository_index)                \
	F(git_repository_is_shallow)           \
	F(git_repository_open_ext)             \
	F(git_repository_path)                 \
	F(git_repository_workdir)              \
	F(git_revwalk_free)                    \
	F(git_revwalk_hide)                    \
	F(git_revwalk_new)                     \
	F(git_revwalk_next)                    \
	F(git_revwalk_push)                    \
	F(git_tree_entry_bypath)               \
	F(git_tree_entry_free)                 \
	F(git_tree_entry_id)                   \
	F(git_tree_free)

/* Its functions, under their own names. */
struct gitlib {
#define MEMBER(name) __typeof__(name) *(name);
	GITLIB_FUNCTIONS(MEMBER)
#undef MEMBER
};

/* Loads the library and fills `ret` in; it stays loaded. NULL, or why that cannot be: a sentence that lives
 * until the next call. */
const char *gitlib_load(struct gitlib *ret);

#endif
