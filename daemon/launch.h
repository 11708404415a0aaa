/* What happens before the loop runs: the lock, the socket's place, being handed a socket, going to the
 * background, and telling whoever waits that the daemon is ready. */
#ifndef XT_LAUNCH_H
#define XT_LAUNCH_H

#include "peer.h"
#include "place.h"

/* Takes the database's lock. Its descriptor stays open as long as the process; -1 with the error:
 * another daemon serves the database, or `xtctl down` holds it and revive is not set. */
int launch_lock(const struct place *p, bool read_only, bool revive, struct xt_err *err)
	__attribute__((warn_unused_result));

/* Decides where the socket is made: `wanted`, or NULL for the usual place, which is made; and with which
 * mode and group, so that those whom `access` names reach it. */
int launch_socket(struct place *p, const char *wanted, const struct peer_access *access, struct xt_err *err)
	__attribute__((warn_unused_result));

/* Binds a socket there in place of a left-over one; the lock must be held. Its descriptor, or -1. */
int launch_bind(const struct place *p, struct xt_err *err) __attribute__((warn_unused_result));

/* The listening socket that systemd handed over, its path in p->socket; -1: none. */
int launch_inherited_socket(struct place *p);

/* Makes the directory of spool files for a group whose members may log: they may put files there, and take
 * away nobody else's. Logs what goes wrong: without it they keep their rows in memory. */
void launch_spool_dir(const struct place *p, gid_t group);

/* Goes on in a child; the parent leaves at once. 0 or -errno. */
int launch_detach(void) __attribute__((warn_unused_result));

/* Tells that the daemon is ready, or what keeps it from it, on the descriptor (-1: none), which is
 * closed, and to systemd. err NULL: ready. */
void launch_ready(int fd, const struct xt_err *err);

/* Tells systemd that the daemon leaves. */
void launch_stopping(void);

/* The name of the network file system that the path is on, or NULL. */
const char *launch_network_fs(const char *path);

/* Raises the soft limit of open files to the hard one. */
void launch_raise_limits(void);

#endif
