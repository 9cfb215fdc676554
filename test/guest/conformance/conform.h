/* SPDX-License-Identifier: BSD-3-Clause */
/* Copyright (c) 2026 the weir authors */

#ifndef CONFORM_H
#define CONFORM_H

/**
 * @file
 * What the checks of weir-conform are made of. A check is a function that runs in a process and in an
 * empty folder of its own, which is its working directory, as root and with umask 022. It returns if
 * the mounted directory keeps its promise; else it ends at the first of the macros below that does
 * not hold. All processes of a check are killed when it has ended or taken too long.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <rte_common.h>

/** A check, or a table of them. */
struct check {
	const char *topic;
	const char *name;
	void (*run)(unsigned int n);
	/** The name of case n of a table; NULL: this is no table, and n is 0. */
	void (*label)(unsigned int n, char *buf, size_t len);
	unsigned int nb;
	struct check *next;
};

/** Adds to the list; in the order of files and of lines. */
void check_register(struct check *check);

#define CHECK_REGISTER(name_, label_, nb_)                                                         \
	RTE_INIT(name_##_register)                                                                 \
	{                                                                                          \
		static struct check check = {                                                      \
			.topic = TOPIC,                                                            \
			.name = #name_,                                                            \
			.run = name_,                                                              \
			.label = label_,                                                           \
			.nb = nb_,                                                                 \
		};                                                                                 \
		check_register(&check);                                                            \
	}

/** Defines a check: CHECK(name) { ... }; the file says what TOPIC is before it includes this. */
#define CHECK(name_)                                                                               \
	static void name_(unsigned int);                                                           \
	CHECK_REGISTER(name_, NULL, 1)                                                             \
	static void name_(unsigned int n)

/** Defines nb checks; the body is told which by n. */
#define CHECKS(name_, label_, nb_)                                                                 \
	static void name_(unsigned int);                                                           \
	CHECK_REGISTER(name_, label_, nb_)                                                         \
	static void name_(unsigned int n)

/** Users and groups that nobody else is. */
enum {
	U1 = 1001,
	U2 = 1002,
	U3 = 1003,
	G1 = 2001,
	G2 = 2002,
	G3 = 2003,
};

#define HERE __FILE__, __LINE__

/** Ends the check: it has failed. */
void __rte_noreturn __rte_format_printf(3, 4)
		fail_at(const char *file, int line, const char *format, ...);

/** Ends the check: the file system has said that it does not have this. */
void __rte_noreturn __rte_format_printf(1, 2) skip(const char *format, ...);

long must_succeed(long ret, const char *call, const char *file, int line);
void must_fail(const int *codes, long ret, const char *call, const char *file, int line);
void must_equal(long long want, long long got, const char *what, const char *file, int line);
void
must_equal_text(const char *want, const char *got, const char *what, const char *file, int line);
void must_hold(bool cond, const char *what, const char *file, int line);
long must_be_supported(long ret, const char *call, const char *file, int line);

#define FAIL(...) fail_at(HERE, __VA_ARGS__)
/** The call does not return -1; what it returns. */
#define OK(call) must_succeed((long)(call), #call, HERE)
/** The call returns -1 with this errno. */
#define ERR(code, call) must_fail((const int[]){ code, 0 }, (long)(call), #call, HERE)
/** One of two, where POSIX leaves the choice. */
#define ERR2(code, other, call)                                                                    \
	must_fail((const int[]){ code, other, 0 }, (long)(call), #call, HERE)
/** Numbers. */
#define EQ(want, got)     must_equal(want, got, #got, HERE)
#define STR_EQ(want, got) must_equal_text(want, got, #got, HERE)
#define TRUE(cond)        must_hold(cond, #cond, HERE)
/** As OK, but the check is skipped when the call says EOPNOTSUPP. */
#define NEED(call) must_be_supported((long)(call), #call, HERE)

/* Processes. Each inherits the failing: a check fails if any of its processes does. */

/**
 * Goes on as another process with this user and group and no others, while the caller waits for its
 * end. To be used as "if (as(...)) { ...; done(); }".
 *
 * @return true in the other process, false in the caller, after it.
 */
bool as(uid_t uid, gid_t gid);

/** As as(), and a member of another group. */
bool as_member(uid_t uid, gid_t gid, gid_t other);

/** As as(), without becoming anybody else. */
bool elsewhere(void);

/** Ends a process with success. */
void __rte_noreturn done(void);

/** Goes on as another process beside the caller, as fork() does; join() waits for it. */
pid_t spawn(void);

/** Waits for the end of what spawn() made; the check fails if it did. */
void join(pid_t pid);

/** A cell of memory that all processes of the check share; 0 at first. n < 64. */
long shared_get(unsigned int n);
void shared_set(unsigned int n, long value);

/** Waits until the cell has the value, as long as the check may last. */
void shared_await(unsigned int n, long value);

/** Waits so long that every clock of a file system has moved on. */
void tick(void);

/** Waits so long that a process that can go on has most likely gone on. */
void linger(void);

/* Files. All of these must succeed, or the check fails. */

/** Makes a file of these bytes; mode as given, whatever the umask. */
void put(const char *path, const char *text, mode_t mode);

/** Compares what is in the file. */
void must_contain(const char *path, const char *text, const char *file, int line);
#define CONTAINS(path, text) must_contain(path, text, HERE)

/** A directory with this mode, whatever the umask. */
void put_dir(const char *path, mode_t mode);

struct stat stat_of(const char *path);
struct stat lstat_of(const char *path);
struct stat fstat_of(int fd);
#define MODE(path) ((long)(lstat_of(path).st_mode & 07777))

/** False if there is no such name. */
bool exists(const char *path);

/** Names in the directory, beside . and .. */
unsigned int count_names(const char *path);

/** Bytes that tell their place in the file, to be written at off. */
void fill(char *buf, size_t len, off_t off);

/** Compares with what fill() makes. */
void must_be_filled(const char *buf, size_t len, off_t off, const char *file, int line);
#define FILLED(buf, len, off) must_be_filled(buf, len, off, HERE)

/** A string of n times the character; static. */
const char *repeat(char c, size_t n);

/** a > b, in nanoseconds. */
int time_compare(struct timespec a, struct timespec b);

#endif /* CONFORM_H */
