/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weir_xdr.h"

#include "insn_meter.h"
#include "insn_recording.h"

#define CALL        0
#define RPC_VERSION 2
#define AUTH_MAX    400
#define BYTES_MAX   (4u << 20)
/* So many equal bytes in a row are written as one. */
#define RUN_MIN 8

static const char about[] =
		"# SPDX-License-Identifier: BSD-3-Clause\n"
		"# What nfs-ganesha answered to weir's client, made by instructions.py --record.\n"
		"# The file that is read and written is 1 MiB of the letter w.\n";

bool
recorded_from_call(struct recorded *call, const uint8_t *buf, uint32_t nb)
{
	struct weir_xdr_dec dec = { .buf = buf, .len = nb };
	uint32_t type, version, len;

	*call = (struct recorded){ 0 };
	(void)weir_xdr_get_u32(&dec); /* xid */
	type = weir_xdr_get_u32(&dec);
	version = weir_xdr_get_u32(&dec);
	call->program = weir_xdr_get_u32(&dec);
	call->version = weir_xdr_get_u32(&dec);
	call->procedure = weir_xdr_get_u32(&dec);
	/* Credential and verifier. */
	for (unsigned int i = 0; i < 2; i++) {
		(void)weir_xdr_get_u32(&dec);
		len = weir_xdr_get_u32(&dec);
		if (dec.failed || len > AUTH_MAX)
			return false;
		(void)weir_xdr_get_fixed(&dec, len);
	}
	if (dec.failed || type != CALL || version != RPC_VERSION)
		return false;
	call->args = (struct recorded_bytes){
		.bytes = (uint8_t *)(uintptr_t)buf + dec.off,
		.nb = nb - dec.off,
	};
	return true;
}

const struct recorded *
recording_find(const struct recording *rec, const struct recorded *call)
{
	for (uint32_t i = 0; i < rec->nb; i++) {
		const struct recorded *c = &rec->calls[i];

		if (c->program == call->program && c->version == call->version &&
				c->procedure == call->procedure && c->args.nb == call->args.nb &&
				memcmp(c->args.bytes, call->args.bytes, c->args.nb) == 0)
			return c;
	}
	return NULL;
}

static struct recorded *
recording_next(struct recording *rec)
{
	rec->calls = realloc(rec->calls, (rec->nb + 1) * sizeof(*rec->calls));
	if (rec->calls == NULL)
		meter_die("no memory");
	rec->calls[rec->nb] = (struct recorded){ 0 };
	return &rec->calls[rec->nb++];
}

static struct recorded_bytes
bytes_copy(const uint8_t *bytes, uint32_t nb)
{
	struct recorded_bytes copy = { .bytes = malloc(nb + 1), .nb = nb };

	if (copy.bytes == NULL)
		meter_die("no memory");
	memcpy(copy.bytes, bytes, nb);
	return copy;
}

const struct recorded *
recording_add(struct recording *rec, const struct recorded *call, const uint8_t *reply, uint32_t nb)
{
	struct recorded *c = recording_next(rec);

	*c = *call;
	c->args = bytes_copy(call->args.bytes, call->args.nb);
	c->reply = bytes_copy(reply, nb);
	return c;
}

static struct recorded_bytes
bytes_parse(const char *text)
{
	uint8_t *buf = malloc(BYTES_MAX);
	struct recorded_bytes bytes;
	unsigned int byte, run;
	uint32_t nb = 0;
	int n;

	while (buf != NULL && sscanf(text, " %2x%n", &byte, &n) == 1) {
		text += n;
		run = 1;
		if (sscanf(text, "*%u%n", &run, &n) == 1)
			text += n;
		if (run > BYTES_MAX - nb)
			meter_die("a recording of too many bytes");
		memset(buf + nb, (int)byte, run);
		nb += run;
	}
	bytes = bytes_copy(buf, nb);
	free(buf);
	return bytes;
}

void
recording_load(struct recording *rec, const char *path, bool may_be_absent)
{
	FILE *file = fopen(path, "r");
	struct recorded *call = NULL;
	size_t size = 0;
	char *line = NULL;
	int n;

	*rec = (struct recording){ 0 };
	if (file == NULL && errno == ENOENT && may_be_absent)
		return;
	if (file == NULL)
		meter_die("%s: %s", path, strerror(errno));
	while (getline(&line, &size, file) > 0) {
		if (strncmp(line, "call ", 5) == 0) {
			call = recording_next(rec);
			if (sscanf(line, "call %u %u %u%n", &call->program, &call->version,
					    &call->procedure, &n) != 3)
				meter_die("%s: %s", path, line);
			call->args = bytes_parse(line + n);
		} else if (strncmp(line, "reply ", 6) == 0 && call != NULL) {
			call->reply = bytes_parse(line + 6);
		} else if (line[0] != '#') {
			meter_die("%s: %s", path, line);
		}
	}
	free(line);
	fclose(file);
}

static void
bytes_print(FILE *file, const struct recorded_bytes *bytes)
{
	uint32_t i, run;

	for (i = 0; i < bytes->nb; i += run) {
		for (run = 1; i + run < bytes->nb && bytes->bytes[i + run] == bytes->bytes[i];
				run++)
			;
		if (run >= RUN_MIN)
			fprintf(file, " %02x*%u ", bytes->bytes[i], run);
		else
			for (uint32_t k = 0; k < run; k++)
				fprintf(file, "%02x", bytes->bytes[i]);
	}
	fprintf(file, "\n");
}

void
recording_save(const struct recording *rec, const char *path)
{
	FILE *file = fopen(path, "w");

	if (file == NULL)
		meter_die("%s: %s", path, strerror(errno));
	fputs(about, file);
	for (uint32_t i = 0; i < rec->nb; i++) {
		const struct recorded *call = &rec->calls[i];

		fprintf(file, "call %u %u %u ", call->program, call->version, call->procedure);
		bytes_print(file, &call->args);
		fprintf(file, "reply ");
		bytes_print(file, &call->reply);
	}
	if (fclose(file) != 0)
		meter_die("%s: %s", path, strerror(errno));
}

void
recording_free(struct recording *rec)
{
	for (uint32_t i = 0; i < rec->nb; i++) {
		free(rec->calls[i].args.bytes);
		free(rec->calls[i].reply.bytes);
	}
	free(rec->calls);
}
