#include "dial/dns.h"

#include <stdlib.h>
#include <sys/stat.h>

#define RESOLV_CONF "/etc/resolv.conf"

struct old_channel {
	struct old_channel *next;
	struct dns_channel *channel;
};

/* A file as it was read. */
struct conf_stamp {
	ino_t inode;
	struct timespec changed;
};

struct dns {
	struct ev_loop *loop;
	struct dns_source source;
	struct conf_stamp stamp; /* of the resolv.conf of `channel` */
	struct dns_channel *channel;
	struct old_channel *old; /* which wait for their last answers */
};

/* False when there is no such file: the channel keeps what it has read. */
static bool conf_stamp_take(const char *path, struct conf_stamp *out)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return false;
	*out = (struct conf_stamp){st.st_ino, st.st_mtim};
	return true;
}

static bool conf_stamp_equal(const struct conf_stamp *a, const struct conf_stamp *b)
{
	return a->inode == b->inode && a->changed.tv_sec == b->changed.tv_sec &&
		a->changed.tv_nsec == b->changed.tv_nsec;
}

static void on_channel_idle(void *owner, struct dns_channel *channel)
{
	struct dns *dns = owner;
	for (struct old_channel **at = &dns->old; *at; at = &(*at)->next) {
		struct old_channel *old = *at;
		if (old->channel != channel)
			continue;
		*at = old->next;
		free(old);
		dns_channel_destroy(channel);
		return;
	}
}

/* False: no memory. */
static bool dns_retire_channel(struct dns *dns)
{
	if (dns_channel_is_idle(dns->channel)) {
		dns_channel_destroy(dns->channel);
		return true;
	}
	struct old_channel *old = malloc(sizeof *old);
	if (!old)
		return false;
	*old = (struct old_channel){dns->old, dns->channel};
	dns->old = old;
	return true;
}

/* c-ares 1.18 cannot read resolv.conf again: a channel of its own does. */
static void dns_follow_resolv_conf(struct dns *dns)
{
	struct conf_stamp now;
	struct err err;
	if (!conf_stamp_take(dns->source.resolv_conf, &now) || conf_stamp_equal(&now, &dns->stamp))
		return;
	struct dns_channel *fresh =
		dns_channel_create(dns->loop, &dns->source, on_channel_idle, dns, &err);
	if (!fresh)
		return; /* the next question tries again */
	if (!dns_retire_channel(dns)) {
		dns_channel_destroy(fresh);
		return;
	}
	dns->channel = fresh;
	dns->stamp = now;
}

struct dns *dns_create(struct ev_loop *loop, const struct dns_source *source, struct err *err)
{
	struct dns *dns = calloc(1, sizeof *dns);
	if (!dns) {
		err_set(err, "out of memory");
		return NULL;
	}
	dns->loop = loop;
	if (source)
		dns->source = *source;
	if (!dns->source.resolv_conf)
		dns->source.resolv_conf = RESOLV_CONF;
	conf_stamp_take(dns->source.resolv_conf, &dns->stamp);
	dns->channel = dns_channel_create(loop, &dns->source, on_channel_idle, dns, err);
	if (dns->channel)
		return dns;
	free(dns);
	return NULL;
}

void dns_destroy(struct dns *dns)
{
	if (!dns)
		return;
	dns_channel_destroy(dns->channel);
	for (struct old_channel *old = dns->old, *next; old; old = next) {
		next = old->next;
		dns_channel_destroy(old->channel);
		free(old);
	}
	free(dns);
}

void dns_ask(struct dns *dns, const char *name, dns_answer_fn *on_answer, void *owner)
{
	dns_follow_resolv_conf(dns);
	dns_channel_ask(dns->channel, name, on_answer, owner);
}
