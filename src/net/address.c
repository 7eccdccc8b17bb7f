#include "net/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#define PORT_DIGITS_MAX 5

static bool port_parse(const char *text, uint16_t *out)
{
	size_t len = strspn(text, "0123456789");
	if (len == 0 || len > PORT_DIGITS_MAX || text[len] != '\0')
		return false;
	unsigned port = 0;
	for (size_t i = 0; i < len; i++)
		port = port * 10 + (unsigned)(text[i] - '0');
	if (port == 0 || port > UINT16_MAX)
		return false;
	*out = (uint16_t)port;
	return true;
}

static bool unix_parse(const char *path, struct endpoint *out, struct err *err)
{
	size_t len = strlen(path);
	size_t most = sizeof((struct sockaddr_un *)0)->sun_path - 1;
	if (len == 0 || len > most) {
		err_set(err, "expected \"unix:\" and a path of 1 to %zu bytes, got %zu bytes", most,
			len);
		return false;
	}
	*out = (struct endpoint){.is_unix = true};
	memcpy(out->host, path, len + 1);
	return true;
}

/* An IPv6 literal, perhaps with a zone: "fe80::1%eth0". */
static bool v6_parse(const char *text, struct in6_addr *out, const char **zone)
{
	char literal[INET6_ADDRSTRLEN];
	size_t len = strcspn(text, "%");
	if (len >= sizeof literal)
		return false;
	memcpy(literal, text, len);
	literal[len] = '\0';
	*zone = text[len] == '%' ? text + len + 1 : NULL;
	return (!*zone || (**zone && strlen(*zone) < IF_NAMESIZE)) &&
		inet_pton(AF_INET6, literal, out) == 1;
}

/* A name whose last label is a number can only be an IPv4 address: "127.1" is a mistake. */
static bool host_is_sound(const char *host, size_t len)
{
	struct in_addr v4;
	const char *dot = memrchr(host, '.', len);
	const char *last = dot ? dot + 1 : host;
	if (*last && strspn(last, "0123456789") == len - (size_t)(last - host))
		return inet_pton(AF_INET, host, &v4) == 1;
	return strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
		len &&
		host[0] != '.' && host[0] != '-';
}

static bool brackets_parse(const char *text, struct endpoint *out, struct err *err)
{
	const char *close = strchr(text, ']');
	size_t len = close ? (size_t)(close - text - 1) : 0;
	struct in6_addr v6;
	const char *zone;
	*out = (struct endpoint){0};
	if (close && len < sizeof out->host) {
		memcpy(out->host, text + 1, len);
		if (v6_parse(out->host, &v6, &zone) && close[1] == ':' &&
			port_parse(close + 2, &out->port))
			return true;
	}
	err_set(err, "expected \"[IPv6 address]:port\", got \"%s\"", text);
	return false;
}

bool endpoint_parse(const char *text, struct endpoint *out, struct err *err)
{
	if (strncmp(text, "unix:", 5) == 0)
		return unix_parse(text + 5, out, err);
	if (text[0] == '[')
		return brackets_parse(text, out, err);
	const char *colon = strrchr(text, ':');
	if (!colon) {
		err_set(err, "expected \"host:port\", got \"%s\"", text);
		return false;
	}
	size_t len = (size_t)(colon - text);
	if (strspn(text, "0123456789abcdefABCDEF.:%") >= len && memchr(text, ':', len)) {
		err_set(err,
			"expected an IPv6 address in brackets, as in \"[::1]:443\", got \"%s\"",
			text);
		return false;
	}
	*out = (struct endpoint){0};
	if (!port_parse(colon + 1, &out->port)) {
		err_set(err, "expected a port from 1 to 65535 after \":\", got \"%s\"", text);
		return false;
	}
	if (len < sizeof out->host)
		memcpy(out->host, text, len);
	if (len >= sizeof out->host || (len > 0 && !host_is_sound(out->host, len))) {
		err_set(err, "expected a host name or an IP address before \":\", got \"%s\"",
			text);
		return false;
	}
	return true;
}

bool endpoint_parse_near(
	const char *text, uint16_t default_port, struct endpoint *out, struct err *err)
{
	char whole[sizeof out->host + 8];
	struct in6_addr v6;
	const char *zone;
	size_t len = strlen(text);
	if (len == 0 || len >= sizeof out->host) {
		err_set(err, "expected \"host\" or \"host:port\", got %s",
			len ? "something longer than any host" : "\"\"");
		return false;
	}
	bool is_bare_v6 = v6_parse(text, &v6, &zone);
	bool has_port = strncmp(text, "unix:", 5) == 0 ||
		(text[0] == '[' ? text[len - 1] != ']' : strchr(text, ':') && !is_bare_v6);
	if (has_port)
		snprintf(whole, sizeof whole, "%s", text);
	else
		snprintf(whole, sizeof whole, is_bare_v6 ? "[%s]:%u" : "%s:%u", text,
			(unsigned)default_port);
	if (!endpoint_parse(whole, out, err))
		return false;
	if (out->host[0] != '\0')
		return true;
	err_set(err, "expected a host before \":\", got \"%s\"", text);
	return false;
}

const char *endpoint_zone(const struct endpoint *endpoint)
{
	const char *percent = endpoint->is_unix ? NULL : strchr(endpoint->host, '%');
	return percent ? percent + 1 : NULL;
}

bool address_is_ip(const char *text)
{
	struct in6_addr address;
	return inet_pton(AF_INET, text, &address) == 1 || inet_pton(AF_INET6, text, &address) == 1;
}

bool endpoint_is_literal(const struct endpoint *endpoint)
{
	struct in6_addr v6;
	struct in_addr v4;
	const char *zone;
	return endpoint->is_unix || !endpoint->host[0] ||
		inet_pton(AF_INET, endpoint->host, &v4) == 1 ||
		v6_parse(endpoint->host, &v6, &zone);
}

bool address_of_endpoint(const struct endpoint *endpoint, struct address *out)
{
	const char *zone = NULL;
	*out = (struct address){0};
	if (endpoint->is_unix) {
		out->un.sun_family = AF_UNIX;
		memcpy(out->un.sun_path, endpoint->host,
			strnlen(endpoint->host, sizeof out->un.sun_path - 1));
		out->len = sizeof out->un;
		return true;
	}
	if (inet_pton(AF_INET, endpoint->host, &out->v4.sin_addr) == 1) {
		out->v4.sin_family = AF_INET;
		out->v4.sin_port = htons(endpoint->port);
		out->len = sizeof out->v4;
		return true;
	}
	/* An empty host leaves in6addr_any, which is all zeroes. */
	if (endpoint->host[0] && !v6_parse(endpoint->host, &out->v6.sin6_addr, &zone))
		return false;
	out->v6.sin6_family = AF_INET6;
	out->v6.sin6_port = htons(endpoint->port);
	out->v6.sin6_scope_id = zone ? if_nametoindex(zone) : 0;
	out->len = sizeof out->v6;
	return !zone || out->v6.sin6_scope_id != 0;
}

bool address_is_same(const struct address *one, const struct address *other)
{
	if (one->any.sa_family != other->any.sa_family)
		return false;
	if (one->any.sa_family == AF_INET)
		return one->v4.sin_port == other->v4.sin_port &&
			one->v4.sin_addr.s_addr == other->v4.sin_addr.s_addr;
	if (one->any.sa_family == AF_INET6)
		return one->v6.sin6_port == other->v6.sin6_port &&
			one->v6.sin6_scope_id == other->v6.sin6_scope_id &&
			memcmp(&one->v6.sin6_addr, &other->v6.sin6_addr, 16) == 0;
	return strcmp(one->un.sun_path, other->un.sun_path) == 0;
}

/* An IPv4 address as v4-mapped; any is any, of either version. False: not TCP. */
static bool ip_of(const struct address *address, struct in6_addr *ip, in_port_t *port)
{
	*ip = in6addr_any;
	if (address->any.sa_family == AF_INET6) {
		*ip = address->v6.sin6_addr;
		*port = address->v6.sin6_port;
	} else if (address->any.sa_family == AF_INET) {
		*port = address->v4.sin_port;
		if (address->v4.sin_addr.s_addr != INADDR_ANY) {
			ip->s6_addr[10] = ip->s6_addr[11] = 0xff;
			memcpy(ip->s6_addr + 12, &address->v4.sin_addr, 4);
		}
	} else {
		return false;
	}
	return true;
}

bool address_overlaps(const struct address *one, const struct address *other)
{
	struct in6_addr ip, other_ip;
	in_port_t port, other_port;
	if (!ip_of(one, &ip, &port) || !ip_of(other, &other_ip, &other_port) || port != other_port)
		return false;
	return IN6_IS_ADDR_UNSPECIFIED(&ip) || IN6_IS_ADDR_UNSPECIFIED(&other_ip) ||
		IN6_ARE_ADDR_EQUAL(&ip, &other_ip);
}

static void v4_text(const void *address, in_port_t port, char out[ADDRESS_TEXT_MAX])
{
	char text[INET_ADDRSTRLEN] = "";
	inet_ntop(AF_INET, address, text, sizeof text);
	snprintf(out, ADDRESS_TEXT_MAX, "%s:%u", text, (unsigned)ntohs(port));
}

static void v6_text(const struct sockaddr_in6 *v6, char out[ADDRESS_TEXT_MAX])
{
	char text[INET6_ADDRSTRLEN] = "", zone[IF_NAMESIZE + 1] = "";
	if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		v4_text(v6->sin6_addr.s6_addr + 12, v6->sin6_port, out);
		return;
	}
	inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
	if (v6->sin6_scope_id && if_indextoname(v6->sin6_scope_id, zone + 1))
		zone[0] = '%';
	snprintf(out, ADDRESS_TEXT_MAX, "[%s%s]:%u", text, zone, (unsigned)ntohs(v6->sin6_port));
}

/*
 * A path ends at a NUL or at the end of the address; an abstract name begins with a
 * NUL, shown "@".
 */
static void unix_text(const struct sockaddr_un *un, socklen_t len, char out[ADDRESS_TEXT_MAX])
{
	size_t most = (size_t)len - offsetof(struct sockaddr_un, sun_path);
	if (most > sizeof un->sun_path)
		most = sizeof un->sun_path;
	if (most == 0)
		snprintf(out, ADDRESS_TEXT_MAX, "unix");
	else if (un->sun_path[0] != '\0')
		snprintf(out, ADDRESS_TEXT_MAX, "unix:%.*s", (int)most, un->sun_path);
	else
		snprintf(out, ADDRESS_TEXT_MAX, "unix:@%.*s", (int)(most - 1), un->sun_path + 1);
}

void address_text(const struct sockaddr *address, socklen_t len, char out[ADDRESS_TEXT_MAX])
{
	union {
		struct sockaddr_storage any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un un;
	} copy = {0};
	snprintf(out, ADDRESS_TEXT_MAX, "unknown");
	if (len < sizeof address->sa_family || len > sizeof copy)
		return;
	memcpy(&copy, address, len);
	if (copy.any.ss_family == AF_INET && len >= sizeof copy.v4)
		v4_text(&copy.v4.sin_addr, copy.v4.sin_port, out);
	else if (copy.any.ss_family == AF_INET6 && len >= sizeof copy.v6)
		v6_text(&copy.v6, out);
	else if (copy.any.ss_family == AF_UNIX)
		unix_text(&copy.un, len, out);
}
