/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the weir authors
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_hash_crc.h>

#include "device.h"

#define FUNCTIONS_DEFAULT 2

static struct {
	struct manager manager;
	struct function *list;
	unsigned int nb;
} functions;

/* Four characters that stay the same on one machine and differ between machines. */
static void
machine_serial(char serial[5])
{
	static const char base36[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	char id[64] = "";
	FILE *file = fopen("/etc/machine-id", "re");
	uint32_t hash;

	if (file != NULL) {
		if (fgets(id, sizeof(id), file) == NULL)
			id[0] = '\0';
		fclose(file);
	}
	hash = rte_hash_crc(id, strcspn(id, "\n"), 0);
	for (int i = 0; i < 4; i++, hash /= 36)
		serial[i] = base36[hash % 36];
	serial[4] = '\0';
}

static int
function_parse(struct function *f, const char *text)
{
	size_t len = strcspn(text, "=");

	if (len == 0 || len >= sizeof(f->vuid) ||
			(text[len] == '=' && strlen(text + len + 1) >= sizeof(f->pci_address)))
		return -EINVAL;
	memcpy(f->vuid, text, len);
	if (text[len] == '=')
		snprintf(f->pci_address, sizeof(f->pci_address), "%s", text + len + 1);
	return function_find(f->vuid) != NULL ? -EEXIST : 0;
}

int
functions_init(const char *manager, const char *const *vuids)
{
	char serial[5];
	unsigned int nb = 0;

	snprintf(functions.manager.name, sizeof(functions.manager.name), "%s", manager);
	while (vuids != NULL && vuids[nb] != NULL)
		nb++;
	functions.list = calloc(nb > 0 ? nb : FUNCTIONS_DEFAULT, sizeof(*functions.list));
	if (functions.list == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < nb; i++) {
		int rc = function_parse(&functions.list[i], vuids[i]);

		if (rc < 0) {
			weir_log(device, ERR, "static function %s: %s", vuids[i],
					rc == -EEXIST ? "given twice" :
							"not VUID or VUID=PCI_ADDRESS");
			return rc;
		}
		functions.nb++;
	}
	machine_serial(serial);
	for (; nb == 0 && functions.nb < FUNCTIONS_DEFAULT; functions.nb++)
		snprintf(functions.list[functions.nb].vuid, DEVICE_VUID_MAX, "MT2647SW%sVFSS0D0F%u",
				serial, functions.nb);
	return 0;
}

void
functions_fini(void)
{
	free(functions.list);
	functions.list = NULL;
	functions.nb = 0;
	functions.manager.present = false;
}

struct manager *
manager_get(void)
{
	return &functions.manager;
}

struct function *
function_find(const char *vuid)
{
	for (unsigned int i = 0; i < functions.nb; i++) {
		if (strcmp(functions.list[i].vuid, vuid) == 0)
			return &functions.list[i];
	}
	return NULL;
}

/* Clients depend on the odd keys, and on "false" being a string (control-plane wire contract). */
json_t *
functions_json(void)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < functions.nb; i++) {
		const struct function *f = &functions.list[i];

		json_array_append_new(list,
				json_pack("{s:s, s:s, s:s, s:s}", "hot pluggable", "false",
						"pci_address", f->pci_address, "vuid", f->vuid,
						"function_type", "PF"));
	}
	return list;
}
