/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* Runs streams on a directory: see usage(). */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stream.h"

#define NB_ANY     NB_FEATURES /* an operation that all file systems have */
#define INODES_MAX 120
#define CHECK_EACH 512 /* operations between two looks at everything */

struct options {
	const char *dir;
	uint64_t seed, nb, from, to;
	unsigned int processes;
	uint32_t without;
	bool drop_caches, is_traced;
};

static const struct {
	stream_op run;
	uint32_t weight;
	unsigned int needs;
} ops[] = {
	{ op_open, 120, NB_ANY },
	{ op_close, 30, NB_ANY },
	{ op_read, 40, NB_ANY },
	{ op_pread, 50, NB_ANY },
	{ op_write, 50, NB_ANY },
	{ op_pwrite, 70, NB_ANY },
	{ op_seek, 20, NB_ANY },
	{ op_seek_data, 30, NB_ANY },
	{ op_truncate, 20, NB_ANY },
	{ op_ftruncate, 30, NB_ANY },
	{ op_fallocate, 40, FEATURE_FALLOCATE },
	{ op_copy_range, 30, FEATURE_COPY_RANGE },
	{ op_map, 50, NB_ANY },
	{ op_mkdir, 40, NB_ANY },
	{ op_rmdir, 30, NB_ANY },
	{ op_unlink, 60, NB_ANY },
	{ op_symlink, 30, NB_ANY },
	{ op_link, 40, NB_ANY },
	{ op_rename, 70, NB_ANY },
	{ op_fifo, 5, FEATURE_FIFO },
	{ op_list, 20, NB_ANY },
	{ op_list_changing, 10, FEATURE_LIST_CHANGING },
	{ op_tmpfile, 15, FEATURE_TMPFILE },
	{ op_name_tmpfile, 15, FEATURE_TMPFILE },
	{ op_sync, 15, NB_ANY },
	{ op_drop_caches, 4, FEATURE_DROP_CACHES },
	{ op_stat, 20, NB_ANY },
	{ op_readlink, 15, NB_ANY },
	{ op_chmod, 30, NB_ANY },
	{ op_chown, 30, FEATURE_CHOWN },
	{ op_utimens, 40, NB_ANY },
	{ op_set_xattr, 30, FEATURE_XATTR },
	{ op_get_xattr, 20, FEATURE_XATTR },
	{ op_remove_xattr, 15, FEATURE_XATTR },
};
#define NB_OPS (sizeof(ops) / sizeof(ops[0]))

static void
usage(FILE *to)
{
	fprintf(to,
			"usage: weir-stream [options] DIR\n"
			"\n"
			"Does random operations in a folder of its own under DIR and compares each result, and\n"
			"everything else from time to time, with a model in memory. Run it as root.\n"
			"\n"
			"  --seed S         what to do (default 1); the same seed does the same\n"
			"  --ops N          how many operations (default 2000)\n"
			"  --processes P    so many streams at a time, of seeds S, S + 1, ...\n"
			"  --from A         the operations before number A are done in the model only; the mount is\n"
			"                   then made what the model is\n"
			"  --to B           ends behind number B\n"
			"  --without LIST   leaves features out, by name; what the folder lacks is left out anyway\n"
			"  --drop-caches    drops the kernel's caches now and then\n"
			"  --trace          prints each operation\n");
}

static _Noreturn void
die(const char *what)
{
	fprintf(stderr, "weir-stream: %s: %s\n", what, strerror(errno));
	exit(2);
}

bool
stream_has(const struct stream *s, enum stream_feature feature)
{
	return (s->features & (1u << feature)) != 0;
}

/* Names may be anything; one of 255 letters is shown as "*L". */
static void
make_readable(char *text)
{
	char *to = text, *at;

	for (at = text; *at != '\0'; at++) {
		if (*at == 'L' && at[1] == 'L')
			continue;
		if (*at == 'L' && at > text && at[-1] == 'L')
			*to++ = '*';
		*to++ = *at >= ' ' && *at <= '~' ? *at : '?';
	}
	*to = '\0';
}

void
stream_say(struct stream *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(s->text, STREAM_TEXT, format, args);
	va_end(args);
	make_readable(s->text);
	if (s->is_traced)
		printf("%llu: %s\n", (unsigned long long)s->op, s->text);
}

static void
print_features(const struct stream *s)
{
	int i;

	for (i = 0; i < NB_FEATURES; i++)
		if (!stream_has(s, i))
			printf(" %s", feature_name(i));
}

void
stream_differ(struct stream *s, const char *format, ...)
{
	const uint64_t first = s->op < STREAM_RECENT ? 0 : s->op - STREAM_RECENT + 1;
	uint64_t i;
	va_list args;

	printf("DIFFERENCE: seed %llu, operation %llu: %s\n    ", (unsigned long long)s->seed,
			(unsigned long long)s->op, s->text);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n%llu operations up to it:\n", (unsigned long long)(s->op - first + 1));
	for (i = first; i <= s->op; i++)
		printf("%8llu: %s\n", (unsigned long long)i, s->recent[i % STREAM_RECENT]);
	printf("again: --seed %llu --ops %llu; left out:", (unsigned long long)s->seed,
			(unsigned long long)s->op + 1);
	print_features(s);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

int64_t
stream_result(int64_t value)
{
	return value < 0 ? -errno : value;
}

static void
describe(char *buf, size_t room, int64_t result)
{
	if (result < 0)
		snprintf(buf, room, "%s (%s)", strerrorname_np((int)-result),
				strerror((int)-result));
	else
		snprintf(buf, room, "%lld", (long long)result);
}

void
stream_expect(struct stream *s, int64_t got, int64_t want)
{
	char a[80], b[80];

	if (got == want)
		return;
	describe(a, sizeof(a), got);
	describe(b, sizeof(b), want);
	stream_differ(s, "%s, expected %s", a, b);
}

static bool
is_possible(const struct stream *s, size_t op)
{
	return ops[op].needs == NB_ANY || stream_has(s, ops[op].needs);
}

static stream_op
pick_op(struct stream *s)
{
	uint32_t total = 0, n;
	size_t i;

	if (s->model.nb_inodes > INODES_MAX && stream_once_in(s, 2))
		return stream_once_in(s, 4) ? op_rmdir : op_unlink;
	for (i = 0; i < NB_OPS; i++)
		total += is_possible(s, i) ? ops[i].weight : 0;
	n = stream_below(s, total);
	for (i = 0; !is_possible(s, i) || n >= ops[i].weight; i++)
		n -= is_possible(s, i) ? ops[i].weight : 0;
	return ops[i].run;
}

static void
step(struct stream *s)
{
	s->text = s->recent[s->op % STREAM_RECENT];
	snprintf(s->text, STREAM_TEXT, "left out");
	pick_op(s)(s);
	if (s->op % CHECK_EACH == CHECK_EACH - 1)
		check_tree(s);
}

static void
end(struct stream *s, const char *path)
{
	char command[MODEL_PATH_MAX + 16];
	uint32_t i, nb = s->model.nb_inodes, tries = 0;

	s->op--;
	check_tree(s);
	for (i = 0; i < STREAM_SLOTS; i++)
		if (s->slots[i].inode != NULL)
			stream_close(s, &s->slots[i]);
	check_tree(s);
	close(s->root);
	/* An NFS client's own names go when it has noticed that the files were closed. */
	snprintf(command, sizeof(command), "rm -rf '%s'", path);
	while (system(command) != 0)
		if (stream_has(s, FEATURE_GONE) || tries++ == 20)
			stream_differ(s, "cannot remove the folder");
	printf("seed %llu: %llu operations as in the model, %u inodes in the end; left out:",
			(unsigned long long)s->seed, (unsigned long long)s->op + 1, nb);
	print_features(s);
	printf("\n");
}

static void
run(const struct options *o, unsigned int n)
{
	struct stream *s = calloc(1, sizeof(*s));
	char path[MODEL_PATH_MAX];

	snprintf(path, sizeof(path), "%s/stream-%llu", o->dir, (unsigned long long)(o->seed + n));
	if (s == NULL || mkdir(path, 0755) < 0)
		die(path);
	model_init(&s->model);
	s->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->root < 0 || posix_memalign((void **)&s->bytes, STREAM_PAGE, STREAM_LEN_MAX + 8) != 0)
		die(path);
	s->seed = s->rng = o->seed + n;
	s->is_traced = o->is_traced;
	s->features = (features_probe(s->root) | (o->drop_caches ? 1u << FEATURE_DROP_CACHES : 0)) &
			~o->without;
	s->nb = o->nb < o->to ? o->nb : o->to + 1;
	for (s->op = 0; s->op < s->nb; s->op++) {
		if (!s->is_live && s->op >= o->from) {
			s->text = s->recent[s->op % STREAM_RECENT];
			layout(s);
			s->is_live = true;
		}
		step(s);
	}
	end(s, path);
	model_fini(&s->model);
	free(s->bytes);
	free(s);
}

static void
parse_features(struct options *o, char *list)
{
	char *name, *save;
	int i;

	for (name = strtok_r(list, ",", &save); name != NULL; name = strtok_r(NULL, ",", &save)) {
		for (i = 0; i < NB_FEATURES && strcmp(feature_name(i), name) != 0; i++)
			;
		if (i == NB_FEATURES) {
			fprintf(stderr, "weir-stream: no feature '%s'\n", name);
			exit(2);
		}
		o->without |= 1u << i;
	}
}

static uint64_t
parse_number(const char *text)
{
	char *rest;
	const uint64_t n = strtoull(text, &rest, 0);

	if (*text == '\0' || *rest != '\0') {
		fprintf(stderr, "weir-stream: '%s' is no number\n", text);
		exit(2);
	}
	return n;
}

static void
parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "ops", required_argument, NULL, 'n' },
		{ "processes", required_argument, NULL, 'p' },
		{ "from", required_argument, NULL, 'a' },
		{ "to", required_argument, NULL, 'b' },
		{ "without", required_argument, NULL, 'w' },
		{ "drop-caches", no_argument, NULL, 'd' },
		{ "trace", no_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			o->seed = parse_number(optarg);
			break;
		case 'n':
			o->nb = parse_number(optarg);
			break;
		case 'p':
			o->processes = (unsigned int)parse_number(optarg);
			break;
		case 'a':
			o->from = parse_number(optarg);
			break;
		case 'b':
			o->to = parse_number(optarg);
			break;
		case 'w':
			parse_features(o, optarg);
			break;
		case 'd':
			o->drop_caches = true;
			break;
		case 't':
			o->is_traced = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (optind + 1 != argc) {
		usage(stderr);
		exit(2);
	}
	o->dir = argv[optind];
}

int
main(int argc, char **argv)
{
	struct options o = { .seed = 1, .nb = 2000, .to = UINT64_MAX, .processes = 1 };
	unsigned int i;
	int status, rc = 0;

	parse(&o, argc, argv);
	umask(0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 0; i < o.processes; i++) {
		switch (fork()) {
		case -1:
			die("fork");
		case 0:
			run(&o, i);
			fflush(stdout);
			_exit(0);
		default:
			break;
		}
	}
	while (wait(&status) > 0)
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			rc = 1;
	return rc;
}
