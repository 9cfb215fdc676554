/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the weir authors */

/*
 * The list of checks, and how each of them is run: in a process group and a folder of its own, until
 * it ends or its time is over.
 */

#include <fnmatch.h>
#include <ftw.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "conform.h"
#include "verdict.h"

static struct check *first_check;
static struct check **last_check = &first_check;

struct verdict *verdict;

static struct {
	const char *only;
	const char *dir;
	unsigned int limit_s;
	bool list;
} options = { .limit_s = 60 };

static struct {
	unsigned int passed;
	unsigned int failed;
	unsigned int skipped;
} counts;

void
check_register(struct check *check)
{
	*last_check = check;
	last_check = &check->next;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	/* What cannot be removed is seen by the next check, which finds its folder there. */
	remove(path);
	return 0;
}

static void
remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The time that a process has to end, in ms: 0 if it has ended. */
static bool
ends_within(int pidfd, int ms)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static void __rte_noreturn
run_in_folder(const struct check *check, unsigned int n, const char *folder)
{
	setpgid(0, 0);
	if (chdir(folder) < 0)
		fail_at(HERE, "%s: %m", folder);
	umask(022);
	check->run(n);
	done();
}

/* Everything that the check has started, and what that has. */
static void
kill_group(pid_t pid)
{
	kill(-pid, SIGKILL);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void
judge(pid_t pid)
{
	int status, pidfd = pidfd_open(pid, 0);
	bool ended;

	ended = ends_within(pidfd, options.limit_s * 1000);
	if (!ended) {
		kill(-pid, SIGKILL);
		verdict_set(VERDICT_FAILED, "expected an end within %u s, %s", options.limit_s,
				ends_within(pidfd, 5000) ? "none came" :
							   "none came, and it cannot be killed");
	} else if (waitpid(pid, &status, 0) == pid && WIFSIGNALED(status)) {
		verdict_set(VERDICT_FAILED, "expected an end, it was ended by signal %d",
				WTERMSIG(status));
	}
	close(pidfd);
	kill_group(pid);
}

static void
report(const char *name)
{
	switch (verdict->state) {
	case VERDICT_PASSED:
		counts.passed++;
		printf("ok %s\n", name);
		break;
	case VERDICT_SKIPPED:
		counts.skipped++;
		printf("skip %s: %s\n", name, verdict->text);
		break;
	case VERDICT_FAILED:
		counts.failed++;
		printf("FAIL %s: %s\n", name, verdict->text);
		break;
	}
	fflush(stdout);
}

static void
run(const struct check *check, unsigned int n, const char *name)
{
	/* A new one each time: another guest may be at work beside us, with the same process ids. */
	char folder[] = "conform.XXXXXX";
	pid_t pid;

	memset(verdict, 0, sizeof(*verdict));
	if (mkdtemp(folder) == NULL || chmod(folder, 0755) < 0)
		verdict_set(VERDICT_FAILED, "%s: %m", folder);
	if (verdict->state == VERDICT_PASSED) {
		pid = fork();
		if (pid == 0)
			run_in_folder(check, n, folder);
		setpgid(pid, pid);
		judge(pid);
	}
	remove_tree(folder);
	if (verdict->state == VERDICT_PASSED && access(folder, F_OK) == 0)
		verdict_set(VERDICT_FAILED, "expected that its folder can be removed");
	report(name);
}

static void
each_check(void)
{
	const struct check *check;
	char label[80], name[160];

	for (check = first_check; check != NULL; check = check->next) {
		for (unsigned int n = 0; n < check->nb; n++) {
			snprintf(name, sizeof(name), "%s.%s", check->topic, check->name);
			if (check->label != NULL) {
				check->label(n, label, sizeof(label));
				snprintf(name, sizeof(name), "%s.%s.%s", check->topic, check->name,
						label);
			}
			if (options.only != NULL && fnmatch(options.only, name, 0) != 0)
				continue;
			if (options.list)
				puts(name);
			else
				run(check, n, name);
		}
	}
}

static int
usage(FILE *to)
{
	fputs("usage: weir-conform [--only PATTERN] [--limit SECONDS] DIR\n"
	      "       weir-conform [--only PATTERN] --list\n\n"
	      "Checks, as root, what POSIX and Linux promise of a mounted directory. One line for each\n"
	      "check: ok NAME, FAIL NAME: why, or skip NAME: why. Files are made in DIR and removed.\n\n"
	      "  --only PATTERN   only checks whose name matches, as 'rename.*'\n"
	      "  --limit SECONDS  a check that takes longer fails (default 60)\n"
	      "  --list           names only\n\n"
	      "Exit status: 0 if none failed, 1 if some did, 2 if nothing could be checked.\n",
			to);
	return to == stdout ? 0 : 2;
}

/* Returns -1, or the exit status if there is nothing to do. */
static int
parse_options(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "limit", required_argument, NULL, 's' },
		{ "list", no_argument, NULL, 'l' },
		{ "only", required_argument, NULL, 'o' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'h':
			return usage(stdout);
		case 'l':
			options.list = true;
			break;
		case 'o':
			options.only = optarg;
			break;
		case 's':
			options.limit_s = strtoul(optarg, NULL, 10);
			if (options.limit_s > 0)
				break;
			return usage(stderr);
		default:
			return usage(stderr);
		}
	}
	if (options.list ? optind != argc : optind + 1 != argc)
		return usage(stderr);
	options.dir = argv[optind];
	return -1;
}

int
main(int argc, char **argv)
{
	int rc = parse_options(argc, argv);

	if (rc >= 0)
		return rc;
	if (options.list) {
		each_check();
		return 0;
	}
	if (geteuid() != 0 || chdir(options.dir) < 0) {
		fprintf(stderr, "weir-conform: %s: %s\n", options.dir,
				geteuid() != 0 ? "not root" : strerror(errno));
		return 2;
	}
	verdict = mmap(NULL, sizeof(*verdict), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	/* Orphans of a check become children of this process, which reaps them. */
	if (verdict == MAP_FAILED || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) {
		perror("weir-conform");
		return 2;
	}
	each_check();
	printf("%u passed, %u failed, %u skipped\n", counts.passed, counts.failed, counts.skipped);
	return counts.failed > 0;
}
