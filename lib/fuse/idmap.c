/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuse.h"

/*
 * Users and groups of a guest, and who they are on the host. A map is a text of rules; those of one
 * direction do not overlap, and what no rule names stays as it is.
 */

#define IDMAP_MAX 64 /* rules of one direction */
/* Nobody's number: system calls take it for "leave it as it is". */
#define IDMAP_NONE UINT32_MAX

enum idmap_kind {
	IDMAP_SHIFT, /* one by one */
	IDMAP_SQUASH, /* all become one */
	IDMAP_FORBID,
};

struct idmap_rule {
	uint32_t first, last;
	uint32_t to;
	enum idmap_kind kind;
};

struct idmap_side {
	uint32_t nb;
	struct idmap_rule rules[IDMAP_MAX];
};

struct fuse_idmap {
	struct idmap_side in, out; /* from the guest, to the guest */
};

struct fuse_idmaps {
	struct fuse_idmap uid, gid;
};

/* The forms of virtiofsd's --translate-uid. in, out: in which directions a rule is one. */
static const struct idmap_form {
	const char *name;
	enum idmap_kind kind;
	bool in, out;
	unsigned int nb_numbers;
} idmap_forms[] = {
	{ "map", IDMAP_SHIFT, true, true, 3 },
	{ "guest", IDMAP_SHIFT, true, false, 3 },
	{ "host", IDMAP_SHIFT, false, true, 3 },
	{ "squash-guest", IDMAP_SQUASH, true, false, 3 },
	{ "squash-host", IDMAP_SQUASH, false, true, 3 },
	{ "forbid-guest", IDMAP_FORBID, true, false, 2 },
};

static const char *
idmap_add(struct idmap_side *side, enum idmap_kind kind, uint32_t first, uint32_t to,
		uint32_t count)
{
	const uint32_t last = first + (count - 1);
	uint32_t i;

	for (i = 0; i < side->nb; i++)
		if (first <= side->rules[i].last && side->rules[i].first <= last)
			return "two rules of one direction overlap";
	if (side->nb == IDMAP_MAX)
		return "more than 64 rules of one direction";
	side->rules[side->nb++] = (struct idmap_rule){
		.first = first,
		.last = last,
		.to = to,
		.kind = kind,
	};
	return NULL;
}

/* ":1:2:3" in front of *text, which moves on. */
static bool
idmap_numbers(const char **text, uint32_t *numbers, unsigned int nb)
{
	unsigned long long value;
	char *end;

	for (unsigned int i = 0; i < nb; i++) {
		if (*(*text)++ != ':' || !isdigit((unsigned char)**text))
			return false;
		errno = 0;
		value = strtoull(*text, &end, 10);
		if (errno != 0 || value > UINT32_MAX)
			return false;
		*text = end;
		numbers[i] = (uint32_t)value;
	}
	return true;
}

static const char *
idmap_rule(struct fuse_idmap *map, const struct idmap_form *form, const uint32_t *numbers)
{
	const uint32_t first = numbers[0], count = numbers[form->nb_numbers - 1];
	const uint32_t to = form->kind != IDMAP_FORBID ? numbers[1] : 0;
	const char *why = NULL;

	/* The number that is nobody's is not part of any range. */
	if (count == 0 || count > IDMAP_NONE - first || to == IDMAP_NONE ||
			(form->kind == IDMAP_SHIFT && count > IDMAP_NONE - to))
		return "a range is empty or ends above 4294967294";
	if (form->in)
		why = idmap_add(&map->in, form->kind, first, to, count);
	if (why == NULL && form->out && form->in)
		why = idmap_add(&map->out, form->kind, to, first, count);
	else if (why == NULL && form->out)
		why = idmap_add(&map->out, form->kind, first, to, count);
	return why;
}

/* NULL, or what is wrong. */
static const char *
idmap_parse(const char *text, struct fuse_idmap *map)
{
	static const char *const malformed = "must be FORM:FROM:TO:COUNT,... with FORM map, guest, "
					     "host, squash-guest or squash-host, or "
					     "forbid-guest:FROM:COUNT";
	uint32_t numbers[3];
	const char *why;
	unsigned int i;
	size_t len;

	while (*text != '\0') {
		len = strcspn(text, ":,");
		for (i = 0; i < RTE_DIM(idmap_forms); i++)
			if (strlen(idmap_forms[i].name) == len &&
					memcmp(idmap_forms[i].name, text, len) == 0)
				break;
		if (i == RTE_DIM(idmap_forms))
			return malformed;
		text += len;
		if (!idmap_numbers(&text, numbers, idmap_forms[i].nb_numbers))
			return malformed;
		why = idmap_rule(map, &idmap_forms[i], numbers);
		if (why != NULL)
			return why;
		if (*text == ',' && text[1] != '\0')
			text++;
		else if (*text != '\0')
			return malformed;
	}
	return NULL;
}

const char *
weir_fuse_idmap_refused(const char *text)
{
	struct fuse_idmap map = { .in.nb = 0 };

	return idmap_parse(text, &map);
}

int
fuse_idmaps_create(const char *uid, const char *gid, struct fuse_idmaps **out)
{
	const bool none = (uid == NULL || uid[0] == '\0') && (gid == NULL || gid[0] == '\0');
	struct fuse_idmaps *maps;

	if (none) {
		*out = NULL;
		return 0;
	}
	maps = calloc(1, sizeof(*maps));
	if (maps == NULL)
		return -ENOMEM;
	if ((uid != NULL && idmap_parse(uid, &maps->uid) != NULL) ||
			(gid != NULL && idmap_parse(gid, &maps->gid) != NULL)) {
		free(maps);
		return -EINVAL;
	}
	*out = maps;
	return 0;
}

void
fuse_idmaps_destroy(struct fuse_idmaps *maps)
{
	free(maps);
}

/* False: it is forbidden, and as it was. */
static bool
idmap_apply(const struct idmap_side *side, uint32_t *id)
{
	const struct idmap_rule *rule;

	for (uint32_t i = 0; i < side->nb; i++) {
		rule = &side->rules[i];
		if (*id < rule->first || *id > rule->last)
			continue;
		if (rule->kind == IDMAP_FORBID)
			return false;
		*id = rule->kind == IDMAP_SHIFT ? rule->to + (*id - rule->first) : rule->to;
		return true;
	}
	return true;
}

bool
fuse_idmap_uid_in(const struct fuse_idmaps *maps, uint32_t *uid)
{
	return idmap_apply(&maps->uid.in, uid);
}

bool
fuse_idmap_gid_in(const struct fuse_idmaps *maps, uint32_t *gid)
{
	return idmap_apply(&maps->gid.in, gid);
}

void
fuse_idmap_out(const struct fuse_idmaps *maps, uint32_t *uid, uint32_t *gid)
{
	(void)idmap_apply(&maps->uid.out, uid);
	(void)idmap_apply(&maps->gid.out, gid);
}
