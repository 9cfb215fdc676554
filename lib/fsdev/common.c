/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/* The options that every file system has: what they are called, and what follows from them. */

#include <errno.h>

#include <rte_common.h>

#include "fsdev.h"

#define DAY_MS 86400000u

static const char *const cache_choices[] = { "never", "auto", "always", "metadata", NULL };
static const char *const direct_io_choices[] = { "auto", "strip", "force", NULL };

const struct weir_param fsdev_common_params[] = {
	WEIR_PARAM(weir_fsdev_common, cache, WEIR_ENUM, .choices = cache_choices,
			.def = WEIR_CACHE_AUTO, .help = "what the guest may keep, and how long"),
	WEIR_PARAM(weir_fsdev_common, attr_valid_ms, WEIR_U32,
			WEIR_PARAM_GIVEN(weir_fsdev_common, has_attr_valid_ms),
			.help = "how long the guest may believe attributes; else as cache says"),
	WEIR_PARAM(weir_fsdev_common, entry_valid_ms, WEIR_U32,
			WEIR_PARAM_GIVEN(weir_fsdev_common, has_entry_valid_ms),
			.help = "how long it may believe names; else attr_valid_ms, or as cache says"),
	WEIR_PARAM(weir_fsdev_common, negative_valid_ms, WEIR_U32,
			.help = "how long it may believe that a name is absent"),
	WEIR_PARAM(weir_fsdev_common, close_to_open, WEIR_BOOL,
			WEIR_PARAM_GIVEN(weir_fsdev_common, has_close_to_open),
			.help = "let each open see what was closed before, whatever entry_valid_ms"),
	WEIR_PARAM(weir_fsdev_common, keep_cache, WEIR_BOOL,
			WEIR_PARAM_GIVEN(weir_fsdev_common, has_keep_cache),
			.help = "let cached data outlive an open, until its file is seen to change"),
	WEIR_PARAM(weir_fsdev_common, enable_writeback_cache, WEIR_BOOL,
			.help = "let the guest delay writes; nobody else may change its files"),
	WEIR_PARAM(weir_fsdev_common, direct_io, WEIR_ENUM, .choices = direct_io_choices,
			.help = "pass the guest's O_DIRECT on, or not, or use no page cache ever"),
	WEIR_PARAM(weir_fsdev_common, allow_mmap, WEIR_BOOL,
			.help = "shared mappings also where no page cache is used (Linux 6.6)"),
	WEIR_PARAM(weir_fsdev_common, readdirplus, WEIR_BOOL,
			WEIR_PARAM_GIVEN(weir_fsdev_common, has_readdirplus),
			.help = "let the guest list directories with attributes"),
	WEIR_PARAM(weir_fsdev_common, readonly, WEIR_BOOL,
			.help = "refuse what would change anything with EROFS"),
};
const unsigned int fsdev_common_nb_params = RTE_DIM(fsdev_common_params);

static void
fill_in(struct weir_fsdev_common *c, const struct weir_fsdev_defaults *defaults)
{
	const bool lasting = c->cache == WEIR_CACHE_ALWAYS || c->cache == WEIR_CACHE_METADATA;
	uint32_t valid_ms = lasting ? DAY_MS : defaults->valid_ms;

	if (c->cache == WEIR_CACHE_NEVER)
		valid_ms = 0;
	if (!c->has_entry_valid_ms)
		c->entry_valid_ms = c->has_attr_valid_ms ? c->attr_valid_ms : valid_ms;
	if (!c->has_attr_valid_ms)
		c->attr_valid_ms = valid_ms;
	if (!c->has_close_to_open)
		c->close_to_open =
				defaults->close_to_open && !lasting && !c->enable_writeback_cache;
	if (!c->has_keep_cache)
		c->keep_cache = c->cache == WEIR_CACHE_ALWAYS && !weir_fsdev_is_direct(c);
	if (!c->has_readdirplus)
		c->readdirplus = defaults->readdirplus && c->cache != WEIR_CACHE_NEVER;
	c->has_attr_valid_ms = c->has_entry_valid_ms = c->has_close_to_open = true;
	c->has_keep_cache = c->has_readdirplus = true;
}

int
fsdev_common_resolve(struct weir_fsdev_common *c, const struct weir_fsdev_defaults *defaults,
		const char **key, const char **why)
{
	const bool direct = weir_fsdev_is_direct(c);
	const char *no_cache = c->direct_io == WEIR_DIRECT_IO_FORCE ?
			"no data is cached with direct_io=force" :
			c->cache == WEIR_CACHE_NEVER ? "no data is cached with cache=never" :
						       "no data is cached with cache=metadata";
	const struct {
		bool wrong;
		const char *key, *why;
	} rules[] = {
		{ c->enable_writeback_cache && direct, "enable_writeback_cache", no_cache },
		{ c->enable_writeback_cache && c->readonly, "enable_writeback_cache",
				"nothing is written with readonly" },
		{ c->enable_writeback_cache && c->close_to_open, "close_to_open",
				"with enable_writeback_cache only the guest's own size and times "
				"count" },
		{ c->keep_cache && direct, "keep_cache", no_cache },
		{ c->allow_mmap && !direct, "allow_mmap",
				"files can be mapped anyway where their data is cached" },
	};
	unsigned int i;

	for (i = 0; i < RTE_DIM(rules); i++) {
		if (rules[i].wrong) {
			*key = rules[i].key;
			*why = rules[i].why;
			return -EINVAL;
		}
	}
	fill_in(c, defaults);
	return 0;
}
