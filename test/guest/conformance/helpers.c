/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the weir authors */

/* What ends a check, and its processes. */

#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "conform.h"
#include "verdict.h"

/* Exit status of a process that has set the verdict. */
#define JUDGED 3

static void __rte_format_printf(2, 0)
		verdict_vset(enum verdict_state state, const char *format, va_list ap)
{
	uint32_t passed = VERDICT_PASSED;

	if (__atomic_compare_exchange_n(&verdict->state, &passed, state, false, __ATOMIC_SEQ_CST,
			    __ATOMIC_SEQ_CST))
		vsnprintf(verdict->text, sizeof(verdict->text), format, ap);
}

void
verdict_set(enum verdict_state state, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	verdict_vset(state, format, ap);
	va_end(ap);
}

void
fail_at(const char *file, int line, const char *format, ...)
{
	const char *base = strrchr(file, '/');
	char text[900];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	verdict_set(VERDICT_FAILED, "%s:%d: %s", base != NULL ? base + 1 : file, line, text);
	_exit(JUDGED);
}

void
skip(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	verdict_vset(VERDICT_SKIPPED, format, ap);
	va_end(ap);
	_exit(JUDGED);
}

static const char *
name_of(int code)
{
	const char *name = strerrorname_np(code);

	return name != NULL ? name : "an unknown error";
}

long
must_succeed(long ret, const char *call, const char *file, int line)
{
	if (ret == -1)
		fail_at(file, line, "%s: expected success, got %s", call, name_of(errno));
	return ret;
}

void
must_fail(const int *codes, long ret, const char *call, const char *file, int line)
{
	int code = errno;
	char other[40] = "";

	if (ret == -1 && (code == codes[0] || (codes[1] != 0 && code == codes[1])))
		return;
	if (codes[1] != 0)
		snprintf(other, sizeof(other), " or %s", name_of(codes[1]));
	if (ret == -1)
		fail_at(file, line, "%s: expected %s%s, got %s", call, name_of(codes[0]), other,
				name_of(code));
	fail_at(file, line, "%s: expected %s%s, got success (%ld)", call, name_of(codes[0]), other,
			ret);
}

void
must_equal(long long want, long long got, const char *what, const char *file, int line)
{
	bool octal = strstr(what, "MODE") != NULL || strstr(what, "mode") != NULL;

	if (want == got)
		return;
	if (octal)
		fail_at(file, line, "%s: expected %04llo, got %04llo", what, want, got);
	fail_at(file, line, "%s: expected %lld, got %lld", what, want, got);
}

void
must_equal_text(const char *want, const char *got, const char *what, const char *file, int line)
{
	if (strcmp(want, got) != 0)
		fail_at(file, line, "%s: expected '%.80s', got '%.80s'", what, want, got);
}

void
must_hold(bool cond, const char *what, const char *file, int line)
{
	if (!cond)
		fail_at(file, line, "expected that %s, it is not so", what);
}

long
must_be_supported(long ret, const char *call, const char *file, int line)
{
	if (ret == -1 && errno == EOPNOTSUPP)
		skip("%s: EOPNOTSUPP", call);
	return must_succeed(ret, call, file, line);
}

static void
become(uid_t uid, gid_t gid, size_t nb, const gid_t *groups)
{
	if (setgroups(nb, groups) < 0 || setresgid(gid, gid, gid) < 0 ||
			setresuid(uid, uid, uid) < 0)
		fail_at(HERE, "cannot become %u: %m", uid);
}

pid_t
spawn(void)
{
	pid_t pid = fork();

	if (pid < 0)
		fail_at(HERE, "fork: %m");
	return pid;
}

void
join(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			fail_at(HERE, "waitpid: %m");
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != JUDGED)
		verdict_set(VERDICT_FAILED, "a process of the check ended by %s %d",
				WIFSIGNALED(status) ? "signal" : "status",
				WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	_exit(JUDGED);
}

bool
elsewhere(void)
{
	pid_t pid = spawn();

	if (pid == 0)
		return true;
	join(pid);
	return false;
}

bool
as(uid_t uid, gid_t gid)
{
	if (!elsewhere())
		return false;
	become(uid, gid, 0, NULL);
	return true;
}

bool
as_member(uid_t uid, gid_t gid, gid_t other)
{
	if (!elsewhere())
		return false;
	become(uid, gid, 1, &other);
	return true;
}

void
done(void)
{
	_exit(0);
}

long
shared_get(unsigned int n)
{
	return __atomic_load_n(&verdict->cells[n], __ATOMIC_SEQ_CST);
}

void
shared_set(unsigned int n, long value)
{
	__atomic_store_n(&verdict->cells[n], value, __ATOMIC_SEQ_CST);
}

static void
sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

void
shared_await(unsigned int n, long value)
{
	while (shared_get(n) != value) {
		/* A process that has failed will never set it. */
		if (verdict->state != VERDICT_PASSED)
			_exit(JUDGED);
		sleep_ms(1);
	}
}

void
tick(void)
{
	/* Kernels stamp files by a clock that moves 100 times a second or more often. */
	sleep_ms(15);
}

void
linger(void)
{
	sleep_ms(60);
}

int
time_compare(struct timespec a, struct timespec b)
{
	if (a.tv_sec != b.tv_sec)
		return a.tv_sec < b.tv_sec ? -1 : 1;
	if (a.tv_nsec != b.tv_nsec)
		return a.tv_nsec < b.tv_nsec ? -1 : 1;
	return 0;
}
