#include "net/owner/tcp_peer_uid.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define END_MAX 48 /* an IPv6 address in hexadecimal, and a port */

/* The addresses of a connection, as its other end has them. */
struct tuple {
	sa_family_t family;
	struct in6_addr local, remote; /* of IPv4 the first 32 bits */
	in_port_t local_port, remote_port;
};

static bool tuple_make(const struct address *peer, const struct address *own, struct tuple *out)
{
	*out = (struct tuple){.family = peer->any.sa_family};
	if (out->family == AF_INET) {
		out->local.s6_addr32[0] = peer->v4.sin_addr.s_addr;
		out->remote.s6_addr32[0] = own->v4.sin_addr.s_addr;
		out->local_port = peer->v4.sin_port;
		out->remote_port = own->v4.sin_port;
		return true;
	}
	out->local = peer->v6.sin6_addr;
	out->remote = own->v6.sin6_addr;
	out->local_port = peer->v6.sin6_port;
	out->remote_port = own->v6.sin6_port;
	return out->family == AF_INET6;
}

/* An IPv4 connection may belong to an IPv6 socket. */
static struct tuple tuple_mapped(const struct tuple *tuple)
{
	struct tuple out = *tuple;
	out.family = AF_INET6;
	out.local = out.remote = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
	out.local.s6_addr32[3] = tuple->local.s6_addr32[0];
	out.remote.s6_addr32[3] = tuple->remote.s6_addr32[0];
	return out;
}

/* The answer. A socket without an inode is closed, and its user would be reported as root. */
struct holder {
	bool answered, found;
	uid_t uid;
};

/* sock_diag(7): the kernel looks it up by its addresses, however many there are. */
struct query {
	struct nlmsghdr header;
	struct inet_diag_req_v2 request;
};

static struct query query_of(const struct tuple *tuple)
{
	struct query query = {.header = {.nlmsg_len = sizeof query,
				      .nlmsg_type = SOCK_DIAG_BY_FAMILY,
				      .nlmsg_flags = NLM_F_REQUEST},
		.request = {.sdiag_family = (uint8_t)tuple->family,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_states = ~0u,
			.id = {.idiag_sport = tuple->local_port,
				.idiag_dport = tuple->remote_port,
				.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}}}};
	memcpy(query.request.id.idiag_src, &tuple->local, sizeof tuple->local);
	memcpy(query.request.id.idiag_dst, &tuple->remote, sizeof tuple->remote);
	return query;
}

static void query_socket(int fd, const struct tuple *tuple, struct holder *out)
{
	struct query query = query_of(tuple);
	union {
		struct nlmsghdr header;
		uint8_t bytes[1024];
	} answer;
	*out = (struct holder){0};
	if (send(fd, &query, sizeof query, 0) != sizeof query)
		return;
	ssize_t n = recv(fd, &answer, sizeof answer, 0);
	if (n < (ssize_t)sizeof answer.header || !NLMSG_OK(&answer.header, (size_t)n))
		return;
	if (answer.header.nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *error = NLMSG_DATA(&answer.header);
		out->answered = error->error == -ENOENT;
		return;
	}
	const struct inet_diag_msg *message = NLMSG_DATA(&answer.header);
	if (answer.header.nlmsg_len < NLMSG_LENGTH(sizeof *message))
		return;
	/* If the connection is gone, the kernel returns the listener on its port. */
	bool is_it = message->id.idiag_dport == tuple->remote_port && message->idiag_inode != 0;
	*out = (struct holder){.answered = true, .found = is_it, .uid = message->idiag_uid};
}

static void query_kernel(const struct tuple *tuple, struct holder *out)
{
	*out = (struct holder){0};
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		return;
	query_socket(fd, tuple, out);
	if (out->answered && !out->found && tuple->family == AF_INET) {
		struct tuple other = tuple_mapped(tuple);
		query_socket(fd, &other, out);
	}
	close(fd);
}

/* /proc/net/tcp, where there is no sock_diag: each address 32 bits at a time, in the machine's
 * order. */
static void format_end(
	const struct in6_addr *address, in_port_t port, bool is_v6, char out[END_MAX])
{
	const uint32_t *words = address->s6_addr32;
	if (is_v6)
		snprintf(out, END_MAX, "%08X%08X%08X%08X:%04X", words[0], words[1], words[2],
			words[3], ntohs(port));
	else
		snprintf(out, END_MAX, "%08X:%04X", words[0], ntohs(port));
}

static bool proc_find(const struct tuple *tuple, uid_t *out)
{
	char line[512], local[END_MAX], remote[END_MAX], ends[2][END_MAX];
	bool is_v6 = tuple->family == AF_INET6, found = false;
	unsigned uid;
	unsigned long inode = 0;
	format_end(&tuple->local, tuple->local_port, is_v6, local);
	format_end(&tuple->remote, tuple->remote_port, is_v6, remote);
	FILE *file = fopen(is_v6 ? "/proc/net/tcp6" : "/proc/net/tcp", "re");
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
	struct tuple tuple;
	struct holder holder;
	if (!tuple_make(peer, own, &tuple))
		return false;
	query_kernel(&tuple, &holder);
	if (holder.answered) {
		*out = holder.uid;
		return holder.found;
	}
	if (proc_find(&tuple, out))
		return true;
	struct tuple other = tuple_mapped(&tuple);
	return tuple.family == AF_INET && proc_find(&other, out);
}
