#include "share.h"

#include <assert.h>
#include <stdlib.h>

static struct share **bucket_of(struct shares *all, uid_t uid, pid_t pid)
{
	return &all->buckets[((size_t)pid ^ (size_t)uid << 5) % SHARE_BUCKETS];
}

struct share *share_of(struct shares *all, uid_t uid, pid_t pid)
{
	struct share **bucket = bucket_of(all, uid, pid);

	for (struct share *s = *bucket; s; s = s->next)
		if (s->uid == uid && s->pid == pid)
			return share_ref(s);
	struct share *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	*s = (struct share){.all = all, .next = *bucket, .refs = 1, .uid = uid, .pid = pid};
	*bucket = s;
	return s;
}

struct share *share_ref(struct share *s)
{
	s->refs++;
	return s;
}

void share_unref(struct share *s)
{
	if (!s || --s->refs > 0)
		return;
	struct share **at = bucket_of(s->all, s->uid, s->pid);
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	free(s);
}

bool share_allows(const struct share *s, enum share_kind k, size_t more)
{
	size_t used = s->all->used[k], max = s->all->max[k];

	return used < max && s->held[k] + more <= max - used;
}

void share_take(struct share *s, enum share_kind k, size_t n)
{
	s->held[k] += n;
	s->all->used[k] += n;
}

void share_give(struct share *s, enum share_kind k, size_t n)
{
	assert(s->held[k] >= n && s->all->used[k] >= n);
	s->held[k] -= n;
	s->all->used[k] -= n;
}
