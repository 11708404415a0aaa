#include "xtctl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "own.h"
#include "place.h"

/* No daemon runs: the word that none is to be started is left in its place. */
static int hold(struct ctl *ctl)
{
	struct place place;
	struct xt_err err;
	int status = CTL_OK;

	if (place_find(&place, ctl->database, &err) < 0)
		return ctl_error(ctl, "%s", err.message);
	int fd = own_open(place.lock, O_RDWR | O_CREAT, 0644, place.database, &err);
	if (fd < 0)
		return ctl_error(ctl, "%s", err.message);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		status = ctl_error(ctl, "a daemon of '%s' is starting or stopping; try again", ctl->database);
	else if ((errno = -place_write_lock(fd, place.socket, 0, true)) != 0)
		status = ctl_error(ctl, "cannot write '%s': %s", place.lock, strerror(errno));
	else
		fprintf(ctl->out.file, "not running; held: '%s up' starts it\n", ctl->program);
	close(fd);
	return status;
}

static int cmd_down(struct ctl *ctl)
{
	xt_options options = ctl_reading();
	xt_client *client = NULL;

	options.no_autostart = true;
	int status = CTL_OK;
	int r = ctl_try_open(ctl, &options, &client);
	if (r == XT_OK)
		r = ctl->options.force ? xt_shutdown_anyway(client, true) : xt_shutdown(client, true);
	if (r == XT_OK)
		fprintf(ctl->out.file, "stopped; '%s up' starts it again\n", ctl->program);
	else if (r == XT_EDOWN)
		fputs("not running; it was stopped before\n", ctl->out.file);
	else if (ctl_nobody(client, r))
		status = hold(ctl);
	else
		status = ctl_fail(ctl, client, r);
	xt_close(client); /* nobody is left to deliver anything to */
	return status;
}

const struct command down_command = {
	.name = "down",
	.summary = "stop the daemon and keep it down until 'up'",
	.help = "Everything it received is stored first, and no client starts it again until 'up'; also when "
		"none runs.\n"
		"While messages wait that cannot be stored (a full disk, a lock) it refuses, for those of "
		"workers that have ended would go with the daemon, unless --force is given.",
	.examples =
		(const struct example[]){{"stop it before the file is moved", "down demo.db"}, {NULL, NULL}},
	.options = OPT_FORCE,
	.run = cmd_down,
};
