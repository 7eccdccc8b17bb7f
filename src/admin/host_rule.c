#include "admin/host_rule.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NAME_SIZE 254

/* Without the port, a final dot and the brackets of an IPv6 address. False: too long, or no host. */
static bool take_name(const char *host, char out[NAME_SIZE], bool *is_bracketed)
{
	const char *end;
	*is_bracketed = *host == '[';
	if (*is_bracketed)
		end = strchr(++host, ']');
	else
		end = host + strcspn(host, ":");
	const char *port = end ? end + *is_bracketed : NULL;
	if (!port || (*port != '\0' && *port != ':') || end - host >= NAME_SIZE)
		return false;
	if (*port == ':' && port[1 + strspn(port + 1, "0123456789")] != '\0')
		return false;
	if (end > host && end[-1] == '.')
		end--;
	memcpy(out, host, (size_t)(end - host));
	out[end - host] = '\0';
	return true;
}

static bool is_below_localhost(const char *name)
{
	static const char suffix[] = ".localhost";
	size_t len = strlen(name), size = sizeof suffix - 1;
	return len > size && strcasecmp(name + len - size, suffix) == 0;
}

bool host_rule_accepts(const char *host, const char *own)
{
	struct in6_addr address;
	char name[NAME_SIZE];
	bool is_bracketed;
	if (!host || *host == '\0')
		return true;
	if (!take_name(host, name, &is_bracketed))
		return false;
	if (is_bracketed)
		return inet_pton(AF_INET6, name, &address) == 1;
	return inet_pton(AF_INET, name, &address) == 1 || !strchr(name, '.') ||
		is_below_localhost(name) || (*own && strcasecmp(name, own) == 0);
}

bool host_rule_names(const char *host, const char *const *names, size_t count)
{
	char name[NAME_SIZE];
	bool is_bracketed;
	if (!host || !take_name(host, name, &is_bracketed) || is_bracketed)
		return false;
	for (size_t i = 0; i < count; i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return false;
}
