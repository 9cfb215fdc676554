/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * Rules that give a guest's extended attributes other names on the host, in the language of
 * virtiofsd's --xattrmap:
 *
 *   :prefix|ok|bad|unsupported:client|server|all:key:prepend:   rules, the first that matches decides
 *   :map:key:prepend:                                           stands for some of them, and is the last
 *
 * Whatever a rule begins with stands between its fields. On the way in a rule of the client's looks
 * for its key in front of the guest's name, on the way out one of the server's for its prepend in
 * front of the host's.
 */

#include <ctype.h>
#include <errno.h>
#include <linux/limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "aio.h"

static const char *const map_types[] = { "prefix", "ok", "bad", "unsupported" };

/* What is left of the text, and where errors are told. */
struct map_parser {
	const char *at;
	unsigned int rule; /* counted from 1 */
	char sep;
	char *error;
	size_t error_size;
};

static int __rte_format_printf(2, 3) map_refuse(const struct map_parser *p, const char *fmt, ...)
{
	va_list ap;
	int n;

	n = snprintf(p->error, p->error_size, "xattrmap: rule %u: ", p->rule);
	va_start(ap, fmt);
	vsnprintf(p->error + n, p->error_size - (size_t)n, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static void
map_skip_space(struct map_parser *p)
{
	while (isspace((unsigned char)*p->at))
		p->at++;
}

/* The next field; none is longer than a name. */
static int
map_field(struct map_parser *p, const char *what, char field[XATTR_NAME_MAX + 1])
{
	const char *end = strchr(p->at, p->sep);
	size_t len;

	if (end == NULL)
		return map_refuse(p, "no '%c' after its %s", p->sep, what);
	len = (size_t)(end - p->at);
	if (len > XATTR_NAME_MAX)
		return map_refuse(p, "its %s is longer than %d bytes", what, XATTR_NAME_MAX);
	memcpy(field, p->at, len);
	field[len] = '\0';
	p->at = end + 1;
	return 0;
}

/* A new rule, all empty; NULL where there are too many. */
static struct aio_xattr_rule *
map_add(struct aio_xattrmap *map, enum aio_xattr_rule_type type, bool client, bool server)
{
	struct aio_xattr_rule *rule;

	if (map->nb == AIO_XATTR_RULES)
		return NULL;
	rule = &map->rules[map->nb++];
	rule->type = type;
	rule->client = client;
	rule->server = server;
	return rule;
}

/* Both names of the prefix, what has the prefix already hidden from the other side, all else as is. */
static bool
map_expand(struct aio_xattrmap *map, const char *key, const char *prepend)
{
	struct aio_xattr_rule *prefix, *host, *guest;

	prefix = map_add(map, AIO_XATTR_PREFIX, true, true);
	if (prefix == NULL)
		return false;
	snprintf(prefix->key, sizeof(prefix->key), "%s", key);
	snprintf(prefix->prepend, sizeof(prefix->prepend), "%s", prepend);
	if (key[0] == '\0')
		return map_add(map, AIO_XATTR_BAD, true, true) != NULL;
	host = map_add(map, AIO_XATTR_BAD, false, true);
	guest = map_add(map, AIO_XATTR_BAD, true, false);
	if (host == NULL || guest == NULL || map_add(map, AIO_XATTR_OK, true, true) == NULL)
		return false;
	snprintf(host->prepend, sizeof(host->prepend), "%s", key);
	snprintf(guest->key, sizeof(guest->key), "%s", prepend);
	return true;
}

static int
map_parse_map(struct map_parser *p, struct aio_xattrmap *map)
{
	char key[XATTR_NAME_MAX + 1], prepend[XATTR_NAME_MAX + 1];
	int rc;

	rc = map_field(p, "key", key);
	if (rc == 0)
		rc = map_field(p, "prepend", prepend);
	if (rc < 0)
		return rc;
	map_skip_space(p);
	if (*p->at != '\0')
		return map_refuse(p, "nothing may follow a map");
	return map_expand(map, key, prepend) ?
			0 :
			map_refuse(p, "there are more than %d", AIO_XATTR_RULES);
}

static int
map_parse_scope(struct map_parser *p, struct aio_xattr_rule *rule)
{
	char scope[XATTR_NAME_MAX + 1];
	int rc;

	rc = map_field(p, "scope", scope);
	if (rc < 0)
		return rc;
	rule->client = strcmp(scope, "server") != 0;
	rule->server = strcmp(scope, "client") != 0;
	return rule->client && rule->server && strcmp(scope, "all") != 0 ?
			map_refuse(p, "its scope is none of client, server, all") :
			0;
}

static int
map_parse_rule(struct map_parser *p, struct aio_xattrmap *map)
{
	char name[XATTR_NAME_MAX + 1];
	struct aio_xattr_rule *rule;
	unsigned int type;
	int rc;

	p->rule++;
	p->sep = *p->at++;
	if (!isascii(p->sep) || !isprint((unsigned char)p->sep))
		return map_refuse(p, "what stands between its fields must be printable ASCII");
	rc = map_field(p, "type", name);
	if (rc < 0)
		return rc;
	if (strcmp(name, "map") == 0)
		return map_parse_map(p, map);
	for (type = 0; type < RTE_DIM(map_types) && strcmp(name, map_types[type]) != 0; type++)
		;
	if (type == RTE_DIM(map_types))
		return map_refuse(p, "its type is none of prefix, ok, bad, unsupported, map");
	rule = map_add(map, (enum aio_xattr_rule_type)type, false, false);
	if (rule == NULL)
		return map_refuse(p, "there are more than %d", AIO_XATTR_RULES);
	rc = map_parse_scope(p, rule);
	if (rc == 0)
		rc = map_field(p, "key", rule->key);
	if (rc == 0)
		rc = map_field(p, "prepend", rule->prepend);
	return rc;
}

int
aio_xattrmap_parse(const char *text, char *error, size_t error_size, struct aio_xattrmap **out)
{
	struct map_parser p = { .at = text, .error = error, .error_size = error_size };
	struct aio_xattrmap *map;
	int rc = 0;

	map = calloc(1, sizeof(*map));
	if (map == NULL) {
		snprintf(error, error_size, "xattrmap: no memory");
		return -ENOMEM;
	}
	map_skip_space(&p);
	while (rc == 0 && *p.at != '\0') {
		rc = map_parse_rule(&p, map);
		map_skip_space(&p);
	}
	if (rc == 0 && map->nb == 0) {
		snprintf(error, error_size, "xattrmap: there is no rule in it");
		rc = -EINVAL;
	}
	if (rc < 0) {
		free(map);
		return rc;
	}
	*out = map;
	return 0;
}

static bool
map_begins(const char *name, const char *with)
{
	return strncmp(name, with, strlen(with)) == 0;
}

int
aio_xattrmap_in(const struct aio_xattrmap *map, const char *name, char host[XATTR_NAME_MAX + 1])
{
	const struct aio_xattr_rule *rule = map->rules;
	const struct aio_xattr_rule *end = rule + map->nb;
	const char *prepend;

	while (rule < end && (!rule->client || !map_begins(name, rule->key)))
		rule++;
	if (rule == end || rule->type == AIO_XATTR_BAD)
		return -EPERM;
	if (rule->type == AIO_XATTR_UNSUPPORTED)
		return -EOPNOTSUPP;
	prepend = rule->type == AIO_XATTR_PREFIX ? rule->prepend : "";
	/* As the kernel says of names that are too long. */
	if (strlen(prepend) + strlen(name) > XATTR_NAME_MAX)
		return -ERANGE;
	snprintf(host, XATTR_NAME_MAX + 1, "%s%s", prepend, name);
	return 0;
}

const char *
aio_xattrmap_out(const struct aio_xattrmap *map, const char *name)
{
	const struct aio_xattr_rule *rule = map->rules;
	const struct aio_xattr_rule *end = rule + map->nb;

	while (rule < end && (!rule->server || !map_begins(name, rule->prepend)))
		rule++;
	if (rule == end || rule->type == AIO_XATTR_BAD || rule->type == AIO_XATTR_UNSUPPORTED)
		return NULL;
	if (rule->type == AIO_XATTR_PREFIX)
		name += strlen(rule->prepend);
	/* A guest's kernel would refuse the whole list for a name of no bytes. */
	return name[0] != '\0' ? name : NULL;
}

bool
aio_xattrmap_leaves(const struct aio_xattrmap *map, const char *name)
{
	char host[XATTR_NAME_MAX + 1];
	const char *guest;

	if (aio_xattrmap_in(map, name, host) < 0 || strcmp(host, name) != 0)
		return false;
	guest = aio_xattrmap_out(map, name);
	return guest != NULL && strcmp(guest, name) == 0;
}

bool
aio_xattrmap_moves(const struct aio_xattrmap *map, const char *name)
{
	char host[XATTR_NAME_MAX + 1];

	return aio_xattrmap_in(map, name, host) == 0 && strcmp(host, name) != 0;
}
