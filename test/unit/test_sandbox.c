/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * What a process in the sandbox can do no more. Nothing gets out of it, so each test enters in a
 * process of its own, with a thread that was there before: checks that fail end that process.
 */

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>
#include <rte_log.h>

#include "sandbox.h"

#define LACKS 77 /* the kernel, or whoever runs this */

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s (errno %d)\n", __func__, __LINE__, #cond,       \
					errno);                                                    \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static char allowed[] = "/tmp/test_sandbox_in.XXXXXX";
static char outside[] = "/tmp/test_sandbox_out.XXXXXX";

/* The thread that was there before: runs what it is given, one after the other. */
static struct {
	pthread_t thread;
	sem_t ask, answered;
	void (*fn)(void);
} elder;

static void *
elder_main(void *arg)
{
	for (;;) {
		while (sem_wait(&elder.ask) < 0)
			;
		elder.fn();
		sem_post(&elder.answered);
	}
	return NULL;
}

static void
on_elder(void (*fn)(void))
{
	elder.fn = fn;
	sem_post(&elder.ask);
	while (sem_wait(&elder.answered) < 0)
		;
}

static void *
thread_main(void *arg)
{
	((void (*)(void))arg)();
	return NULL;
}

/* On each kind of thread: the one that entered, one from before, one from after. */
static void
everywhere(void (*fn)(void))
{
	pthread_t thread;

	fn();
	on_elder(fn);
	CHECK(pthread_create(&thread, NULL, thread_main, fn) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

static void
enter(const struct weir_sandbox_cfg *cfg)
{
	weir_role_assume_control();
	sem_init(&elder.ask, 0, 0);
	sem_init(&elder.answered, 0, 0);
	CHECK(pthread_create(&elder.thread, NULL, elder_main, NULL) == 0);
	CHECK(weir_sandbox_enter(cfg) == 0);
	CHECK(weir_sandbox_enter(cfg) == -EALREADY);
}

/* Runs fn in a process of its own. @return how it ended, as of waitpid(). */
static int
child(void (*fn)(void))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
in_child(void (*fn)(void))
{
	int status = child(fn);

	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == LACKS)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static uint64_t
caps_of_thread(const char *key)
{
	FILE *file = fopen("/proc/thread-self/status", "re");
	size_t len = strlen(key);
	unsigned long long value = 0;
	char line[256];

	CHECK(file != NULL);
	while (fgets(line, sizeof(line), file) != NULL)
		if (strncmp(line, key, len) == 0)
			value = strtoull(line + len, NULL, 16);
	fclose(file);
	return value;
}

static void
check_few_caps(void)
{
	const uint64_t few = caps_of_thread("CapPrm:");

	CHECK((few & 1u << CAP_CHOWN) != 0);
	CHECK((few & 1u << CAP_SYS_PTRACE) != 0);
	CHECK((few & (1u << CAP_SYS_ADMIN | 1u << CAP_SETPCAP | 1u << CAP_NET_ADMIN)) == 0);
	/* Quotas do not hold who has it. */
	CHECK((few & 1u << CAP_SYS_RESOURCE) == 0);
	CHECK(caps_of_thread("CapEff:") == few);
	CHECK(caps_of_thread("CapBnd:") == few);
	CHECK(caps_of_thread("CapInh:") == 0);
	CHECK(caps_of_thread("CapAmb:") == 0);
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
}

static void
caps_child(void)
{
	const struct weir_sandbox_cfg cfg = { .drop_caps = true,
		.keep_caps = 1u << CAP_SYS_PTRACE };
	const uint64_t had = caps_of_thread("CapEff:");

	if ((had & 1u << CAP_SYS_PTRACE) == 0 || (had & 1u << CAP_SETPCAP) == 0)
		_exit(LACKS);
	enter(&cfg);
	everywhere(check_few_caps);
}

static void
caps_are_given_up_on_all_threads(void **state)
{
	in_child(caps_child);
}

static void
no_caps_child(void)
{
	const struct weir_sandbox_cfg cfg = { .drop_caps = true, .seccomp = WEIR_SECCOMP_DENY };
	json_t *json;

	if (geteuid() == 0)
		CHECK(setresuid(65534, 65534, 65534) == 0);
	enter(&cfg);
	CHECK(caps_of_thread("CapPrm:") == 0);
	json = json_object_get(weir_sandbox_json(), "capabilities");
	CHECK(json_array_size(json_object_get(json, "held")) == 0);
	json = json_object_get(weir_sandbox_json(), "seccomp");
	CHECK(json_is_true(json_object_get(json, "active")));
}

static void
who_has_none_enters_too(void **state)
{
	in_child(no_caps_child);
}

static void
check_denied(void)
{
	int fd;

	CHECK(socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == ENOSYS);
	CHECK(mount("none", "/no such folder", "none", 0, NULL) < 0 && errno == ENOSYS);
	CHECK(unshare(CLONE_NEWNS) < 0 && errno == ENOSYS);
	CHECK(syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(fd >= 0);
	CHECK(ioctl(fd, TIOCSTI, "x") < 0 && errno == ENOSYS);
	close(fd);
	CHECK(unshare(CLONE_FS) == 0);
}

/* A build with sanitizers may start processes. */
static void
check_denied_process(void)
{
	CHECK(fork() < 0 && errno == ENOSYS);
	CHECK(execl("/bin/true", "true", NULL) < 0 && errno == ENOSYS);
	/* A thread may not leave the namespaces of the others; the kernel would say EINVAL. */
	CHECK(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0) < 0 && errno == EINVAL);
	CHECK(syscall(SYS_clone, CLONE_THREAD | CLONE_NEWNS, 0, 0, 0, 0) < 0 && errno == ENOSYS);
	CHECK(syscall(SYS_clone, CLONE_THREAD | CLONE_NEWUSER, 0, 0, 0, 0) < 0 && errno == ENOSYS);
}

static void
deny_child(void)
{
	const struct weir_sandbox_cfg cfg = { .seccomp = WEIR_SECCOMP_DENY };

	enter(&cfg);
	everywhere(check_denied);
	if (sandbox_nb_more_calls == 0)
		everywhere(check_denied_process);
}

static void
calls_that_weir_never_makes_are_denied(void **state)
{
	in_child(deny_child);
}

static void
log_child(void)
{
	const struct weir_sandbox_cfg cfg = { .seccomp = WEIR_SECCOMP_LOG };

	enter(&cfg);
	CHECK(prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2);
	CHECK(mount("none", "/no such folder", "none", 0, NULL) < 0 && errno != ENOSYS);
}

static void
logging_denies_nothing(void **state)
{
	in_child(log_child);
}

static void
kill_child(void)
{
	const struct weir_sandbox_cfg cfg = { .seccomp = WEIR_SECCOMP_KILL };

	enter(&cfg);
	/* Threads can be made, whichever way the C library tries first. */
	everywhere((void (*)(void))getpid);
	(void)socket(AF_PACKET, SOCK_RAW, 0);
}

static void
killing_ends_the_process(void **state)
{
	int status = child(kill_child);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

/* What newer C libraries ask first, on kernels that know it and on those that do not. */
static void
newer_library_child(void)
{
	static const long calls[] = { 452, 454, 455, 456, 462 };
	const struct weir_sandbox_cfg cfg = { .seccomp = WEIR_SECCOMP_KILL };
	char termios[64];

	enter(&cfg);
	for (unsigned int i = 0; i < RTE_DIM(calls); i++)
		CHECK(syscall(calls[i], -1, 0, 0, -1, -1, -1) < 0);
	CHECK(ioctl(-1, TCGETS2, termios) < 0);
}

static void
calls_of_a_newer_library_do_not_kill(void **state)
{
	in_child(newer_library_child);
}

static const char *
path_in(const char *folder, const char *name)
{
	static __thread char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static int
open_in(const char *folder, const char *name, int flags)
{
	return open(path_in(folder, name), flags | O_CLOEXEC, 0600);
}

static int
dir_of(const char *folder)
{
	int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

	CHECK(fd >= 0);
	return fd;
}

static void
check_held(void)
{
	int in = dir_of(allowed), out = dir_of(outside), fd;

	CHECK(open_in(outside, "secret", O_RDONLY) < 0 && errno == EACCES);
	CHECK(open_in(outside, "new", O_WRONLY | O_CREAT) < 0 && errno == EACCES);
	CHECK(openat(out, "secret", O_RDONLY) < 0 && errno == EACCES);
	CHECK(unlinkat(out, "secret", 0) < 0 && errno == EACCES);
	CHECK(truncate(path_in(outside, "secret"), 0) < 0);
	CHECK(open("/root", O_RDONLY | O_DIRECTORY) < 0 && errno == EACCES);
	CHECK(open("/etc/passwd", O_WRONLY) < 0 && errno == EACCES);
	CHECK(renameat(in, "moved", out, "moved") < 0 && errno == EACCES);
	CHECK(linkat(in, "moved", out, "moved", 0) < 0 && errno == EACCES);

	fd = openat(in, "new", O_RDWR | O_CREAT | O_TRUNC, 0600);
	CHECK(fd >= 0 && ftruncate(fd, 100) == 0);
	close(fd);
	CHECK(mkdirat(in, "a", 0700) == 0 && mkdirat(in, "b", 0700) == 0);
	CHECK(renameat(in, "new", in, "a/new") == 0 && renameat(in, "a/new", in, "b/new") == 0);
	CHECK(symlinkat("x", in, "s") == 0 && mknodat(in, "p", S_IFIFO | 0600, 0) == 0);
	CHECK(unlinkat(in, "b/new", 0) == 0 && unlinkat(in, "s", 0) == 0);
	CHECK(unlinkat(in, "p", 0) == 0);
	CHECK(unlinkat(in, "a", AT_REMOVEDIR) == 0 && unlinkat(in, "b", AT_REMOVEDIR) == 0);

	CHECK(weir_sandbox_folder_check(in) == 0);
	CHECK(weir_sandbox_folder_check(out) == -EACCES);
	close(in);
	close(out);
}

static void
landlock_child(void)
{
	const char *const folders[] = { allowed, NULL };
	const struct weir_sandbox_cfg cfg = { .folders = folders };
	int fd;

	if (sandbox_landlock_abi() < 0)
		_exit(LACKS);
	fd = open_in(allowed, "moved", O_WRONLY | O_CREAT);
	CHECK(fd >= 0);
	close(fd);
	enter(&cfg);
	CHECK(weir_sandbox_has_landlock());
	everywhere(check_held);
	CHECK(unlink(path_in(allowed, "moved")) == 0);
}

static void
the_kernel_holds_to_the_allowed_folders(void **state)
{
	in_child(landlock_child);
}

/* Own files can be read, own directories take sockets; nothing else is to be had there. */
static void
own_child(void)
{
	const char *file = path_in(outside, "secret");
	const char *const dirs[] = { allowed, NULL }, *const files[] = { file, NULL };
	const struct weir_sandbox_cfg cfg = {
		.landlock = WEIR_LANDLOCK_ON,
		.own_dirs = dirs,
		.own_files = files,
	};
	int fd;

	if (sandbox_landlock_abi() < 0)
		_exit(LACKS);
	enter(&cfg);
	CHECK(open(file, O_RDONLY) >= 0);
	CHECK(open(file, O_WRONLY) < 0 && errno == EACCES);
	CHECK(mknod(path_in(allowed, "socket"), S_IFSOCK | 0600, 0) == 0);
	CHECK(unlink(path_in(allowed, "socket")) == 0);
	CHECK(mkdir(path_in(allowed, "dir"), 0700) < 0 && errno == EACCES);
	/* With Landlock on and no list, no folder may be served, not even one of weir's own. */
	fd = dir_of(allowed);
	CHECK(weir_sandbox_folder_check(fd) == -EACCES);
	close(fd);
}

static void
own_files_are_in_reach_and_not_served(void **state)
{
	in_child(own_child);
}

static void
list_child(void)
{
	const char *const folders[] = { allowed, NULL };
	const struct weir_sandbox_cfg cfg = { .folders = folders, .landlock = WEIR_LANDLOCK_OFF };
	char longer[sizeof(allowed) + 1];
	int fd;

	enter(&cfg);
	CHECK(!weir_sandbox_has_landlock());
	fd = dir_of(outside);
	CHECK(weir_sandbox_folder_check(fd) == -EACCES);
	close(fd);
	fd = dir_of(allowed);
	CHECK(weir_sandbox_folder_check(fd) == 0);
	CHECK(mkdirat(fd, "below", 0700) == 0);
	close(fd);
	fd = dir_of(path_in(allowed, "below"));
	CHECK(weir_sandbox_folder_check(fd) == 0);
	CHECK(rmdir(path_in(allowed, "below")) == 0);
	close(fd);
	/* What begins with the same letters is another folder. */
	snprintf(longer, sizeof(longer), "%sx", allowed);
	CHECK(mkdir(longer, 0700) == 0);
	fd = dir_of(longer);
	CHECK(weir_sandbox_folder_check(fd) == -EACCES);
	CHECK(rmdir(longer) == 0);
	close(fd);
}

static void
the_list_holds_without_the_kernel(void **state)
{
	in_child(list_child);
}

static void
no_folder_child(void)
{
	const char *const missing[] = { "/no such folder", NULL },
			  *const file[] = { "/etc/passwd", NULL };
	struct weir_sandbox_cfg cfg = { .folders = missing };

	weir_role_assume_control();
	CHECK(weir_sandbox_enter(&cfg) == -ENOENT);
	sandbox.entered = false;
	cfg.folders = file;
	CHECK(weir_sandbox_enter(&cfg) == -ENOTDIR);
}

static void
a_folder_that_is_not_there_is_refused(void **state)
{
	in_child(no_folder_child);
}

/* An old kernel, as far as a filter can make one. */
static void
old_kernel(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	CHECK(filter != NULL);
	CHECK(seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SYS_landlock_create_ruleset, 0) ==
			0);
	CHECK(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(seccomp), 0) == 0);
	CHECK(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1,
			      SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP)) == 0);
	CHECK(seccomp_load(filter) == 0);
	seccomp_release(filter);
}

static void
old_child(void)
{
	const char *const folders[] = { allowed, NULL };
	const struct weir_sandbox_cfg cfg = { .folders = folders, .seccomp = WEIR_SECCOMP_KILL };
	json_t *json, *part;
	int fd;

	old_kernel();
	enter(&cfg);
	CHECK(!weir_sandbox_has_landlock());
	json = weir_sandbox_json();
	part = json_object_get(json, "landlock");
	CHECK(json_is_false(json_object_get(part, "active")));
	CHECK(json_is_string(json_object_get(part, "lacks")));
	part = json_object_get(json, "seccomp");
	CHECK(json_is_false(json_object_get(part, "active")));
	json_decref(json);
	CHECK(mount("none", "/no such folder", "none", 0, NULL) < 0 && errno != ENOSYS);
	fd = dir_of(outside);
	CHECK(weir_sandbox_folder_check(fd) == -EACCES);
	close(fd);
}

static void
what_a_kernel_lacks_is_reported_and_left_out(void **state)
{
	in_child(old_child);
}

/* A kernel on which one step fails, and what the log says of it. Probes with no argument do not. */
static void
failing_child(int call, struct scmp_arg_cmp arg, const char *line)
{
	const struct weir_sandbox_cfg cfg = { .drop_caps = true, .seccomp = WEIR_SECCOMP_KILL };
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	char *text = NULL;
	size_t len;
	FILE *log = open_memstream(&text, &len);

	CHECK(filter != NULL && log != NULL && rte_openlog_stream(log) == 0);
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 1, arg) == 0);
	CHECK(seccomp_load(filter) == 0);
	seccomp_release(filter);
	weir_role_assume_control();
	CHECK(weir_sandbox_enter(&cfg) < 0);
	CHECK(fflush(log) == 0 && strstr(text, line) != NULL);
	/* Who was told of a failure has no filter that would kill it on its way out. */
	CHECK(mount("none", "/no such folder", "none", 0, NULL) < 0);
}

static void
failing_caps_child(void)
{
	failing_child(SCMP_SYS(capset), SCMP_A1(SCMP_CMP_NE, 0),
			"cannot take all threads in: Operation not permitted");
}

static void
failing_filter_child(void)
{
	failing_child(SCMP_SYS(seccomp), SCMP_A2(SCMP_CMP_NE, 0), "cannot filter system calls: ");
}

static void
the_log_says_which_step_failed(void **state)
{
	in_child(failing_caps_child);
	in_child(failing_filter_child);
}

static void
names_of_capabilities_are_known(void **state)
{
	assert_int_equal(weir_sandbox_cap_number("sys_admin"), CAP_SYS_ADMIN);
	assert_int_equal(weir_sandbox_cap_number("CAP_SYS_ADMIN"), CAP_SYS_ADMIN);
	assert_int_equal(weir_sandbox_cap_number("sys"), -EINVAL);
	assert_int_equal(weir_sandbox_cap_number(""), -EINVAL);
}

static int
folders_setup(void **state)
{
	int fd;

	if (mkdtemp(allowed) == NULL || mkdtemp(outside) == NULL)
		return -1;
	fd = open_in(outside, "secret", O_WRONLY | O_CREAT);
	return fd < 0 ? -1 : close(fd);
}

static int
folders_teardown(void **state)
{
	return unlink(path_in(outside, "secret")) | rmdir(outside) | rmdir(allowed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(caps_are_given_up_on_all_threads),
		cmocka_unit_test(who_has_none_enters_too),
		cmocka_unit_test(calls_that_weir_never_makes_are_denied),
		cmocka_unit_test(logging_denies_nothing),
		cmocka_unit_test(killing_ends_the_process),
		cmocka_unit_test(calls_of_a_newer_library_do_not_kill),
		cmocka_unit_test(the_kernel_holds_to_the_allowed_folders),
		cmocka_unit_test(own_files_are_in_reach_and_not_served),
		cmocka_unit_test(the_list_holds_without_the_kernel),
		cmocka_unit_test(a_folder_that_is_not_there_is_refused),
		cmocka_unit_test(what_a_kernel_lacks_is_reported_and_left_out),
		cmocka_unit_test(the_log_says_which_step_failed),
		cmocka_unit_test(names_of_capabilities_are_known),
	};

	return cmocka_run_group_tests(tests, folders_setup, folders_teardown);
}
