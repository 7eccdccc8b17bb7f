#include "net/own_listener.h"

#include <stdio.h>
#include <string.h>

#define END_MAX 48 /* an IPv6 address in hexadecimal, and a port */

/* As the kernel writes it: 32 bits at a time, in the byte order of the machine. */
static void write_v4(const struct in_addr *address, in_port_t port, char out[END_MAX])
{
	snprintf(out, END_MAX, "%08X:%04X", address->s_addr, ntohs(port));
}

static void write_v6(const struct in6_addr *address, in_port_t port, char out[END_MAX])
{
	const uint32_t *words = address->s6_addr32;
	snprintf(out, END_MAX, "%08X%08X%08X%08X:%04X", words[0], words[1], words[2], words[3],
		ntohs(port));
}

/* An IPv4 connection whose socket is of the IPv6 kind. */
static void write_mapped(const struct in_addr *address, in_port_t port, char out[END_MAX])
{
	struct in6_addr mapped = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
	memcpy(mapped.s6_addr + 12, address, sizeof *address);
	write_v6(&mapped, port, out);
}

static bool find(const char *path, const char *local, const char *remote, uid_t *out)
{
	char line[512], ends[2][END_MAX];
	unsigned uid;
	unsigned long inode;
	bool found = false;
	FILE *file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof line, file)) {
		/* sl local remote st tx:rx tr:when retrnsmt uid timeout inode */
		if (sscanf(line, " %*[0-9]: %47s %47s %*s %*s %*s %*s %u %*s %lu", ends[0], ends[1],
			    &uid, &inode) == 4)
			found = strcmp(ends[0], local) == 0 && strcmp(ends[1], remote) == 0;
	}
	if (file)
		fclose(file);
	if (!found || inode == 0)
		return false;
	*out = uid;
	return true;
}

bool tcp_peer_uid(const struct address *peer, const struct address *own, uid_t *out)
{
	char local[END_MAX], remote[END_MAX];
	if (peer->any.sa_family == AF_INET6) {
		write_v6(&peer->v6.sin6_addr, peer->v6.sin6_port, local);
		write_v6(&own->v6.sin6_addr, own->v6.sin6_port, remote);
		return find("/proc/net/tcp6", local, remote, out);
	}
	write_v4(&peer->v4.sin_addr, peer->v4.sin_port, local);
	write_v4(&own->v4.sin_addr, own->v4.sin_port, remote);
	if (find("/proc/net/tcp", local, remote, out))
		return true;
	write_mapped(&peer->v4.sin_addr, peer->v4.sin_port, local);
	write_mapped(&own->v4.sin_addr, own->v4.sin_port, remote);
	return find("/proc/net/tcp6", local, remote, out);
}
