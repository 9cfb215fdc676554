/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <rte_common.h>

#include "nfs_server.h"

struct fs_client nfsc;
struct weir_node *nfs_root;

static FILE *commands, *answers;
static pid_t keeper;
static unsigned int port, mount_port;
static char folder[PATH_MAX];
static char fsdev_name[64];

static int
keeper_start(char *argv[])
{
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		return -1;
	keeper = fork();
	if (keeper == 0) {
		dup2(to[0], STDIN_FILENO);
		dup2(from[1], STDOUT_FILENO);
		execv(argv[0], argv);
		_exit(1);
	}
	close(to[0]);
	close(from[1]);
	commands = fdopen(to[1], "w");
	answers = fdopen(from[0], "r");
	return keeper < 0 || commands == NULL || answers == NULL ? -1 : 0;
}

static int
server_start(char *argv[])
{
	char line[PATH_MAX];
	int status;

	if (keeper_start(argv) < 0)
		return 1;
	if (fgets(line, sizeof(line), answers) == NULL) {
		waitpid(keeper, &status, 0);
		return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	}
	if (sscanf(line, "%u %u %4095s", &port, &mount_port, folder) != 3)
		return 1;
	return fsc_start("0@0,1@0-1,2@0-1") < 0 ? 77 : 0;
}

static void
server_stop(void)
{
	fsc_stop();
	fclose(commands);
	fclose(answers);
	waitpid(keeper, NULL, 0);
}

int
nfs_server_main(char *argv[], int (*run)(void))
{
	int rc = server_start(argv);

	if (rc != 0)
		return rc;
	rc = run();
	server_stop();
	return rc;
}

void
nfs_server_do(const char *command)
{
	char line[16];

	fprintf(commands, "%s\n", command);
	fflush(commands);
	assert_non_null(fgets(line, sizeof(line), answers));
	assert_string_equal(line, "ok\n");
}

const char *
nfs_server_params(const char *name, const char *more)
{
	static char params[1024];

	snprintf(params, sizeof(params),
			"{\"name\": \"%s\", \"server\": \"127.0.0.1\", \"exportname\": \"/export\", "
			"\"port\": %u, \"mount_port\": %u%s}",
			name, port, mount_port, more);
	return params;
}

void
nfs_export_up(const char *name, const char *more)
{
	char message[512];

	weir_role_assume_control();
	if (fsc_rpc("fsdev_nfs_create", nfs_server_params(name, more), message) != 0)
		fail_msg("%s", message);
	snprintf(fsdev_name, sizeof(fsdev_name), "%s", name);
	fsc_open_session(&nfsc, weir_fsdev_find(name));
	nfs_root = weir_fsdev_root(nfsc.dev);
}

void
nfs_export_down(void)
{
	char params[128], message[512];

	fsc_close_session(&nfsc);
	snprintf(params, sizeof(params), "{\"name\": \"%s\"}", fsdev_name);
	if (fsc_rpc("fsdev_nfs_delete", params, message) != 0)
		fail_msg("%s", message);
}

const char *
nfs_host(const char *name)
{
	static char paths[4][2 * PATH_MAX];
	static unsigned int next;
	char *path = paths[next++ % RTE_DIM(paths)];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static unsigned int
host_names(const char *prefix, char name[NAME_MAX + 1])
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	unsigned int nb = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
				strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
			continue;
		snprintf(name, NAME_MAX + 1, "%s", entry->d_name);
		nb++;
	}
	closedir(dir);
	return nb;
}

unsigned int
nfs_host_count(const char *prefix)
{
	char name[NAME_MAX + 1];

	return host_names(prefix, name);
}

void
nfs_host_first(char name[NAME_MAX + 1])
{
	assert_int_not_equal(host_names("", name), 0);
}

struct stat
nfs_host_stat(const char *name)
{
	struct stat st;

	assert_int_equal(lstat(nfs_host(name), &st), 0);
	return st;
}

void
nfs_host_write(const char *name, const void *data, size_t n)
{
	int fd = open(nfs_host(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, n), n);
	close(fd);
}

struct weir_entry
nfs_look(const char *name)
{
	struct weir_entry entry;

	assert_int_equal(fsc_lookup(&nfsc, nfs_root, name, &entry), 0);
	return entry;
}

/* A new file that is open for reading and writing. */
struct weir_entry
nfs_make(const char *name, struct weir_file **file)
{
	struct weir_entry entry;

	assert_int_equal(fsc_create(&nfsc, nfs_root, name, O_RDWR | O_CREAT | O_EXCL, 0644, &entry,
					 file),
			0);
	return entry;
}

void
nfs_close(const struct weir_entry *entry, struct weir_file *file)
{
	assert_int_equal(fsc_release(&nfsc, WEIR_FSOP_RELEASE, entry->node, file), 0);
	fsc_put(&nfsc, entry->node);
}

void
nfs_fill(uint64_t off, size_t n)
{
	for (size_t i = 0; i < n; i++)
		nfsc.mem[i] = nfs_byte(off + i);
}

void
nfs_check(uint64_t off, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (nfsc.mem[i] != nfs_byte(off + i))
			fail_msg("byte %zu is %u", i, nfsc.mem[i]);
}

/* What nobody waits for is done by and by. */
void
nfs_host_wait(const char *prefix, unsigned int nb)
{
	for (unsigned int i = 0; i < 1000 && nfs_host_count(prefix) != nb; i++)
		fsc_poll();
	assert_int_equal(nfs_host_count(prefix), nb);
}

int
nfs_setup(void **state)
{
	nfs_export_up("nfs0", "");
	return 0;
}

int
nfs_teardown(void **state)
{
	nfs_export_down();
	/* Each test cleans up behind itself, and the driver behind it. */
	nfs_host_wait("", 0);
	return 0;
}
