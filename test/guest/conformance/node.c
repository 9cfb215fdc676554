/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the weir authors */

/* Special files: nodes of each kind, fifos, sockets, programs. */

#define TOPIC "node"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "conform.h"

static const struct {
	const char *name;
	mode_t type;
	unsigned int major;
	unsigned int minor;
} kinds[] = {
	{ "file", S_IFREG, 0, 0 },
	{ "fifo", S_IFIFO, 0, 0 },
	{ "socket", S_IFSOCK, 0, 0 },
	{ "chr", S_IFCHR, 1, 3 },
	{ "chr_large", S_IFCHR, 300, 70000 },
	{ "blk", S_IFBLK, 7, 200 },
};

static void
kind_label(unsigned int n, char *buf, size_t len)
{
	snprintf(buf, len, "%s", kinds[n].name);
}

CHECKS(mknod_makes, kind_label, RTE_DIM(kinds))
{
	dev_t dev = makedev(kinds[n].major, kinds[n].minor);
	struct stat st;

	OK(mknod("it", kinds[n].type | 0640, dev));
	st = lstat_of("it");
	EQ(kinds[n].type, st.st_mode & S_IFMT);
	EQ(0640, st.st_mode & 07777);
	if (dev != 0) {
		EQ(kinds[n].major, major(st.st_rdev));
		EQ(kinds[n].minor, minor(st.st_rdev));
	}
	EQ(0, st.st_size);
	EQ(1, st.st_nlink);
	ERR(EEXIST, mknod("it", kinds[n].type | 0640, dev));
	OK(link("it", "other"));
	OK(rename("it", "moved"));
	OK(unlink("other"));
	EQ(1, lstat_of("moved").st_nlink);
	OK(chown("moved", U1, G1));
	EQ(U1, lstat_of("moved").st_uid);
}

CHECK(devices_are_roots)
{
	put_dir("d", 0777);
	if (as(U1, G1)) {
		ERR(EPERM, mknod("d/c", S_IFCHR | 0644, makedev(1, 3)));
		ERR(EPERM, mknod("d/b", S_IFBLK | 0644, makedev(7, 0)));
		OK(mknod("d/p", S_IFIFO | 0644, 0));
		OK(mknod("d/s", S_IFSOCK | 0644, 0));
		OK(mknod("d/f", S_IFREG | 0644, 0));
		done();
	}
}

CHECK(mknod_of_other_types)
{
	ERR(EPERM, mknod("d", S_IFDIR | 0755, 0));
	ERR(EINVAL, mknod("l", S_IFLNK | 0777, 0));
	ERR(ENOENT, mknod("none/f", S_IFREG | 0644, 0));
}

CHECK(null_device_works)
{
	char c;
	int fd;

	OK(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
	fd = open("null", O_RDWR);
	if (fd < 0 && errno == EACCES)
		skip("it is mounted with nodev");
	EQ(4, write(OK(fd), "text", 4));
	EQ(0, read(fd, &c, 1));
}

CHECK(fifo_carries)
{
	char buf[8];
	pid_t pid;
	int fd;

	OK(mkfifo("p", 0644));
	pid = spawn();
	if (pid == 0) {
		EQ(4, write(OK(open("p", O_WRONLY)), "text", 4));
		done();
	}
	fd = OK(open("p", O_RDONLY));
	EQ(4, read(fd, buf, sizeof(buf)));
	join(pid);
	EQ(0, read(fd, buf, sizeof(buf)));
	EQ(0, lstat_of("p").st_size);
}

CHECK(fifo_nonblocking)
{
	char c;
	int fd;

	OK(mkfifo("p", 0644));
	ERR(ENXIO, open("p", O_WRONLY | O_NONBLOCK));
	fd = OK(open("p", O_RDONLY | O_NONBLOCK));
	EQ(0, read(fd, &c, 1));
	OK(open("p", O_WRONLY | O_NONBLOCK));
	ERR(EAGAIN, read(fd, &c, 1));
	ERR(ESPIPE, lseek(fd, 0, SEEK_SET));
	ERR(EINVAL, ftruncate(fd, 0));
}

CHECK(socket_accepts)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "s" };
	int listener = OK(socket(AF_UNIX, SOCK_STREAM, 0)), client;
	char buf[8];

	OK(bind(listener, (struct sockaddr *)&name, sizeof(name)));
	TRUE(S_ISSOCK(lstat_of("s").st_mode));
	OK(listen(listener, 1));
	client = OK(socket(AF_UNIX, SOCK_STREAM, 0));
	OK(connect(client, (struct sockaddr *)&name, sizeof(name)));
	EQ(4, write(client, "text", 4));
	EQ(4, read(OK(accept(listener, NULL, NULL)), buf, sizeof(buf)));
	ERR(EADDRINUSE,
			bind(OK(socket(AF_UNIX, SOCK_STREAM, 0)), (struct sockaddr *)&name,
					sizeof(name)));
	ERR(ENXIO, open("s", O_RDONLY));
	OK(rename("s", "t"));
	ERR(ENOENT,
			connect(OK(socket(AF_UNIX, SOCK_STREAM, 0)), (struct sockaddr *)&name,
					sizeof(name)));
	OK(unlink("t"));
}

CHECK(socket_permissions)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "s" };
	int listener = OK(socket(AF_UNIX, SOCK_STREAM, 0));

	OK(bind(listener, (struct sockaddr *)&name, sizeof(name)));
	OK(listen(listener, 1));
	OK(chmod("s", 0700));
	if (as(U1, G1)) {
		ERR(EACCES,
				connect(OK(socket(AF_UNIX, SOCK_STREAM, 0)),
						(struct sockaddr *)&name, sizeof(name)));
		done();
	}
}

/* A copy of this very program. */
static void
copy_program(mode_t mode)
{
	int from = OK(open("/proc/self/exe", O_RDONLY));
	int to = OK(open("prog", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	static char buf[65536];
	ssize_t n;

	while ((n = OK(read(from, buf, sizeof(buf)))) > 0)
		EQ(n, write(to, buf, n));
	OK(fchmod(to, mode));
	OK(close(to));
	OK(close(from));
}

/* The exit status of the program, with its output lost; -1 and errno if it cannot be run. */
static int
run(const char *path)
{
	char *argv[] = { "prog", "--help", NULL };
	int status, fds[2];
	int code = 0;
	pid_t pid;

	OK(pipe2(fds, O_CLOEXEC));
	pid = spawn();
	if (pid == 0) {
		OK(dup2(OK(open("/dev/null", O_RDWR)), 1));
		execv(path, argv);
		code = errno;
		EQ(sizeof(code), write(fds[1], &code, sizeof(code)));
		_exit(126);
	}
	OK(close(fds[1]));
	EQ(pid, waitpid(pid, &status, 0));
	if (read(fds[0], &code, sizeof(code)) > 0) {
		errno = code;
		return -1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

CHECK(program_runs)
{
	copy_program(0755);
	EQ(0, run("./prog"));
	OK(rename("prog", "prog2"));
	EQ(0, run("./prog2"));
}

CHECK(program_needs_x)
{
	copy_program(0644);
	ERR(EACCES, run("./prog"));
	OK(chmod("prog", 0711));
	if (as(U1, G1)) {
		ERR(EACCES, open("prog", O_RDONLY));
		EQ(0, run("./prog"));
		done();
	}
	OK(chmod("prog", 0744));
	if (as(U1, G1)) {
		ERR(EACCES, run("./prog"));
		done();
	}
	ERR(EACCES, run("."));
}

CHECK(program_that_runs_is_not_written)
{
	char *argv[] = { "prog", "--help", NULL };
	static char junk[4096];
	int full[2], runs[2];
	pid_t pid;

	/* It cannot end while nobody reads what it says. */
	copy_program(0755);
	OK(pipe2(full, O_NONBLOCK));
	while (write(full[1], junk, sizeof(junk)) > 0)
		;
	OK(fcntl(full[1], F_SETFL, 0));
	OK(pipe2(runs, O_CLOEXEC));
	pid = spawn();
	if (pid == 0) {
		OK(dup2(full[1], 1));
		execv("./prog", argv);
		FAIL("execv: %m");
	}
	/* Closed when it runs. */
	OK(close(runs[1]));
	EQ(0, read(runs[0], junk, 1));
	ERR(ETXTBSY, open("prog", O_WRONLY));
	ERR(ETXTBSY, truncate("prog", 0));
	OK(rename("prog", "other"));
	OK(unlink("other"));
	kill(pid, SIGKILL);
	EQ(pid, waitpid(pid, NULL, 0));
}

CHECK(open_for_writing_does_not_run)
{
	copy_program(0755);
	OK(open("prog", O_WRONLY | O_CLOEXEC));
	ERR(ETXTBSY, run("./prog"));
}

CHECK(script_runs)
{
	copy_program(0755);
	put("script", "#!./prog\n", 0755);
	/* The program gets the script's name as an argument, and help is asked for: success. */
	EQ(0, run("./script"));
	put("broken", "no program", 0755);
	ERR(ENOEXEC, run("./broken"));
}

CHECK(regular_files_are_always_ready)
{
	struct pollfd p = { .events = POLLIN | POLLOUT };

	put("f", "text", 0644);
	p.fd = OK(open("f", O_RDWR));
	EQ(1, poll(&p, 1, 1000));
	EQ(POLLIN | POLLOUT, p.revents);
}
