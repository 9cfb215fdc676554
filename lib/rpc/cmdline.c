/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * The command-line form of a call. usertools/weir-rpc.py follows the same rules:
 *
 *	[rpc.py] [--plugin X] [-v] [-t SECONDS] method [value | --name value | --name=value | -n value
 *	| --flag]... [# comment]
 */

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "rpc.h"

#define WORDS_MAX 128

struct words {
	char *text; /* owns the words */
	char *word[WORDS_MAX];
	unsigned int nb, next;
	char *err;
	size_t err_size;
};

static int __rte_format_printf(2, 3) refuse(const struct words *words, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words->err, words->err_size, fmt, ap);
	va_end(ap);
	rpc_line_clean(words->err);
	return WEIR_RPC_INVALID_PARAMS;
}

/* Copies one word from *in, without quotes and escapes, to *out. */
static int
split_word(struct words *words, const char **in, char **out)
{
	const char *p = *in;
	char quote = '\0';

	for (; *p != '\0' && (quote != '\0' || !isspace((unsigned char)*p)); p++) {
		if (quote == '\0' && (*p == '"' || *p == '\'')) {
			quote = *p;
		} else if (*p == quote) {
			quote = '\0';
		} else if (*p == '\\' &&
				(quote == '\0' ||
						(quote == '"' && (p[1] == '"' || p[1] == '\\')))) {
			if (*++p == '\0')
				return refuse(words, "nothing follows the backslash");
			*(*out)++ = *p;
		} else {
			*(*out)++ = *p;
		}
	}
	if (quote != '\0')
		return refuse(words, "no closing %c", quote);
	*(*out)++ = '\0';
	*in = p;
	return 0;
}

static int
split(struct words *words, const char *line)
{
	/* A word and its terminator never need more than the word and what separates it. */
	char *out = malloc(strlen(line) + 1);
	int rc;

	words->text = out;
	if (out == NULL)
		return refuse(words, "no memory for the line");
	for (;;) {
		while (isspace((unsigned char)*line))
			line++;
		if (*line == '\0' || *line == '#')
			return 0;
		if (words->nb == WORDS_MAX)
			return refuse(words, "more than %d words", WORDS_MAX);
		words->word[words->nb++] = out;
		rc = split_word(words, &line, &out);
		if (rc != 0)
			return rc;
	}
}

static const char *
next_word(struct words *words)
{
	return words->next < words->nb ? words->word[words->next++] : NULL;
}

static bool
is_tool(const char *word)
{
	static const char *const tools[] = { "rpc.py", "spdk_rpc.py", "snap_rpc.py", "weir-rpc.py",
		"spdk_rpc" };
	const char *slash = strrchr(word, '/');
	unsigned int i;

	for (i = 0; i < RTE_DIM(tools); i++)
		if (strcmp(slash == NULL ? word : slash + 1, tools[i]) == 0)
			return true;
	return false;
}

/* What may stand before the method means something to a client only. */
static int
skip_client_options(struct words *words)
{
	if (words->next < words->nb && is_tool(words->word[words->next]))
		words->next++;
	while (words->next < words->nb && words->word[words->next][0] == '-') {
		const char *word = next_word(words);

		if (strcmp(word, "-v") == 0 || strcmp(word, "--verbose") == 0 ||
				strncmp(word, "--plugin=", 9) == 0 ||
				strncmp(word, "--timeout=", 10) == 0)
			continue;
		if (strcmp(word, "--plugin") != 0 && strcmp(word, "--timeout") != 0 &&
				strcmp(word, "-t") != 0)
			return refuse(words, "%.64s: no such option before the method", word);
		if (next_word(words) == NULL)
			return refuse(words, "%s: needs a value", word);
	}
	return 0;
}

static json_t *
number(const char *text)
{
	bool hex = strncasecmp(text, "0x", 2) == 0;
	long long value;
	char *end;

	errno = 0;
	value = strtoll(text, &end, hex ? 16 : 10);
	if (errno != 0 || end == text || *end != '\0' || isspace((unsigned char)*text))
		return NULL;
	return json_integer(value);
}

static int
set(struct words *words, json_t *params, const struct weir_param *param, const char *text)
{
	json_t *value = NULL, *old = json_object_get(params, param->name);
	bool differs;

	switch (param->type) {
	case WEIR_BOOL:
		if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
			value = json_boolean(text[0] == 't');
		else
			return refuse(words, "Invalid parameters: %s: must be true or false",
					param->name);
		break;
	case WEIR_U32:
	case WEIR_U64:
		value = number(text);
		if (value == NULL)
			return refuse(words, "Invalid parameters: %s: must be an integer",
					param->name);
		break;
	case WEIR_STR:
	case WEIR_ENUM:
		value = json_string(text);
		if (value == NULL)
			return refuse(words, "Invalid parameters: %s: must be UTF-8", param->name);
		break;
	}
	differs = old != NULL && !json_equal(old, value);
	json_object_set_new(params, param->name, value);
	if (differs)
		return refuse(words, "Invalid parameters: %s: given twice", param->name);
	return 0;
}

/* text: what was written with the option; NULL: the value is the next word, or that it was given. */
static int
set_option(struct words *words, json_t *params, const struct weir_param *param, const char *text)
{
	if (text == NULL)
		text = param->type == WEIR_BOOL ? "true" : next_word(words);
	if (text == NULL)
		return refuse(words, "Invalid parameters: %s: needs a value", param->name);
	return set(words, params, param, text);
}

static int
set_long(struct words *words, const struct weir_rpc_method *method, json_t *params, char *word)
{
	const struct weir_param *param;
	char *equals = strchr(word, '=');

	if (equals != NULL)
		*equals = '\0';
	param = rpc_param_find(method->params, method->nb_params, word + 2);
	if (param == NULL)
		return refuse(words, "Invalid parameters: %.64s: unknown parameter", word + 2);
	return set_option(words, params, param, equals != NULL ? equals + 1 : NULL);
}

static int
set_short(struct words *words, const struct weir_rpc_method *method, json_t *params,
		const char *word)
{
	const struct weir_param *param = NULL;
	unsigned int i;

	for (i = 0; i < method->nb_params && param == NULL; i++)
		if (method->params[i].short_opt == word[1])
			param = &method->params[i];
	if (param == NULL || (param->type == WEIR_BOOL && word[2] != '\0'))
		return refuse(words, "Invalid parameters: %.64s: unknown option", word);
	return set_option(words, params, param, word[2] != '\0' ? word + 2 : NULL);
}

static int
set_positional(struct words *words, const struct weir_rpc_method *method, json_t *params,
		unsigned int position, const char *word)
{
	unsigned int i;

	for (i = 0; i < method->nb_params; i++)
		if (method->params[i].position == position)
			return set(words, params, &method->params[i], word);
	return refuse(words, "Invalid parameters: %.64s: unexpected word", word);
}

static int
parse_params(struct words *words, const struct weir_rpc_method *method, json_t *params)
{
	unsigned int position = 0;
	int rc = 0;

	while (rc == 0 && words->next < words->nb) {
		char *word = words->word[words->next++];

		if (strncmp(word, "--", 2) == 0)
			rc = set_long(words, method, params, word);
		else if (word[0] == '-' && word[1] != '\0')
			rc = set_short(words, method, params, word);
		else
			rc = set_positional(words, method, params, ++position, word);
	}
	return rc;
}

static int
parse_words(struct words *words, const struct weir_rpc_method **method, json_t *params)
{
	const char *name;
	int rc;

	*method = NULL;
	if (words->nb == 0)
		return 0;
	rc = skip_client_options(words);
	if (rc != 0)
		return rc;
	name = next_word(words);
	if (name == NULL)
		return refuse(words, "the line has no method");
	*method = weir_rpc_method_find(name);
	if (*method == NULL) {
		refuse(words, "Method not found: %.64s", name);
		return WEIR_RPC_METHOD_NOT_FOUND;
	}
	return parse_params(words, *method, params);
}

int
rpc_cmdline_parse(const char *line, const struct weir_rpc_method **method, json_t **params,
		char *err, size_t err_size)
{
	struct words words = { .err = err, .err_size = err_size };
	json_t *obj = json_object();
	int rc;

	rc = split(&words, line);
	if (rc == 0)
		rc = parse_words(&words, method, obj);
	free(words.text);
	if (rc == 0)
		*params = obj;
	else
		json_decref(obj);
	return rc;
}
