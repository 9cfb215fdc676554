/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */

/*
 * fuzz_X [-runs=N] [-seed=N] [FOLDER]...: what libFuzzer does, blindly: feeds the files of the
 * folders to the target, then N mutations of them. The same seed gives the same inputs.
 */

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define INPUT_MAX  4096
#define INPUTS_MAX 1024

struct input {
	size_t len;
	uint8_t data[INPUT_MAX];
};

static struct input *inputs[INPUTS_MAX];
static size_t nb_inputs;
static uint64_t state;

/* xorshift64*, for which no seed but 0 is bad. */
static uint32_t
draw(uint32_t below)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)((state * UINT64_C(0x2545f4914f6cdd1d)) >> 32) % below;
}

static void
load(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct input *input;

	if (file == NULL || nb_inputs == INPUTS_MAX) {
		fprintf(stderr, "%s: cannot take it\n", path);
		exit(2);
	}
	input = malloc(sizeof(*input));
	if (input == NULL)
		abort();
	input->len = fread(input->data, 1, sizeof(input->data), file);
	inputs[nb_inputs++] = input;
	fclose(file);
}

static void
load_folder(const char *path)
{
	struct dirent **entries;
	char file[4096];
	int i, nb;

	/* Sorted, since the order of a folder differs from machine to machine. */
	nb = scandir(path, &entries, NULL, alphasort);
	if (nb < 0) {
		perror(path);
		exit(2);
	}
	for (i = 0; i < nb; i++) {
		snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.')
			load(file);
		free(entries[i]);
	}
	free(entries);
}

static void
insert(struct input *input, const uint8_t *data, size_t len)
{
	size_t at = draw((uint32_t)input->len + 1);

	if (input->len + len > INPUT_MAX)
		return;
	memmove(input->data + at + len, input->data + at, input->len - at);
	memcpy(input->data + at, data, len);
	input->len += len;
}

static void
erase(struct input *input)
{
	size_t at = draw((uint32_t)input->len), len = 1 + draw((uint32_t)(input->len - at));

	memmove(input->data + at, input->data + at + len, input->len - at - len);
	input->len -= len;
}

static void
mutate(struct input *input)
{
	const struct input *other = inputs[draw((uint32_t)nb_inputs)];
	uint8_t byte = (uint8_t)draw(256);
	size_t at, len;

	if (input->len == 0) {
		insert(input, &byte, 1);
		return;
	}
	switch (draw(6)) {
	case 0:
		input->data[draw((uint32_t)input->len)] ^= (uint8_t)(1u << draw(8));
		break;
	case 1:
		input->data[draw((uint32_t)input->len)] = byte;
		break;
	case 2:
		insert(input, &byte, 1);
		break;
	case 3:
		erase(input);
		break;
	default: /* a piece of another one, or of itself */
		if (other->len == 0)
			break;
		at = draw((uint32_t)other->len);
		len = 1 + draw((uint32_t)(other->len - at));
		insert(input, other->data + at, len);
		break;
	}
}

int
main(int argc, char **argv)
{
	static struct input empty, input;
	uint64_t runs = 0, n;
	int i;

	state = 1;
	for (i = 1; i < argc; i++) {
		if (sscanf(argv[i], "-runs=%" SCNu64, &runs) == 1 ||
				sscanf(argv[i], "-seed=%" SCNu64, &state) == 1)
			continue;
		load_folder(argv[i]);
	}
	if (state == 0)
		state = 1;
	for (n = 0; n < nb_inputs; n++)
		LLVMFuzzerTestOneInput(inputs[n]->data, inputs[n]->len);
	if (nb_inputs == 0)
		inputs[nb_inputs++] = &empty;
	for (n = 0; n < runs; n++) {
		input = *inputs[draw((uint32_t)nb_inputs)];
		for (i = (int)draw(8); i >= 0; i--)
			mutate(&input);
		LLVMFuzzerTestOneInput(input.data, input.len);
	}
	printf("%zu files and %" PRIu64 " mutations of them\n", nb_inputs, runs);
	for (n = 0; n < nb_inputs; n++)
		if (inputs[n] != &empty)
			free(inputs[n]);
	return 0;
}
