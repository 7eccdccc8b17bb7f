#include "cli/draining.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static bool is_of_process(const char *entry, const char *name)
{
	size_t len = strlen(name);
	return strncmp(entry, name, len) == 0 && entry[len] == '.' && entry[len + 1] != '\0' &&
		entry[len + 1 + strspn(entry + len + 1, "0123456789")] == '\0';
}

void draining_find(const char *socket, struct path_set *out)
{
	const char *slash = strrchr(socket, '/'), *name = slash ? slash + 1 : socket;
	char directory[PATH_MAX], path[PATH_MAX];
	snprintf(directory, sizeof directory, "%.*s", slash ? (int)(name - socket) : 1,
		slash ? socket : ".");
	DIR *entries = opendir(directory);
	if (!entries)
		return;
	for (struct dirent *entry; (entry = readdir(entries));)
		if (is_of_process(entry->d_name, name) &&
			(size_t)snprintf(path, sizeof path, "%.*s%s", (int)(name - socket), socket,
				entry->d_name) < sizeof path)
			path_set_add(out, path);
	closedir(entries);
}
